"""Models that were not trained here: what they take and give is settled or refused, then they are models like any other."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.results.store import load_results
from common.files import sha256_of
from convert.variants import find_variants
from device.formats.model_file import read_card
from tests.conftest import Finished, classify, run_module
from tests.support.models.imported_models import COLOURS, Paint, colour_network, save

KEYS = [variant.key for variant in find_variants([])]


@dataclass(frozen=True)
class Converted:
    """A model from elsewhere that the command has converted."""

    result: Finished
    folder: Path
    workspace: Path


@pytest.fixture(scope="module")
def converted(paint: Paint, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    workspace = tmp_path_factory.mktemp("elsewhere")
    path = save(colour_network(), workspace)
    options: list[str | Path] = [
        "--labels",
        paint.labels,
        "--calibration",
        paint.classes,
        "--input-range",
        "-1..1",
        "--name",
        "colours",
    ]
    result = run_module("convert", "run", path, *options, cwd=workspace)
    return Converted(result, workspace / "build" / "colours", workspace)


class TestCommand:
    def test_makes_every_default_variant_and_says_what_it_compared(self, converted: Converted) -> None:
        assert converted.result.code == 0, converted.result.stdout + converted.result.stderr
        made = {path.name.removeprefix("colours.") for path in converted.folder.iterdir()}
        assert made == {*KEYS, "keras", "card.json"}
        assert "24 to calibrate with, 12 held out of them" in converted.result.stdout
        assert "note: 24 pictures are few" in converted.result.stdout
        assert "Keras answers 12 of 12" in converted.result.stdout
        assert converted.result.stdout.count("answers 0 of 12 validation pictures differently from float") == len(KEYS)

    @pytest.mark.parametrize("key", KEYS)
    def test_each_carries_the_whole_card(self, converted: Converted, key: str) -> None:
        card = read_card(converted.folder / f"colours.{key}")
        assert card is not None
        provenance = card.document["provenance"]
        assert card.labels == tuple(COLOURS)
        assert provenance["source"]["file"] == "paint.keras"
        assert provenance["source"]["sha256"] == sha256_of(converted.workspace / "paint.keras")
        assert provenance["source_sha256"] == sha256_of(converted.folder / "colours.keras")
        assert len(card.document["golden"]) >= 8
        agreement = card.document["accuracy"]["validation_agreement"]
        assert (agreement["agree"], agreement["total"], agreement["undecided"]) == (12, 12, 0)
        assert agreement["margin"] == (0.1 if "int8" in key else 0.005)
        assert ("calibration" in provenance) == key.startswith("int")
        if "calibration" in provenance:
            assert (provenance["calibration"]["count"], provenance["calibration"]["classes"]) == (24, [8, 8, 8])

    def test_the_artifacts_pass_their_self_test_and_classify(self, converted: Converted, paint: Paint) -> None:
        for key in ("int8.tflite", "int8.onnx"):
            result = classify(f"colours.{key}", "--self-test", cwd=converted.folder)
            assert result.code == 0, result.stdout
        result = classify("colours.int8.tflite", paint.flat / "blue3.png", "--json", cwd=converted.folder)
        assert json.loads(result.stdout)["top"][0]["label"] == "blue"

    @pytest.mark.slow
    def test_the_doctor_finds_it_healthy_by_its_name(self, converted: Converted) -> None:
        result = run_module("convert", "doctor", "colours", "--variant", "int8.tflite", cwd=converted.workspace)
        assert result.code == 0, result.stdout + result.stderr
        assert "no finding" in result.stdout
        assert "look" in result.stdout

    @pytest.mark.slow
    def test_it_can_be_converted_again_by_its_name(self, converted: Converted) -> None:
        result = run_module("convert", "run", "colours", "--variants", "float32.onnx", cwd=converted.workspace)
        assert result.code == 0, result.stderr

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["paint.keras"], "give --calibration DIR and the options that `edgeproof convert inspect paint.keras` names"),
            (["colours"], "unknown model 'colours'"),
            (["paint.keras", "--labels", "labels.txt"], "needs --calibration DIR"),
            (["paint.keras", "--input-range", "0..1"], "needs --calibration DIR"),
            (["a.keras", "b.keras", "--labels", "x", "--calibration", "y"], "need exactly one FILE"),
            (["nowhere.keras", "--labels", "labels.txt", "--calibration", "."], "no such file"),
            (["paint.keras", "--labels", "nowhere.txt", "--calibration", "."], "nowhere.txt: cannot be read"),
        ],
    )
    def test_wrong_usage_is_one_line_and_code_2(
        self, paint: Paint, tmp_path: Path, arguments: list[str], found: str
    ) -> None:
        (tmp_path / "paint.keras").write_bytes(b"")
        (tmp_path / "labels.txt").write_bytes(paint.labels.read_bytes())
        result = run_module("convert", "run", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line
        assert not (tmp_path / "build").exists()

    @pytest.mark.slow
    def test_bench_measures_it(self, converted: Converted, tmp_path: Path) -> None:
        told: list[str | Path] = [converted.folder / "colours.float32.onnx", "--seconds", "0.1"]
        result = run_module("bench", "run", *told, cwd=tmp_path)
        assert result.code == 0, result.stderr
        (row,) = load_results(tmp_path / "build" / "bench.json").rows
        assert row.accuracy is not None
        assert (row.subject.model, row.accuracy.correct, row.accuracy.total) == ("colours", 12, 12)

    @pytest.mark.slow
    def test_bench_measures_latency_and_asks_for_labels_where_there_are_none(self, paint: Paint, tmp_path: Path) -> None:
        path = save(colour_network(), tmp_path)
        options: list[str | Path] = [
            "--labels",
            paint.labels,
            "--calibration",
            paint.flat,
            "--input-range",
            "-1..1",
            "--variants",
            "float32.onnx",
        ]
        assert run_module("convert", "run", path, *options, cwd=tmp_path).code == 0
        artifact = tmp_path / "build" / "paint" / "paint.float32.onnx"
        result = run_module("bench", "run", artifact, "--seconds", "0.1", cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert "have no labels: for its accuracy give --data FOLDER" in result.stdout
        (row,) = load_results(tmp_path / "build" / "bench.json").rows
        assert (row.accuracy, row.latency.queries > 0) == (None, True)
