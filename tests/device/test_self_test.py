"""The self-test: with its golden pictures, an artifact checks that it answers here as it did where it was made."""

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.formats.card_writer import embed
from device.errors import CardError
from device.formats.model_file import CARD_KEY, read_card, split_card
from device.open_model import open_session
from device.self_test import self_test
from tests.conftest import CONVERTED, TFLITE, Tiny, classify
from tests.robustness.corpus.models import signed
from tests.support.models.model_files import bare_copy
from tests.support.served import READY

RUNTIMES = {"tflite": TFLITE, "onnx": ("onnxruntime",)}
CASES = [(variant.key, runtime) for variant in CONVERTED for runtime in RUNTIMES[variant.format]]


def card_of(path: Path) -> dict[str, Any]:
    card = read_card(path)
    assert card is not None
    return dict(card.document)


def tampered(tiny: Tiny, key: str, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of an artifact whose card was changed and embedded again."""
    document = copy.deepcopy(card_of(tiny.artifact(key)))
    del document["model_sha256"]
    change(document)
    path = bare_copy(tiny.artifact(key), folder)
    if path.suffix == ".tflite":
        return signed(path, path.read_bytes(), document)  # `embed` would refuse some of these
    embed(path, document)
    return path


@pytest.mark.parametrize(("key", "runtime"), CASES)
def test_every_artifact_passes_in_every_runtime_that_claims_it(tiny: Tiny, key: str, runtime: str) -> None:
    options = ["--runtime", runtime] if key.endswith(".tflite") else []
    result = classify(tiny.artifact(key), "--self-test", *options, cwd=tiny.workspace)
    assert result.code == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1].startswith("PASS")
    assert sum("input_sha256" in line for line in lines) == len(card_of(tiny.artifact(key))["golden"])


class TestGoldenPictures:
    def test_are_all_classes_with_clear_margins_and_one_near_the_border(self, tiny: Tiny) -> None:
        golden = card_of(tiny.artifact("float32.tflite"))["golden"]
        assert 8 <= len(golden) <= 11
        assert not golden[-1]["clear"]
        scores = sorted(golden[-1]["scores"].values())
        assert scores[-1] - scores[-2] < 0.9

    def test_add_under_10_kb(self, tiny: Tiny, tmp_path: Path) -> None:
        def without_golden(document: dict[str, Any]) -> None:
            del document["golden"]

        for key in ("int8.tflite", "float32.tflite"):
            bare = tampered(tiny, key, tmp_path, without_golden)
            assert tiny.artifact(key).stat().st_size - bare.stat().st_size < 10_000
            bare.unlink()

    def test_come_from_the_validation_part(self, tiny: Tiny) -> None:
        validation = {path.read_bytes() for path in (tiny.data / "val").glob("*/*.png")}
        import io

        from PIL import Image

        pictures = {Image.open(io.BytesIO(data)).tobytes() for data in validation}
        for entry in card_of(tiny.artifact("int8.tflite"))["golden"]:
            assert Image.open(io.BytesIO(base64.b64decode(entry["png"]))).tobytes() in pictures


class TestDeviations:
    @pytest.mark.parametrize("key", ["float32.tflite", "int8.tflite", "float32.onnx"])
    def test_another_score_is_named_and_code_1(self, tiny: Tiny, tmp_path: Path, key: str) -> None:
        def change(document: dict[str, Any]) -> None:
            place = next(n for n, entry in enumerate(document["golden"]) if entry["clear"] or "float" in key)
            scores = document["golden"][place]["scores"]
            scores["0"] += 0.01

        result = classify(tampered(tiny, key, tmp_path, change), "--self-test", cwd=tmp_path)
        assert result.code == 1
        assert result.stdout.splitlines()[-1].startswith("FAIL")
        assert ".scores" in result.stdout.splitlines()[-1]

    @pytest.mark.parametrize(("key", "passes"), [("int8.tflite", False), ("int8.onnx", True), ("dynamic_int8.tflite", True)])
    def test_near_the_border_another_score_counts_only_where_it_is_exact(
        self, tiny: Tiny, tmp_path: Path, key: str, passes: bool
    ) -> None:
        def change(document: dict[str, Any]) -> None:
            border = document["golden"][-1]
            border["clear"] = False
            border["scores"]["0"] += 0.2

        result = classify(tampered(tiny, key, tmp_path, change), "--self-test", cwd=tmp_path)
        assert result.code == (0 if passes else 1), result.stdout

    def test_another_preprocessing_is_named_and_code_1(self, tiny: Tiny, tmp_path: Path) -> None:
        def change(document: dict[str, Any]) -> None:
            document["preprocess"].insert(2, ["resize", {"size": 20}])  # ["exif_orientation"], ["gray"], here

        result = classify(tampered(tiny, "int8.tflite", tmp_path, change), "--self-test", cwd=tmp_path)
        assert result.code == 1
        assert "input_sha256" in result.stdout.splitlines()[-1]

    def test_another_top_class_is_named(self, tiny: Tiny, tmp_path: Path) -> None:
        def change(document: dict[str, Any]) -> None:
            for entry in document["golden"]:
                entry["clear"], entry["top1"] = True, (entry["top1"] + 1) % 10

        path = tampered(tiny, "float32.tflite", tmp_path, change)
        card = read_card(path)
        assert card is not None
        failed = {check.field for check in self_test(open_session(path, card), card) if not check.passed}
        assert {f"golden[{n}].top1" for n in range(len(card.document["golden"]))} == failed

    @pytest.mark.parametrize(
        "damage",
        [
            lambda entry: entry.pop("png"),
            lambda entry: entry.update(png="%%%"),
            lambda entry: entry.update(scores={"99": 1.0}),
            lambda entry: entry.update(scores=[]),
            lambda entry: entry.update(top1="seven"),
        ],
    )
    def test_a_damaged_golden_picture_is_an_error_that_names_it(
        self, tiny: Tiny, tmp_path: Path, damage: Callable[[dict[str, Any]], Any]
    ) -> None:
        def change(document: dict[str, Any]) -> None:
            document["golden"][3]["clear"] = True
            damage(document["golden"][3])

        path = tampered(tiny, "int8.tflite", tmp_path, change)
        result = classify(path, "--self-test", cwd=tmp_path)
        assert result.code == 2
        assert "golden[3]" in result.error_line

    def test_a_card_without_golden_pictures_says_so(self, tiny: Tiny, tmp_path: Path) -> None:
        path = tampered(tiny, "int8.tflite", tmp_path, lambda document: document.pop("golden"))
        card = read_card(path)
        assert card is not None
        with pytest.raises(CardError, match="no golden pictures"):
            self_test(open_session(path, card), card)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_score_that_is_no_number_fails(monkeypatch: pytest.MonkeyPatch, place: int, number: float) -> None:
    """Python's max loses a NaN that is not the first, and NaN is not above the limit: it is looked for by itself."""
    card = read_card(READY)
    assert card is not None
    session = open_session(READY, card)
    answered = session.scores

    def broken(output: Any) -> Any:
        scores = answered(output)
        scores[place] = number
        return scores

    monkeypatch.setattr(session, "scores", broken)
    failed = {check.field for check in self_test(session, card) if not check.passed}
    assert failed == {f"golden[{n}].scores" for n in range(len(card.document["golden"]))}


def test_the_card_is_where_the_design_puts_it() -> None:
    assert CARD_KEY == "edgeproof/card.json"


@pytest.mark.parametrize("passes", [True, False])
def test_as_json_it_is_a_line_for_each_check_and_one_for_the_verdict(tmp_path: Path, passes: bool) -> None:
    card = read_card(READY)
    assert card is not None
    document = copy.deepcopy(dict(card.document))
    if not passes:
        document["golden"][0]["input_sha256"] = "0" * 64
    model = signed(tmp_path / READY.name, split_card(READY, READY.read_bytes())[0], document)
    done = classify(model, "--self-test", "--json", cwd=tmp_path)
    *checks, verdict = (json.loads(line) for line in done.stdout.splitlines())
    failed = [] if passes else ["golden[0].input_sha256"]
    assert [check["check"] for check in checks if not check["passed"]] == failed
    assert (done.code, verdict["passed"], verdict["failed"]) == (0 if passes else 1, passes, failed)
    assert verdict["checks"] == len(checks) > len(document["golden"])
