"""Files of /proc and /sys, with what they should hold and with anything else."""

from pathlib import Path

import pytest

from bench.machine.conditions import PI_THROTTLED, read
from bench.machine.kernel_files import hexadecimal_in, number_of, text_of

ODD = (b"", b"<unknown>", b"--5", "²".encode(), b"1.5", b"9" * 5000, b"\xff\xfe")
IDS = ("empty", "words", "signs", "no digit", "fraction", "long", "no text")


@pytest.mark.parametrize(("text", "number"), [(b"0\n", 0), (b"-40000\n", -40_000), (b" 1800000 ", 1_800_000)])
def test_a_number_is_read_without_the_white_space_around_it(tmp_path: Path, text: bytes, number: int) -> None:
    (tmp_path / "temp").write_bytes(text)
    assert number_of(tmp_path / "temp") == number


@pytest.mark.parametrize("text", ODD, ids=IDS)
def test_what_is_no_number_is_unknown(tmp_path: Path, text: bytes) -> None:
    """A measurement goes on then: these files only say how far it can be trusted."""
    (tmp_path / "temp").write_bytes(text)
    assert number_of(tmp_path / "temp") is None


@pytest.mark.parametrize("text", ODD, ids=IDS)
def test_the_conditions_are_unknown_where_the_firmware_says_something_odd(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / PI_THROTTLED
    path.parent.mkdir(parents=True)
    path.write_bytes(text if text != ODD[5] else b"f" * 5000)
    assert read(tmp_path).throttled_now is None


def test_what_is_not_there_is_unknown(tmp_path: Path) -> None:
    assert (text_of(tmp_path / "none"), text_of(tmp_path), number_of(tmp_path / "none")) == (None, None, None)


@pytest.mark.parametrize(("text", "number"), [("50005", 0x50005), ("0x50005\n", 0x50005), ("0", 0), ("yes", None)])
def test_bits_are_hexadecimal_with_and_without_0x(text: str, number: int | None) -> None:
    assert hexadecimal_in(text) == number
