"""Converted models of others get a card behind their own bytes; what they say of themselves is not demanded again."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.formats.card_writer import embed
from convert.formats.tflite_metadata import with_metadata
from convert.importing.add_card import CardAdded, CardOptions, add_card
from convert.trained_model import artifact_path, keras_path
from device.card import CardlessOptions
from device.errors import EdgeproofError
from device.formats.model_file import read_card
from device.open_model import open_model
from tests.conftest import classify, run_module
from tests.support.models.tflite_files import brightness_tflite

LABELS = "dark\nlight\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text(LABELS)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A light picture, wider than high."""
    path = tmp_path / "light.png"
    Image.fromarray(np.full((20, 30, 3), 230, np.uint8)).save(path)
    return path


def taken(told: CardOptions) -> CardAdded:
    return add_card(told, lambda _: None)


def steps(found: CardAdded) -> list[Any]:
    return [step.to_json() for step in found.card.preprocess]


class TestCard:
    def test_stands_behind_the_models_own_bytes_and_the_source_stays(self, tmp_path: Path, labels: Path) -> None:
        source = brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255)
        before = source.read_bytes()
        found = taken(CardOptions(source, labels))
        assert found.path == Path("build/bright/bright.given.tflite")
        assert source.read_bytes() == before
        assert found.path.read_bytes()[: len(before)] == before
        card = read_card(found.path)
        assert card is not None
        assert (card.labels, card.variant, card.model) == (("dark", "light"), "given", "bright")
        assert card.document["provenance"]["source"]["file"] == "bright.tflite"
        assert [path.name for path in Path("build").rglob("*") if path.is_file()] == ["bright.given.tflite"]

    @pytest.mark.parametrize(
        ("dtype", "scale", "zero_point", "middle"), [("uint8", 1 / 255, 0, 0.5), ("int8", 1 / 255, -128, 0.5)]
    )
    def test_of_a_quantized_input_takes_the_byte(
        self, tmp_path: Path, labels: Path, picture: Path, dtype: str, scale: float, zero_point: int, middle: float
    ) -> None:
        found = taken(CardOptions(brightness_tflite(tmp_path / "bright.tflite", dtype, scale, zero_point, middle), labels))
        assert steps(found)[-1] == ["input_bytes"]
        assert "light" in classify(found.path, picture, cwd=Path.cwd()).stdout.split(":")[1].split()[0]
        assert classify(found.path, "--self-test", cwd=Path.cwd()).code == 0

    def test_of_a_float_input_takes_the_range_that_is_told(self, tmp_path: Path, labels: Path, picture: Path) -> None:
        source = brightness_tflite(tmp_path / "bright.tflite", middle=0.0)
        with pytest.raises(EdgeproofError, match="nothing in it says which values it takes: give --input-range"):
            taken(CardOptions(source, labels))
        assert not Path("build/bright/bright.given.tflite").exists()
        found = taken(CardOptions(source, labels, "-1..1", fit="stretch"))
        assert steps(found)[2:] == [
            ["stretch", {"size": 8, "filter": "bilinear"}],
            ["input_values", {"scale": [2 / 255], "offset": [-1.0]}],
        ]
        result = classify(found.path, picture, cwd=Path.cwd())
        assert result.stdout.split(": ")[1].startswith("light")

    def test_says_a_range_that_is_given_as_given(self, tmp_path: Path, labels: Path) -> None:
        said: list[str] = []
        add_card(CardOptions(brightness_tflite(tmp_path / "bright.tflite", middle=0.5), labels, "0..1"), said.append)
        assert "  range      0..1 (given by --input-range)" in said[0].splitlines()
        assert "not known: nothing in it says which values" not in said[0]

    def test_has_golden_pictures_of_a_folder_where_one_is_given(self, tmp_path: Path, labels: Path) -> None:
        for name, value in (("dark", 20), ("light", 235)):
            for number in range(6):
                path = tmp_path / "pictures" / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((20, 20, 3), value + number, np.uint8)).save(path)
        source = brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255)
        found = taken(CardOptions(source, labels, pictures=tmp_path / "pictures"))
        card = read_card(found.path)
        assert card is not None
        golden = card.document["golden"]
        assert {entry["top1"] for entry in golden} == {0, 1}
        assert all(entry["clear"] for entry in golden[:2])
        result = classify(found.path, "--self-test", cwd=Path.cwd())
        assert result.code == 0
        assert "golden[0].top1" in result.stdout

    def test_steps_and_values_may_come_from_a_preprocessor_config(self, tmp_path: Path, labels: Path) -> None:
        config = tmp_path / "preprocessor_config.json"
        config.write_text(
            '{"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}, "resample": 3,'
            ' "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
        )
        found = taken(CardOptions(brightness_tflite(tmp_path / "bright.tflite", middle=0.0), labels, preprocess=str(config)))
        assert steps(found)[2] == ["stretch", {"size": 8, "filter": "bicubic"}]
        assert found.card.preprocess[-1].parameters["offset"] == [-1.0, -1.0, -1.0]

    def test_a_config_that_says_what_the_model_does_by_itself_is_not_applied_again(
        self, tmp_path: Path, labels: Path
    ) -> None:
        config = tmp_path / "config.json"
        normalized = {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 8, 8], "interpolation": "bilinear"}
        config.write_text(json.dumps(normalized))
        path = brightness_tflite(tmp_path / "bright.tflite", front=[("SUB", 0.5), ("DIV", 0.25)], middle=0.0)
        found = taken(CardOptions(path, labels, preprocess=str(config)))
        assert found.card.preprocess[-1].parameters == {"scale": [1 / 255], "offset": [0.0]}


