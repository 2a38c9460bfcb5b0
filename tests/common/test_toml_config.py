"""Reading TOML files that people write."""

from pathlib import Path

import pytest

from bench.budgets.rules import load_budgets
from bench.search.space import read_space
from common.toml_config import read_toml
from device.errors import EdgeproofError

WINDOWS = b"\xef\xbb\xbf"  # what its editors put before a text


def saved_on_windows(path: Path, text: str) -> Path:
    path.write_bytes(WINDOWS + text.replace("\n", "\r\n").encode())
    return path


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """The mark is no part of the first key."""
    assert read_toml(saved_on_windows(tmp_path / "a.toml", 'key = "Ä"\nother = 1\n')) == {"key": "Ä", "other": 1}


def test_lines_of_a_budgets_file_with_a_byte_order_mark_are_found(tmp_path: Path) -> None:
    """The first table stands in line 1, where the mark is."""
    path = saved_on_windows(tmp_path / "budgets.toml", "[[budget]]\nmax_size_kb = -1\n")
    with pytest.raises(EdgeproofError, match=r"budgets\.toml:2: max_size_kb: found -1"):
        load_budgets(path)


def test_lines_of_a_space_with_a_byte_order_mark_are_found(tmp_path: Path) -> None:
    path = saved_on_windows(tmp_path / "space.toml", "strange = 1\n")
    with pytest.raises(EdgeproofError, match=r"space\.toml: line 1: strange: unknown key"):
        read_space("mnist_cnn", path)
