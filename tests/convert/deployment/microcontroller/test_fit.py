"""Whether a model fits on a board: three values, by how much, and which variant would."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from common.micro_figures import MeasuredFigures, MicroFigures
from common.verdict import Verdict
from convert.deployment.microcontroller.board import Board, find_board
from convert.deployment.microcontroller.fit import fit
from device.errors import ModelError
from tests.conftest import run_module
from tests.support.microcontrollers import figures, saved_results
from tests.support.models.model_files import READY, bare_copy, own_bytes, two_input_model

OWN = len(own_bytes(READY))
BOARD = Board("b", "a board", "a core", flash_kib=1024, ram_kib=64, source="s")  # RAM: 65,536 bytes


def measured(*found: MicroFigures) -> MeasuredFigures:
    return MeasuredFigures({one.model_sha256: one for one in found}, {})


@pytest.mark.parametrize(
    ("arena_bytes", "tensor_bytes", "verdict"),
    [
        (65_536, 0, Verdict.PASS),  # on 32 bits it is no larger
        (65_552, 0, Verdict.INCONCLUSIVE),  # there it may be half as large
        (65_552, 65_520, Verdict.INCONCLUSIVE),  # 65,520 stay, and half of the rest: 65,536 at least
        (65_552, 65_536, Verdict.FAIL),  # 65,544 at least
        (131_072, 0, Verdict.INCONCLUSIVE),
        (131_088, 0, Verdict.FAIL),  # even half of it is too much
    ],
)
def test_an_arena_is_judged_as_it_can_be_on_32_bits(arena_bytes: int, tensor_bytes: int, verdict: Verdict) -> None:
    found = fit(READY, BOARD, measured(figures(arena_bytes=arena_bytes, tensor_bytes=tensor_bytes)))
    assert found.verdict is verdict


def test_what_fits_says_how_much_is_left() -> None:
    text = str(fit(READY, find_board("pico"), measured(figures())))
    model = f"model {OWN / 1000:.1f} kB of 2,097.2 kB flash, {(2_097_152 - OWN) / 1000:,.1f} kB left"
    assert text == f"fits: {model}; arena 31.6 kB of 270.3 kB RAM, 238.8 kB left"


def test_what_does_not_fit_says_by_how_much() -> None:
    text = str(fit(READY, BOARD, measured(figures(arena_bytes=200_000, tensor_bytes=200_000))))
    assert text == (
        "does not fit: arena 200.0 kB of 65.5 kB RAM, 134.5 kB too much: no other variant beside it is shown to fit"
    )


def test_what_only_the_board_can_tell_says_between_what() -> None:
    text = str(fit(READY, BOARD, measured(figures(arena_bytes=70_000, tensor_bytes=40_000))))
    arena = "arena 70.0 kB of 65.5 kB RAM on a 64-bit host, at least 55.0 kB on the board: only the board can tell"
    assert text.startswith("not known: model ")
    assert text.endswith(arena)


def test_a_model_that_is_larger_than_the_flash_needs_no_arena_to_be_refused() -> None:
    small = replace(BOARD, flash_kib=100)
    found = fit(READY, small, measured())
    assert found.verdict is Verdict.FAIL
    assert f"model {OWN / 1000:.1f} kB of 102.4 kB flash, {(OWN - 102_400) / 1000:.1f} kB too much" in str(found)


def test_without_a_measured_arena_it_is_not_known_and_how_to_measure_is_said() -> None:
    found = fit(READY, BOARD, measured())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert str(found).startswith("not known: model ")
    command = f"`edgeproof bench run --device tflite-micro {READY}` measures it"
    assert f"its arena is not measured: {command}; it needs the interpreter: `make setup-micro` makes it" in str(found)


def test_a_row_that_was_skipped_gives_its_reason() -> None:
    refused = MeasuredFigures({}, {("mnist_cnn", None, "int8"): "the interpreter refuses the model: no such operation"})
    text = str(fit(READY, BOARD, refused))
    assert "its arena is not measured (the interpreter refuses the model: no such operation)" in text


def test_an_arena_lies_in_one_block_of_the_ram() -> None:
    board = replace(BOARD, ram_kib=1024, arena_kib=64)
    found = fit(READY, board, measured(figures(arena_bytes=200_000, tensor_bytes=200_000)))
    assert "arena 200.0 kB of 65.5 kB RAM in one piece, 134.5 kB too much" in str(found)


def test_variants_beside_it_that_fit_are_named(tmp_path: Path) -> None:
    large, small = tmp_path / "m.int8.tflite", tmp_path / "m.small.tflite"
    shutil.copy(READY, large)
    small.write_bytes(own_bytes(READY.with_name("mnist_cnn_crop.int8.tflite")))
    (tmp_path / "m.unknown.tflite").write_bytes(b"\0\0\0\0TFL3")
    found = measured(figures(large, arena_bytes=200_000, tensor_bytes=200_000), figures(small, arena_bytes=20_784))
    assert str(fit(large, BOARD, found)).endswith("134.5 kB too much: m.small.tflite would fit")


def test_an_onnx_file_does_not_run_there(tmp_path: Path) -> None:
    found = fit(two_input_model(tmp_path / "m.float32.onnx"), BOARD, measured())
    assert found.verdict is Verdict.FAIL
    assert str(found).startswith("does not fit: TensorFlow Lite for Microcontrollers reads .tflite files alone: no other ")


def test_a_file_without_a_card_is_judged_too(tmp_path: Path) -> None:
    path = bare_copy(READY, tmp_path)
    assert fit(path, BOARD, measured(figures())).verdict is Verdict.PASS
    assert "its arena is not measured: `edgeproof bench run" in str(fit(path, BOARD, measured()))


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.int8.tflite"
    path.write_bytes(own_bytes(READY)[:400])
    with pytest.raises(ModelError):
        fit(path, BOARD, measured())


class TestCommand:
    def check(self, folder: Path, *more: str) -> tuple[int, str]:
        done = run_module("convert", "check", READY, *more, cwd=folder)
        return done.code, done.stdout + done.stderr

    def test_without_a_measured_arena_it_ends_with_3(self, tmp_path: Path) -> None:
        code, text = self.check(tmp_path, "--target", "pico")
        assert code == 3
        assert text.startswith("pico  not known: ")
        assert "`make setup-micro` makes it" in text
        assert list(tmp_path.iterdir()) == []

    def test_with_one_it_ends_with_0_or_1(self, tmp_path: Path) -> None:
        saved_results(tmp_path, figures())
        code, text = self.check(tmp_path, "--target", "pico", "--results", "bench.json")
        assert code == 0
        assert text.startswith("pico  fits: ")
        assert "The interpreter's own code and the rest of the program are not counted." in text
        saved_results(tmp_path, figures(arena_bytes=600_000, tensor_bytes=600_000))
        code, text = self.check(tmp_path, "--target", "pico", "--target", "stm32h743", "--results", "bench.json")
        assert code == 1
        assert [line.split()[0] for line in text.splitlines()[:2]] == ["pico", "stm32h743"]

    def test_a_target_beside_a_board_is_judged_as_ever(self, tmp_path: Path) -> None:
        code, text = self.check(tmp_path, "--target", "pi4_bookworm", "--target", "pico")
        assert code == 3
        first, second, _ = text.splitlines()
        assert first.startswith("pi4_bookworm  runs (Python 3.11, aarch64): ")
        assert second.startswith("pico          not known: ")

    def test_boards_are_judged_by_name_alone(self, tmp_path: Path) -> None:
        code, text = self.check(tmp_path)
        assert code == 0
        assert "pico" not in text

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            ("{", "is no readable JSON"),
            ('{"schema": 2}', "schema is 2, this version reads 1"),
            (None, "cannot be read: No such file or directory"),
        ],
    )
    def test_damaged_or_missing_results_are_one_line(self, tmp_path: Path, content: str | None, found: str) -> None:
        if content is not None:
            (tmp_path / "bench.json").write_text(content)
        done = run_module("convert", "check", READY, "--target", "pico", "--results", "bench.json", cwd=tmp_path)
        assert done.code == 2
        assert found in done.error_line
        assert "bench.json" in done.error_line

    def test_a_board_file_with_bad_keys_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text("flash = 1")
        done = run_module("convert", "check", READY, "--target", "mine.toml", cwd=tmp_path)
        assert done.code == 2
        assert done.error_line.startswith("convert: mine.toml: unknown key 'flash'")
