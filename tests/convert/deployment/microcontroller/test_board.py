"""Boards: one file for each, found by its name; a file of one's own; what is wrong with one is named."""

from pathlib import Path

import pytest

from convert.deployment.microcontroller.board import board_names, find_board, is_board, read_board
from convert.deployment.target import find_target, target_names
from device.errors import EdgeproofError

GOOD = 'description = "d"\ncore = "c"\nflash_kib = 1024\nram_kib = 256\nsource = "s"\n'


@pytest.mark.parametrize(
    ("name", "core", "flash_kib", "ram_kib", "arena_kib"),
    [
        ("pico", "Cortex-M0+", 2048, 264, 264),
        ("pico2", "Cortex-M33", 4096, 520, 520),
        ("nano33ble", "Cortex-M4F", 1024, 256, 256),
        ("esp32s3", "Xtensa LX7", 8192, 512, 480),
        ("stm32h743", "Cortex-M7", 2048, 1024, 512),
    ],
)
def test_each_board_has_the_memory_of_its_data_sheet(
    name: str, core: str, flash_kib: int, ram_kib: int, arena_kib: int
) -> None:
    board = find_board(name)
    assert (board.core, board.flash_kib, board.ram_kib) == (core, flash_kib, ram_kib)
    assert (board.flash_bytes, board.arena_limit_bytes) == (1024 * flash_kib, 1024 * arena_kib)
    assert "atasheet" in board.source or "Specification" in board.source


def test_those_are_all_boards() -> None:
    assert board_names() == ["esp32s3", "nano33ble", "pico", "pico2", "stm32h743"]


@pytest.mark.parametrize("name", ["pico-2", "nano_33_ble", "nano-33-ble", "esp32-s3"])
def test_hyphens_in_a_name_do_not_matter(name: str) -> None:
    assert is_board(name)
    assert find_board(name).name == name.replace("-", "").replace("_", "")


@pytest.mark.parametrize("name", target_names())
def test_no_target_is_a_board(name: str) -> None:
    assert not is_board(name)
    with pytest.raises(EdgeproofError, match=r"is no microcontroller's board: there are esp32s3, .* convert bundle`"):
        find_board(name)


@pytest.mark.parametrize("name", board_names())
def test_no_board_is_a_target_and_export_is_named(name: str) -> None:
    with pytest.raises(EdgeproofError, match="microcontroller's board, where no Python runs: `edgeproof convert export`"):
        find_target(name)


def test_an_unknown_target_lists_the_boards_too() -> None:
    with pytest.raises(EdgeproofError, match=r"unknown target 'pdp11': there are aarch64_linux, .*the boards esp32s3, "):
        find_target("pdp11")


def test_a_file_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)
    board = find_board(str(tmp_path / "mine.toml"))
    assert (board.name, board.flash_bytes, board.arena_limit_bytes) == ("mine", 1_048_576, 262_144)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "key 'description' is missing: expected a string"),
        (GOOD.replace("1024", '"1 MB"'), "key 'flash_kib': found '1 MB', expected a whole number"),
        (GOOD.replace("1024", "0"), "key 'flash_kib': found 0, expected more than 0"),
        (GOOD.replace("256", "-1"), "key 'ram_kib': found -1, expected more than 0"),
        (GOOD.replace("256", "256.5"), "key 'ram_kib': found 256.5, expected a whole number"),
        (GOOD + "arena_kib = 257\n", "key 'arena_kib': found 257, expected at most ram_kib, 256"),
        (GOOD + "flash_mb = 1\n", "unknown key 'flash_mb': there are description, core, flash_kib, ram_kib"),
        (GOOD + 'name = "x"\n', "unknown key 'name'"),
        (GOOD.replace('"c"', '""'), "key 'core': found '', expected a text on one line"),
        (GOOD.replace('"d"', '"a\\nb"'), "key 'description': found 'a\\nb', expected a text on one line"),
        (GOOD.replace('"d"', '"a */ b"'), "key 'description': found 'a */ b', expected a text on one line, without */"),
        ("flash_kib =", "is no readable TOML"),
    ],
)
def test_a_defect_is_named_with_the_file_and_the_key(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(EdgeproofError) as caught:
        read_board(path)
    assert str(path) in str(caught.value)
    assert found in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match=r"none\.toml: cannot be read"):
        find_board(str(tmp_path / "none.toml"))
