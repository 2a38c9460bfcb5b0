"""Bad inputs give a message: the short form of tests/robustness/corpus, and what Hypothesis draws."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from bench.results import document as results_document
from common.files import read_json
from common.toml_config import build, read_toml
from convert.show import card_text
from device.card import Card, Step
from device.errors import CardError, EdgeproofError, ModelError, PictureError
from device.files import parse_json
from device.formats.model_file import read_card
from device.formats.tflite_check import check_tflite
from device.inference import classify
from device.preprocessing.prepare import prepare, run_steps
from tests.conftest import ROOT
from tests.robustness.corpus import documents, fuzz
from tests.robustness.corpus.card_models import OUTSIDE
from tests.robustness.corpus.defect import write
from tests.robustness.corpus.models import GOOD, flips, good_card, good_tflite, signed, truncations
from tests.robustness.corpus.tflite_models import tflite_models
from tests.robustness.torture import inputs

CASES = int(os.environ.get("EDGEPROOF_DRAWN", "300"))  # drawn by each test; `make torture` draws many more
DRAWN = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
DRAWN_BYTES = st.binary(max_size=200) | st.text('{}[]",:=\n#0123456789eE+-.\\utfn aN', max_size=60).map(str.encode)


@pytest.mark.slow
@pytest.mark.parametrize(
    "job", ["target.toml", "board.toml", "bench.json with an arena", "device.toml", "baseline"]
)  # `make torture SHORT=1` tries all, in CI too
def test_commands_survive_the_short_corpus(job: str) -> None:
    counts, lost = inputs.tried(True, [job])
    assert lost == []
    assert sum(count.tried for count in counts) > 20


def classify_in_a_runtime_that(folder: Path, does: str) -> "subprocess.CompletedProcess[str]":
    """Run classify.py with a fake tflite-runtime that does this when it opens a model."""
    fake = f"import os, signal\nclass Interpreter:\n    def __init__(self, **_): {does}\n"
    write(folder / "tflite_runtime" / "__init__.py", b"")
    write(folder / "tflite_runtime" / "interpreter.py", fake.encode())
    command = [sys.executable, str(ROOT / "device" / "classify.py"), str(GOOD), "--self-test", "--runtime", "tflite_runtime"]
    environment = {"PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _names(error: EdgeproofError, file: str) -> None:
    assert file in str(error)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


class TestModels:
    def test_every_truncation_is_found_before_a_runtime_sees_it(self) -> None:
        own, _ = good_tflite()
        for _, data in truncations(own):
            with pytest.raises(ModelError, match="damaged TFLite model"):
                check_tflite(GOOD, data)

    def test_a_flip_is_found_or_the_file_can_be_walked_to_its_end(self) -> None:
        own, _ = good_tflite()
        found = 0
        for data in flips(own, seed=3, count=300):
            try:
                check_tflite(GOOD, data)
            except ModelError:
                found += 1
        assert found > 10

    def test_every_artifact_there_is_passes(self) -> None:
        for path in (ROOT / "data" / "ready").glob("*.tflite"):
            assert read_card(path) is not None

    def test_a_runtime_that_crashes_is_a_line_and_code_1(self, tmp_path: Path) -> None:
        result = classify_in_a_runtime_that(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
        assert result.returncode == 1
        assert f"{GOOD}: the process that worked with it crashed (SIGSEGV)" in result.stderr

    def test_a_process_that_is_terminated_ends_as_terminated(self, tmp_path: Path) -> None:
        result = classify_in_a_runtime_that(tmp_path, "os.kill(os.getppid(), signal.SIGTERM); signal.pause()")
        assert result.returncode == -signal.SIGTERM


class TestCards:
    @pytest.mark.parametrize(
        ("text", "says"),
        [('{"a": NaN}', "NaN"), ('{"a": 1, "a": 2}', "'a' occurs twice"), ('{"a": -Infinity}', "Infinity")],
    )
    def test_what_json_does_not_have_is_refused(self, text: str, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            parse_json(text)

    @pytest.mark.slow
    @DRAWN
    @given(document=fuzz.cards())
    def test_a_drawn_card_is_read_or_refused(self, scratch: Path, document: dict[str, Any]) -> None:
        path = scratch / "drawn.tflite"
        path.unlink(missing_ok=True)
        try:
            signed(path, good_tflite()[0], document)
            card = read_card(path)
        except EdgeproofError as error:
            _names(error, "drawn.tflite")
            return
        assert card is not None
        try:
            card_text(path, "tflite", card)
            run_steps(Image.new("L", (30, 40), 9), card.preprocess)
        except (CardError, PictureError):
            pass


class TestDocuments:
    @DRAWN
    @given(data=DRAWN_BYTES)
    def test_drawn_bytes_are_read_or_refused(self, scratch: Path, data: bytes) -> None:
        path = write(scratch / "drawn.txt", data)
        for read in (read_toml, read_json):
            try:
                read(path)
            except EdgeproofError as error:
                _names(error, "drawn.txt")

    @DRAWN
    @given(table=st.dictionaries(st.sampled_from(["description", "host", "port", "python", "key", "x"]), fuzz.anything))
    def test_drawn_tables_become_a_device_or_are_refused(self, table: dict[str, Any]) -> None:
        from bench.remote.device_config import Device

        try:
            assert build(Device, table, "drawn.toml", name="drawn").name == "drawn"
        except EdgeproofError as error:
            _names(error, "drawn.toml")


class TestPictures:
    @pytest.mark.parametrize("mode", ["F", "I;16", "1", "RGBA"])
    @pytest.mark.parametrize("steps", [[["digit_frame", {"size": 28}]], [["light_on_dark"]], [], [["resize", {"size": 28}]]])
    def test_steps_in_an_order_that_cannot_be_are_the_cards_fault(self, mode: str, steps: list[Any]) -> None:
        card = Card.from_json({**good_card(), "preprocess": steps})
        with pytest.raises(CardError, match="preprocess"):
            prepare(Image.new(mode, (28, 28)), card)

    def test_a_picture_of_nan_is_prepared(self) -> None:
        values = np.full((28, 28), np.nan, np.float32)
        assert run_steps(Image.fromarray(values), [Step("gray")]).max() == 0

    @DRAWN
    @given(image=fuzz.images(), steps=st.just(good_card()["preprocess"]) | fuzz.plausible_steps)
    def test_a_drawn_picture_is_prepared_or_refused(self, image: Image.Image, steps: list[Any]) -> None:
        card = Card.from_json({**good_card(), "preprocess": steps})
        try:
            pixels = prepare(image, card)
        except (PictureError, CardError):
            return
        assert pixels.shape == (28, 28, 1)


def test_the_corpus_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    names = [{path.name: path.read_bytes() for path in _made(tmp_path / part)} for part in ("one", "two")]
    assert names[0] == names[1]
    assert len(names[0]) > 100


def _made(folder: Path) -> list[Path]:
    return [bad.path for bad in documents.preprocesses(folder) if bad.path.is_file()]


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("path",), 1.5, "measurements[0].path is 1.5, expected an object"),
        (("path", "invoke_ms"), None, "measurements[0].path.invoke_ms is None, expected int or float"),
        (("latency", "flags_unknown"), [True], "latency.flags_unknown.0 is True, expected str"),
        (("startup", "processes_ms"), [[1, "x"]], "startup.processes_ms.0.1 is 'x', expected int or float"),
        (("instructions",), {"core": 1}, "instructions.core is 1, expected str"),
    ],
)
def test_a_report_is_not_made_of_parts_that_the_torture_found_it_stumble_over(
    place: tuple[str, ...], value: Any, says: str
) -> None:
    document = json.loads((documents.BASELINE / "bench.json").read_text())
    results_document.from_json(Path("bench.json"), document)
    *above, last = place
    part = document["measurements"][0]
    for name in above:
        part = part[name]
    part[last] = value
    with pytest.raises(EdgeproofError, match=re.escape(says)):
        results_document.from_json(Path("bench.json"), document)


def test_a_machine_without_its_processor_is_damaged() -> None:
    document = json.loads((documents.BASELINE / "bench.json").read_text())
    del document["environments"]["host"]["cpu"]
    with pytest.raises(EdgeproofError, match=r"environments\.host\.cpu is missing, expected str"):
        results_document.from_json(Path("bench.json"), document)


def test_a_model_that_answers_no_scores_while_it_runs_is_refused() -> None:
    class Empty:
        runtime, runtime_version = "litert", "0"

        def tensor(self, pixels: Any) -> Any:
            return pixels

        def infer(self, _: Any) -> Any:
            return np.empty((1, 0), np.float32)

        def scores(self, output: Any) -> Any:
            return output.reshape(-1)

    with pytest.raises(ModelError, match="answers 0 scores for 10 labels"):
        classify(Image.new("L", (28, 28)), Empty(), Card.from_json({**good_card(), "preprocess": [["gray"]]}))  # type: ignore[arg-type]  # no more of a session is used


@pytest.mark.slow
def test_a_member_that_leads_out_of_a_model_is_written_nowhere(tmp_path: Path) -> None:
    bad = next(bad for bad in tflite_models(tmp_path / "bad") if bad.kind == "path traversal")
    command = [sys.executable, str(ROOT / "device" / "classify.py"), str(bad.path), "--self-test"]
    assert subprocess.run(command, cwd=bad.path.parent, capture_output=True, timeout=120, check=False).returncode == 0
    assert not list(tmp_path.rglob(OUTSIDE))


def test_the_budgets_that_bad_results_are_held_against_are_good() -> None:
    assert read_toml(inputs.OWN_BUDGETS)["budget"]
    assert json.loads((documents.BASELINE / "bench.json").read_text())["measurements"]
