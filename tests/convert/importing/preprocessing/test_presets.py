"""Presets of --preprocess: what a family of models is known to want."""

import pytest

from convert.importing.preprocessing import read_preprocess
from device.errors import EdgeproofError
from device.pictures.input_range import NAMED


def steps(name: str, side: int = 224) -> list[object]:
    found = read_preprocess(name).steps_for((side, side, 3))
    assert found is not None
    return [step.to_json() for step in found]


class TestPresets:
    def test_torchvision_resizes_to_256_cuts_224_and_normalizes(self) -> None:
        assert steps("torchvision") == [
            ["exif_orientation"],
            ["rgb"],
            ["resize", {"size": 256, "filter": "bilinear", "rounding": "down"}],
            ["center_crop", {"size": 224, "rounding": "even"}],
        ]
        assert read_preprocess("torchvision").input_range == NAMED["torch"]

    def test_torchvision_of_another_size_enlarges_as_much(self) -> None:
        assert steps("torchvision", 112)[2] == ["resize", {"size": 128, "filter": "bilinear", "rounding": "down"}]

    @pytest.mark.parametrize(
        ("name", "taken"),
        [("keras:mobilenet_v2", "-1..1"), ("keras:ResNet50", "caffe"), ("keras:densenet121", "torch")],
    )
    def test_keras_stretches_and_scales_as_the_named_model_does(self, name: str, taken: str) -> None:
        told = read_preprocess(name)
        assert told.input_range is not None
        assert told.input_range.name == taken
        assert steps(name)[-1] == ["stretch", {"size": 224, "filter": "bilinear"}]

    def test_keras_knows_models_that_scale_by_themselves(self) -> None:
        told = read_preprocess("keras:efficientnetb0")
        assert told.input_range is not None
        assert told.input_range.is_pixels

    def test_teachable_machine_cuts_the_middle_and_takes_minus_one_to_one(self) -> None:
        told = read_preprocess("teachable-machine")
        assert told.input_range is not None
        assert told.input_range.name == "-1..1"
        assert steps("teachable-machine")[-2:] == [
            ["resize", {"size": 224, "filter": "lanczos"}],
            ["center_crop", {"size": 224}],
        ]

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("keras:alexnet", "is no model of keras.applications"),
            ("torchvison", "no such file: expected JSON .* torchvision"),
        ],
    )
    def test_an_unknown_one_is_refused(self, name: str, found: str) -> None:
        with pytest.raises(EdgeproofError, match=found):
            read_preprocess(name)

    @pytest.mark.parametrize("name", ["torchvision", "teachable-machine"])
    def test_those_that_make_squares_refuse_other_inputs(self, name: str) -> None:
        with pytest.raises(EdgeproofError, match="makes squares, the model takes 96×160"):
            read_preprocess(name).steps_for((96, 160, 3))
