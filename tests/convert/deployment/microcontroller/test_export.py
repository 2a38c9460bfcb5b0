"""An exported folder: the model's bytes, tables that compile, golden pictures, and nothing half written."""

import base64
import io
import json
import os
import re
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from common.micro_figures import MeasuredFigures
from convert.deployment.microcontroller.board import Board, find_board
from convert.deployment.microcontroller.export import Exported, NotMeasured, _readme, write_export
from convert.deployment.microcontroller.golden_vectors import golden_vectors
from convert.deployment.microcontroller.sources import Model
from device.card import Card
from device.errors import CardError, CheckFailed, EdgeproofError
from device.formats.model_file import read_card
from device.preprocessing.prepare import prepare, read_picture
from tests.conftest import Tiny, run_module
from tests.support.c_arrays import array_in
from tests.support.markdown import HOSTILE_TEXTS, as_shown, shown
from tests.support.microcontrollers import OPERATIONS, figures, saved_results
from tests.support.models.model_files import READY, bare_copy, own_bytes

WARNINGS = ("-Wall", "-Wextra", "-Werror")
HEADERS = Path(__file__).with_name("tflm_headers")
PICO = find_board("pico")
NAMES = {"model.h", "model.c", "golden.h", "golden.c", "operations.h", "main.cc", "README.md"}


def measured(path: Path = READY, **changes: object) -> MeasuredFigures:
    found = figures(path, **changes)
    return MeasuredFigures({found.model_sha256: found}, {})


