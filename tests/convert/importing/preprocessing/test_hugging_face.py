"""A Hugging Face preprocessor_config.json: the same pixels as transformers' own processors, or refused by its field."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.importing.preprocessing import read_preprocess
from device.errors import EdgeproofError
from device.pictures.input_range import PIXELS
from device.preprocessing.prepare import run_steps

# What transformers 4.50.3 makes of the red channel of `odd_picture`, neither rescaled nor normalized
BY_TRANSFORMERS: dict[str, tuple[dict[str, Any], list[list[int]]]] = {
    "ViT": (
        {"do_normalize": False, "do_rescale": False, "do_resize": True, "resample": 2, "size": {"height": 4, "width": 4}},
        [[47, 109, 176, 173], [85, 147, 180, 73], [128, 185, 132, 68], [166, 164, 64, 102]],
    ),
    "ConvNext": (
        {
            "crop_pct": 0.6,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "resample": 2,
            "size": {"shortest_edge": 4},
        },
        [[81, 120, 160, 200], [111, 150, 190, 197], [136, 175, 215, 154], [166, 205, 168, 46]],
    ),
    "MobileNetV2": (
        {
            "crop_size": {"height": 4, "width": 4},
            "do_center_crop": True,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "resample": 2,
            "size": {"shortest_edge": 7},
        },
        [[93, 123, 154, 185], [117, 147, 178, 209], [142, 172, 203, 234], [166, 196, 219, 142]],
    ),
    "DeiT": (
        {
            "crop_size": {"height": 4, "width": 4},
            "do_center_crop": True,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "resample": 3,
            "size": {"height": 6, "width": 6},
        },
        [[91, 136, 186, 210], [120, 166, 220, 89], [147, 200, 214, 48], [178, 221, 79, 50]],
    ),
    "Levit": (
        {
            "crop_size": {"height": 4, "width": 4},
            "do_center_crop": True,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "resample": 3,
            "size": {"shortest_edge": 7},
        },
        [[130, 157, 185, 219], [151, 178, 207, 223], [172, 198, 238, 199], [193, 233, 196, 29]],
    ),
    "EfficientNet": (
        {
            "do_center_crop": False,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "include_top": False,
            "resample": 0,
            "rescale_offset": False,
            "size": {"height": 4, "width": 4},
        },
        [[38, 101, 185, 248], [72, 135, 219, 26], [123, 186, 14, 77], [157, 220, 48, 111]],
    ),
    "PoolFormer": (
        {
            "crop_pct": 0.7,
            "crop_size": {"height": 4, "width": 4},
            "do_center_crop": True,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "resample": 3,
            "size": {"shortest_edge": 4},
        },
        [[66, 112, 158, 213], [99, 145, 197, 178], [133, 182, 229, 59], [169, 221, 122, 45]],
    ),
}
VIT = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def odd_picture() -> Image.Image:
    """Return 13×10 pixels with sharp edges."""
    return Image.fromarray((np.arange(10 * 13 * 3).reshape(10, 13, 3) * 7 % 256).astype(np.uint8))


def written(folder: Path, document: Any, name: str = "preprocessor_config.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document))
    return path


class TestSteps:
    @pytest.mark.parametrize("kind", BY_TRANSFORMERS)
    def test_give_the_pixels_that_transformers_gives(self, tmp_path: Path, kind: str) -> None:
        config, expected = BY_TRANSFORMERS[kind]
        asked = read_preprocess(written(tmp_path, {"image_processor_type": f"{kind}ImageProcessor", **config}))
        assert asked.steps is not None
        assert run_steps(odd_picture(), asked.steps)[:, :, 0].tolist() == expected
        assert asked.size == (4, 4)

    def test_convnext_stretches_from_384_on(self, tmp_path: Path) -> None:
        config = {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 384, "crop_pct": 0.875, "resample": 3}
        asked = read_preprocess(written(tmp_path, VIT | {"image_processor_type": None} | config))
        assert asked.steps is not None
        assert asked.steps[-1].to_json() == ["stretch", {"size": 384, "filter": "bicubic"}]

    def test_a_size_in_one_number_is_what_the_class_makes_of_it(self, tmp_path: Path) -> None:
        old = VIT | {"image_processor_type": None, "size": 224}
        vit = read_preprocess(written(tmp_path, old | {"feature_extractor_type": "ViTFeatureExtractor"}))
        resnet = read_preprocess(written(tmp_path, old | {"feature_extractor_type": "ConvNextFeatureExtractor"}))
        assert vit.steps is not None
        assert resnet.steps is not None
        assert [step.to_json() for step in vit.steps[2:]] == [["stretch", {"size": 224, "filter": "bilinear"}]]
        assert [step.to_json() for step in resnet.steps[2:]] == [
            ["resize", {"size": 256, "filter": "bilinear", "rounding": "down"}],
            ["center_crop", {"size": 224}],
        ]


class TestValues:
    def test_are_rescaled_then_normalized(self, tmp_path: Path) -> None:
        told = read_preprocess(written(tmp_path, VIT | {"image_mean": [0.5, 0.25, 0.0], "image_std": [0.5, 0.25, 1.0]}))
        assert told.input_range is not None
        pixel = np.array([[[255, 255, 51]]], np.uint8)
        assert told.input_range.values(pixel).reshape(-1).tolist() == pytest.approx([1.0, 3.0, 0.2])

    def test_without_rescaling_and_normalizing_are_pixels(self, tmp_path: Path) -> None:
        told = read_preprocess(written(tmp_path, VIT | {"do_rescale": False, "do_normalize": False}))
        assert told.input_range == PIXELS or (told.input_range is not None and told.input_range.is_pixels)

    def test_of_efficientnet_are_divided_twice_for_classifying(self, tmp_path: Path) -> None:
        config = VIT | {"image_processor_type": "EfficientNetImageProcessor", "include_top": True, "resample": 0}
        told = read_preprocess(written(tmp_path, config))
        assert told.input_range is not None
        assert told.input_range.values(np.full((1, 1, 3), 255, np.uint8)).reshape(-1).tolist() == pytest.approx([2.0] * 3)

    def test_in_another_order_of_channels_are_turned(self, tmp_path: Path) -> None:
        told = read_preprocess(written(tmp_path, VIT | {"do_flip_channel_order": True}))
        assert told.input_range is not None
        assert told.input_range.order == "bgr"


class TestLabels:
    def test_are_those_of_the_config_beside_it(self, tmp_path: Path) -> None:
        written(tmp_path, {"id2label": {"1": "dog", "0": "cat"}, "model_type": "vit"}, "config.json")
        assert read_preprocess(written(tmp_path, VIT)).labels == ("cat", "dog")

    def test_that_transformers_made_up_are_none(self, tmp_path: Path) -> None:
        written(tmp_path, {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "config.json")
        assert read_preprocess(written(tmp_path, VIT)).labels is None

    def test_whose_numbers_have_a_gap_are_refused(self, tmp_path: Path) -> None:
        written(tmp_path, {"id2label": {"0": "cat", "2": "dog"}}, "config.json")
        with pytest.raises(EdgeproofError, match="id2label: expected the numbers 0 to 1"):
            read_preprocess(written(tmp_path, VIT))

    def test_without_preprocessing_name_the_file_that_has_it(self, tmp_path: Path) -> None:
        path = written(tmp_path, {"id2label": {"0": "cat"}, "model_type": "vit"}, "config.json")
        with pytest.raises(EdgeproofError, match=r"give it as --labels, and the preprocessor_config\.json beside it"):
            read_preprocess(path)


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"do_pad": True}, "do_pad True: a card has no step for it"),
            ({"do_thumbnail": True}, "do_thumbnail True"),
            ({"size": {"longest_edge": 224}}, "size .*longest_edge.*: expected shortest_edge, or height and width"),
            ({"size": {"shortest_edge": 224}}, "without a crop gives any shape"),
            ({"size": 0}, "size 0: expected shortest_edge"),
            ({"resample": 9}, "resample 9: a card's resize has nearest, bilinear"),
            ({"resample": None}, "resample None"),
            ({"do_resize": False}, "do_resize false: pictures come in any size"),
            ({"do_resize": "yes"}, "do_resize 'yes': expected true or false"),
            ({"image_std": [0.5, 0.5, 0.0]}, "expected 3 numbers over 0"),
            ({"image_mean": [0.5, 0.5]}, "expected 1 or 3 numbers each"),
            ({"image_mean": [0.5, 0.5, True]}, "expected 1 or 3 numbers each"),
            ({"rescale_factor": 0}, "rescale_factor 0: expected a number over 0"),
            ({"crop_pct": 0.9}, "crop_pct 0.9 with a size of both sides"),
            ({"do_center_crop": True, "crop_size": 256}, "cuts 256×256 out of 224×224 pixels: padding is no step"),
            ({"do_center_crop": True}, "crop_size None: expected"),
            ({"image_processor_type": "NewImageProcessor", "size": 224}, "whether New means the shorter side is unknown"),
        ],
    )
    def test_what_no_card_can_express_is_refused_by_its_field(
        self, tmp_path: Path, change: dict[str, Any], found: str
    ) -> None:
        with pytest.raises(EdgeproofError, match=found):
            read_preprocess(written(tmp_path, VIT | change))
