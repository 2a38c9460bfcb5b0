"""A timm config.json: the steps of timm's own evaluation transform, or refused by its field."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.importing.preprocessing import read_preprocess
from device.errors import EdgeproofError
from device.preprocessing.prepare import run_steps

CONFIG = {
    "input_size": [3, 224, 224],
    "interpolation": "bicubic",
    "crop_pct": 0.95,
    "crop_mode": "center",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def read(folder: Path, change: dict[str, Any] | None = None, **beside: Any) -> Any:
    path = folder / "config.json"
    path.write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": CONFIG | (change or {}), **beside}))
    return read_preprocess(path)


def steps(asked: Any) -> list[Any]:
    return [step.to_json() for step in asked.steps[2:]]


class TestSteps:
    def test_enlarge_by_the_share_then_cut_as_torchvision_does(self, tmp_path: Path) -> None:
        assert steps(read(tmp_path)) == [  # floor(224 / 0.95) = 235
            ["resize", {"size": 235, "filter": "bicubic", "rounding": "down"}],
            ["center_crop", {"size": 224, "rounding": "even"}],
        ]

    def test_without_a_share_take_timms_own(self, tmp_path: Path) -> None:
        assert steps(read(tmp_path, {"crop_pct": None}))[0][1]["size"] == 256

    def test_squash_stretches(self, tmp_path: Path) -> None:
        squashed = {"crop_mode": "squash", "crop_pct": 1.0, "input_size": [3, 160, 256]}
        assert steps(read(tmp_path, squashed)) == [["stretch", {"size": [160, 256], "filter": "bicubic"}]]

    def test_an_input_that_is_not_square_is_covered_and_cut(self, tmp_path: Path) -> None:
        asked = read(tmp_path, {"input_size": [3, 160, 256], "crop_pct": 1.0})
        assert run_steps(Image.new("RGB", (1000, 500)), asked.steps).shape == (160, 256, 3)

    def test_round_as_torchvision_does(self, tmp_path: Path) -> None:
        """The longer side of 641×240 is int(239 · 641 / 240) = 638, and half of an odd rest goes to the even pixel."""
        asked = read(tmp_path, {"input_size": [3, 239, 239], "crop_pct": 1.0, "interpolation": "nearest"})
        wide = np.zeros((240, 641, 3), np.uint8)
        wide[:, ::2] = 255
        found = run_steps(Image.fromarray(wide), asked.steps)
        resized = Image.fromarray(wide).resize((638, 239), Image.Resampling.NEAREST)  # int(239 · 641 / 240)
        left = 200  # round((638 - 239) / 2) = round(199.5), to the even one
        assert (found == np.asarray(resized.crop((left, 0, left + 239, 239)))).all()

    def test_one_channel_is_gray(self, tmp_path: Path) -> None:
        asked = read(tmp_path, {"input_size": [1, 28, 28], "mean": [0.1], "std": [0.3]})
        assert asked.steps[1].name == "gray"
        assert asked.channels == 1

    def test_values_are_those_of_the_mean_and_deviation(self, tmp_path: Path) -> None:
        white = read(tmp_path).input_range.values(np.full((1, 1, 3), 255, np.uint8)).reshape(-1)
        assert white.tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rel=1e-5)


class TestLabels:
    def test_are_described_where_each_is(self, tmp_path: Path) -> None:
        told = {"label_names": ["n01", "n02"], "label_descriptions": {"n01": "tench", "n02": "goldfish"}}
        assert read(tmp_path, None, **told).labels == ("tench", "goldfish")

    def test_are_names_where_not_all_are_described(self, tmp_path: Path) -> None:
        told = {"label_names": ["n01", "n02"], "label_descriptions": {"n01": "tench"}}
        assert read(tmp_path, None, **told).labels == ("n01", "n02")

    def test_may_be_missing(self, tmp_path: Path) -> None:
        assert read(tmp_path).labels is None


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"crop_mode": "border"}, "crop_mode 'border': expected center or squash; a card has no step that pads"),
            ({"interpolation": "random"}, "interpolation 'random': a card's resize has"),
            ({"crop_pct": 1.2}, "crop_pct 1.2: expected a share over 0 and at most 1"),
            ({"crop_pct": "0.9"}, "crop_pct '0.9'"),
            ({"input_size": [4, 8, 8]}, r"input_size \[4, 8, 8\]: expected \[1 or 3, height, width\]"),
            ({"input_size": None}, "has no input_size"),
            ({"mean": [0.5]}, r"mean \[0.5\]: expected 3 numbers"),
            ({"std": [0.2, 0.2, 0]}, "expected numbers over 0"),
        ],
    )
    def test_what_no_card_can_express_is_refused_by_its_field(
        self, tmp_path: Path, change: dict[str, Any], found: str
    ) -> None:
        with pytest.raises(EdgeproofError, match=found):
            read(tmp_path, change)