class TestStandardMetadata:
    @pytest.fixture
    def described(self, tmp_path: Path) -> Path:
        """A float model whose standard metadata names its labels and says that it takes 0..255."""
        path = brightness_tflite(tmp_path / "bright.tflite", middle=128.0, gain=0.5)
        about = {
            "model": "bright",
            "labels": ["dark", "light"],
            "variant": "float32",
            "preprocess": [["rgb"]],
            "input": {"channels": 3},
        }
        path.write_bytes(with_metadata(path.read_bytes(), about))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labels.txt", "dark\nlight\n")
        return path

    def test_is_read_and_not_demanded_again(self, described: Path, picture: Path) -> None:
        before = described.read_bytes()
        found = taken(CardOptions(described))
        assert found.card.labels == ("dark", "light")
        assert steps(found)[-1][0] == "center_crop"
        with zipfile.ZipFile(described) as archive:
            own = min(member.header_offset for member in archive.infolist())
        assert found.path.read_bytes()[:own] == before[:own]
        with zipfile.ZipFile(found.path) as archive:
            assert archive.namelist() == ["labels.txt", "edgeproof/card.json"]
        assert classify(found.path, picture, cwd=Path.cwd()).stdout.split(": ")[1].startswith("light")


def test_two_equal_labels_are_said_and_taken(tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels.write_text("same\nsame\n")
    source = brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255)
    said: list[str] = []
    assert add_card(CardOptions(source, labels), said.append).card.labels == ("same", "same")
    assert "note: 'same' is label 0 and 1: answers do not tell them apart" in said
    open_model(source, CardlessOptions(labels), 1, None)
    assert "note: 'same' is label 0 and 1" in capsys.readouterr().err


class TestRefused:
    def test_what_contradicts_a_quantized_input(self, tmp_path: Path, labels: Path) -> None:
        source = brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255)
        with pytest.raises(EdgeproofError, match=r"--input-range -1..1: its input of type uint8 holds 0..1: .* contradicts"):
            taken(CardOptions(source, labels, "-1..1"))

    def test_labels_that_do_not_fit_say_both_numbers(self, tmp_path: Path, labels: Path) -> None:
        labels.write_text("a\nb\nc\n")
        with pytest.raises(EdgeproofError, match=r"3 labels in .*, the model has 2 outputs"):
            taken(CardOptions(brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255), labels))

    def test_a_file_that_has_a_card(self, tmp_path: Path, labels: Path) -> None:
        found = taken(CardOptions(brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255), labels))
        with pytest.raises(EdgeproofError, match=r"bright\.given\.tflite: has a card"):
            taken(CardOptions(found.path, labels))

    def test_a_name_that_another_model_has(self, tmp_path: Path, labels: Path) -> None:
        Path("build/bright").mkdir(parents=True)
        Path("build/bright/bright.card.json").write_text("{}")
        with pytest.raises(EdgeproofError, match="holds a model that artifacts are made of: choose another --name"):
            taken(CardOptions(brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255), labels))

    def test_steps_for_another_input(self, tmp_path: Path, labels: Path) -> None:
        steps = tmp_path / "steps.json"
        steps.write_text('{"preprocess": [["rgb"]], "input": {"height": 9, "width": 9, "range": "0..1"}}')
        source = brightness_tflite(tmp_path / "bright.tflite")
        with pytest.raises(EdgeproofError, match=r"takes 8×8×3 NHWC, --preprocess .* is for another input"):
            taken(CardOptions(source, labels, preprocess=str(steps)))

    @pytest.mark.parametrize("share", [1, 2, 3])
    def test_a_file_that_is_cut_off(self, tmp_path: Path, labels: Path, share: int) -> None:
        source = brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255)
        source.write_bytes(source.read_bytes()[: source.stat().st_size * share // 4])
        with pytest.raises(EdgeproofError, match="copy it again"):
            taken(CardOptions(source, labels))


class TestByName:
    def test_other_commands_find_it_or_say_why_not(self, tmp_path: Path, labels: Path) -> None:
        found = taken(CardOptions(brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255), labels, name="mine"))
        assert artifact_path("mine", "int8") == found.path
        with pytest.raises(EdgeproofError, match="is used as it is: there is no float model of it"):
            keras_path("mine")

    def test_the_command_says_what_it_understood_and_wrote(self, tmp_path: Path, labels: Path) -> None:
        source = brightness_tflite(tmp_path / "bright.tflite", "int8", 1 / 255, -128)
        result = run_module("convert", "card", source, "--labels", labels, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert "its int8 input of 8×8×3 holds 0..1: 0..1, a pixel is its byte - 128" in result.stdout
        assert "build/bright/bright.given.tflite: 2 labels" in result.stdout.splitlines()[-1]
        inspected = run_module("convert", "inspect", source, cwd=tmp_path)
        assert inspected.stdout.endswith(f"edgeproof convert card {source} --labels FILE\n")
        refused = run_module("convert", "run", source, "--labels", labels, "--calibration", tmp_path, cwd=tmp_path)
        assert (refused.code, "`convert card` takes it as it is" in refused.error_line) == (2, True)


def test_a_second_labels_file_is_not_added(tmp_path: Path) -> None:
    path = brightness_tflite(tmp_path / "bright.tflite", "uint8", 1 / 255)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "dark\nlight\n")
    document = {
        "schema": 1,
        "model": "bright",
        "variant": "given",
        "labels": ["dark", "light"],
        "input": {"height": 8, "width": 8, "channels": 3, "pixels": "0..255"},
        "preprocess": [["rgb"]],
    }
    assert embed(path, document).labels == ("dark", "light")