def export(folder: Path, board: Board = PICO) -> Exported:
    return write_export(READY, board, folder / "out", measured())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the ready model for a Pico."""
    return export(tmp_path_factory.mktemp("export")).folder


@pytest.fixture(scope="module")
def card() -> Card:
    found = read_card(READY)
    assert found is not None
    return found


def defined(header: Path) -> dict[str, str]:
    return dict(re.findall(r"^#define (\w+) ([^ \n]+)", header.read_text(), re.MULTILINE))


class TestContent:
    def test_is_seven_files(self, exported: Path) -> None:
        assert {path.name for path in exported.iterdir()} == NAMES

    def test_the_array_is_the_model_whose_hash_the_card_has(self, exported: Path, card: Card) -> None:
        data = array_in(exported / "model.c", "model_data", "uint8").tobytes()
        assert data == own_bytes(READY)
        assert sha256(data).hexdigest() == card.document["model_sha256"]
        assert card.document["model_sha256"] in (exported / "model.h").read_text()
        assert card.document["model_sha256"] in (exported / "README.md").read_text()

    def test_the_header_has_arena_shapes_and_quantization(self, exported: Path) -> None:
        found = defined(exported / "model.h")
        expected = {"MODEL_BYTES": str(len(own_bytes(READY))), "MODEL_ARENA_BYTES": "31552", "MODEL_INPUT_VALUES": "784"}
        expected |= {"MODEL_INPUT_SCALE": "1.0f", "MODEL_INPUT_ZERO_POINT": "0", "MODEL_CLASSES": "10"}
        expected |= {"MODEL_OUTPUT_SCALE": "0.00390625f", "MODEL_OUTPUT_ZERO_POINT": "0", "MODEL_OUTPUT_VALUES": "10"}
        assert {key: found[key] for key in expected} == expected

    def test_the_labels_are_the_cards(self, exported: Path, card: Card) -> None:
        text = (exported / "model.c").read_text().partition("model_labels")[2]
        assert re.findall(r'"(.*)"', text) == list(card.labels)

    def test_the_inputs_are_the_golden_pictures_prepared(self, exported: Path, card: Card) -> None:
        entries = card.document["golden"]
        pictures = [prepare(read_picture(io.BytesIO(base64.b64decode(entry["png"]))), card) for entry in entries]
        inputs = array_in(exported / "golden.c", "golden_inputs", "uint8").reshape(len(entries), 28, 28, 1)
        assert (inputs == np.stack(pictures)).all()

    def test_the_outputs_are_what_the_reference_kernels_answer(self, exported: Path, card: Card) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        interpreter = Interpreter(
            model_content=own_bytes(READY), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
        )
        interpreter.allocate_tensors()
        takes, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        inputs = array_in(exported / "golden.c", "golden_inputs", "uint8").reshape(-1, 1, 28, 28, 1)
        outputs = array_in(exported / "golden.c", "golden_outputs", "uint8").reshape(-1, 10)
        for given, expected, entry in zip(inputs, outputs, card.document["golden"], strict=True):
            interpreter.set_tensor(takes["index"], given)
            interpreter.invoke()
            assert (interpreter.get_tensor(gives["index"])[0] == expected).all()
            assert not entry["clear"] or expected.argmax() == entry["top1"]

    def test_the_readme_has_ten_lines_and_says_what_was_not_compiled(self, exported: Path) -> None:
        text = (exported / "README.md").read_text()
        assert len(text.splitlines()) == 10
        assert text.startswith("# mnist_cnn int8 for Raspberry Pi Pico (Cortex-M0+)\n")
        assert "`main.cc` and `operations.h` were not compiled, and nothing ran on a board" in text
        assert "tflite-micro 0.dev1 answered 111 of 111 pictures as LiteRT's reference kernels, bit for bit" in text
        assert "the least on a 64-bit host with the reference kernels (other kernels may need more)" in text

    @pytest.mark.parametrize("text", HOSTILE_TEXTS)
    def test_the_readme_shows_names_as_they_are(self, card: Card, text: str) -> None:
        """A card and a file of results may come from anyone."""
        named = replace(card, model=text)
        found = replace(figures(READY), interpreter=text)
        seen = shown(_readme(Model(PICO, named, own_bytes(READY), found, golden_vectors(READY)), None))
        assert seen.acts == []
        assert f"{as_shown(text)} {card.variant} for " in seen.text
        assert f"Shown here: {as_shown(text)} answered" in seen.text

    def test_without_a_compiler_it_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        done = export(tmp_path)
        assert done.compiler is None
        assert "compiled here: nothing: no C compiler is here; not compiled here: main.cc, operations.h" in done.line
        assert "nothing was compiled" in (done.folder / "README.md").read_text()


def compiled(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def cxx_options(folder: Path, wrong: int) -> list[str | Path]:
    return ["-std=c++17", *WARNINGS, "-I", HEADERS, "-I", folder, f"-DSTAND_IN_WRONG={wrong}"]


class TestCompiles:
    def test_the_array_and_the_tables_without_warnings(self, exported: Path, tmp_path: Path, gcc: str) -> None:
        for standard in ("c11", "c17"):
            for name in ("model.c", "golden.c"):
                compiled(gcc, f"-std={standard}", *WARNINGS, "-pedantic", "-c", exported / name, "-o", tmp_path / "o")

    def test_the_array_lies_at_a_multiple_of_16(self, exported: Path, tmp_path: Path, gcc: str) -> None:
        (tmp_path / "at.c").write_text(
            '#include "model.h"\nint main(void) { return (int)((uintptr_t)model_data % 16) + (model_data[4] != 84); }\n'
        )
        files = [tmp_path / "at.c", exported / "model.c"]
        subprocess.run([gcc, "-std=c11", *WARNINGS, "-I", exported, *files, "-o", tmp_path / "at"], check=True)
        assert subprocess.run([tmp_path / "at"], check=False).returncode == 0  # 84 is the T of TFL3

    def test_the_program_against_headers_that_stand_for_the_interpreter(
        self, exported: Path, tmp_path: Path, cxx: str, gcc: str
    ) -> None:
        """It runs, too: the stand-in answers each picture with its expected outputs, or with one that is wrong."""
        objects = []
        for name in ("model.c", "golden.c"):
            objects.append(tmp_path / f"{name}.o")
            compiled(gcc, "-std=c11", "-c", exported / name, "-o", objects[-1])
        for wrong in (0, 1):
            program = tmp_path / f"program{wrong}"
            compiled(cxx, *cxx_options(exported, wrong), exported / "main.cc", *objects, "-o", program)
            done = subprocess.run([program], capture_output=True, text=True, check=False)
            lines = done.stdout.splitlines()
            assert done.returncode == wrong
            assert lines[0] == "golden picture 0: 0, 0 of 10 outputs differ"
            assert lines[-1] == ("FAIL: 1 outputs differ" if wrong else "PASS: 0 outputs differ")

    def test_a_float_model_too(self, tiny: Tiny, tmp_path: Path, cxx: str) -> None:
        path = tiny.artifact("float32.tflite")
        done = write_export(path, replace(PICO, flash_kib=8192), tmp_path / "out", measured(path))
        assert done.compiler is not None
        text = (done.folder / "model.h").read_text()
        assert "typedef float model_input_t;" in text
        assert "#define GOLDEN_TOLERANCE 1e-04f" in (done.folder / "golden.h").read_text()
        vectors = golden_vectors(path)
        outputs = array_in(done.folder / "golden.c", "golden_outputs", "float32")
        assert (outputs == vectors.outputs.values.reshape(-1)).all()
        compiled(cxx, *cxx_options(done.folder, 0), "-fsyntax-only", done.folder / "main.cc")

    @pytest.mark.usefixtures("gcc")
    def test_labels_that_are_hard_to_write(self, tmp_path: Path) -> None:
        document = json.loads(json.dumps(dict(read_card(READY).document)))  # type: ignore[union-attr]
        document["labels"] = [*'"\\?%', "ä", "??/", "*/", "//", "a b", "日本"]
        path = with_card(tmp_path / "m.int8.tflite", document)
        done = write_export(path, PICO, tmp_path / "out", measured())
        assert done.compiler is not None


def with_card(path: Path, document: dict[str, object]) -> Path:
    """Write the ready model with another card."""
    import zipfile

    own = own_bytes(READY)
    path.write_bytes(own)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("edgeproof/card.json", json.dumps(document))
    return path


class TestRefused:
    def test_what_does_not_fit(self, tmp_path: Path) -> None:
        small = measured(arena_bytes=600_000, tensor_bytes=600_000)
        with pytest.raises(CheckFailed, match=r"mnist_cnn\.int8\.tflite: pico: does not fit: arena 600\.0 kB"):
            write_export(READY, PICO, tmp_path / "out", small)
        assert list(tmp_path.iterdir()) == []

    def test_what_has_no_measured_arena(self, tmp_path: Path) -> None:
        with pytest.raises(NotMeasured, match=r"not known: .*`make setup-micro` makes it") as caught:
            write_export(READY, PICO, tmp_path / "out", MeasuredFigures({}, {}))
        assert caught.value.exit_code == 3
        assert list(tmp_path.iterdir()) == []

    def test_what_has_no_card(self, tmp_path: Path) -> None:
        with pytest.raises(CardError, match="has no card: `edgeproof convert card"):
            write_export(bare_copy(READY, tmp_path), PICO, tmp_path / "out", measured())

    def test_what_has_no_golden_pictures(self, tmp_path: Path) -> None:
        document = dict(read_card(READY).document)  # type: ignore[union-attr]
        del document["golden"]
        path = with_card(tmp_path / "m.int8.tflite", document)
        with pytest.raises(CardError, match="its card has no golden pictures"):
            write_export(path, PICO, tmp_path / "out", measured())

    def test_an_operation_that_the_resolver_does_not_know(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"mnist_cnn\.int8\.tflite: needs the operation 'custom x'"):
            write_export(READY, PICO, tmp_path / "out", measured(operations=(*OPERATIONS, "custom x")))
        assert list(tmp_path.iterdir()) == []

    def test_an_arena_that_only_the_board_can_judge_is_exported(self, tmp_path: Path) -> None:
        done = write_export(READY, PICO, tmp_path / "out", measured(arena_bytes=280_000, tensor_bytes=100_000))
        assert "only the board can tell" in done.line


class TestCommand:
    def export(self, folder: Path, *more: str | Path) -> tuple[int, str, str]:
        done = run_module("convert", "export", READY, "--results", "bench.json", *more, cwd=folder)
        return done.code, done.stdout, done.stderr

    def test_writes_the_folder_and_says_what_was_compiled(self, tmp_path: Path) -> None:
        saved_results(tmp_path, figures())
        code, said, _ = self.export(tmp_path, "--target", "pico", "--output", "out")
        assert code == 0
        assert said.startswith("out: fits: model ")
        assert said.endswith("; not compiled here: main.cc, operations.h\n")
        assert {path.name for path in (tmp_path / "out").iterdir()} == NAMES

    def test_a_folder_that_exists_stays_as_it_is(self, tmp_path: Path) -> None:
        saved_results(tmp_path, figures())
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("mine")
        code, _, said = self.export(tmp_path, "--target", "pico", "--output", "out")
        assert code == 2
        assert said == "convert: out: exists already and stays as it is: remove it, or write elsewhere with --output DIR\n"
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]

    def test_a_read_only_folder_is_one_line(self, tmp_path: Path) -> None:
        if os.geteuid() == 0:
            place = Path("/proc/edgeproof")  # nobody may write there, root neither
        else:
            place = tmp_path / "closed" / "out"
            place.parent.mkdir(mode=0o500)
        saved_results(tmp_path, figures())
        code, _, said = self.export(tmp_path, "--target", "pico", "--output", place)
        assert code == 2
        assert len(said.splitlines()) == 1
        assert "cannot be written" in said
        assert {path.name for path in tmp_path.iterdir()} <= {"bench.json", "bench.npz", "closed"}

    def test_a_target_that_is_no_board_names_bundle(self, tmp_path: Path) -> None:
        saved_results(tmp_path, figures())
        code, _, said = self.export(tmp_path, "--target", "pi4_bookworm")
        assert code == 2
        assert "'pi4_bookworm' is no microcontroller's board: there are esp32s3, " in said
        assert "use `edgeproof convert bundle`" in said

    def test_bundle_names_export_for_a_board(self, tmp_path: Path) -> None:
        done = run_module("convert", "bundle", READY, "--target", "pico", cwd=tmp_path)
        assert done.code == 2
        assert "pico is a microcontroller's board, where no Python runs: `edgeproof convert export`" in done.error_line

    def test_without_a_measured_arena_it_ends_with_3(self, tmp_path: Path) -> None:
        done = run_module("convert", "export", READY, "--target", "pico", "--output", "out", cwd=tmp_path)
        assert done.code == 3
        assert "not known" in done.error_line
        assert list(tmp_path.iterdir()) == []
