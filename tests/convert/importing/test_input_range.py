"""Finding out which values a model takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.importing.import_model import import_model
from convert.importing.input_range import applied, scaling_layers, trained_on
from convert.importing.preprocessing import read_preprocess
from device.errors import EdgeproofError
from device.pictures.input_range import InputRange, parse_range, range_from_json
from tests.support.models.imported_models import SIDE, Paint, colour_network, imported, outside, save, some_pixels


class TestInputRange:
    @pytest.mark.parametrize(
        ("module", "text"), [("mobilenet_v2", "-1..1"), ("resnet50", "caffe"), ("densenet", "torch"), ("vgg16", "caffe")]
    )
    def test_named_ranges_are_those_of_keras_applications(self, module: str, text: str) -> None:
        import importlib

        import keras

        taken = applied(parse_range(text), keras.ops.convert_to_tensor(some_pixels()))
        expected = importlib.import_module(f"keras.applications.{module}").preprocess_input(some_pixels().copy())
        assert np.asarray(taken) == pytest.approx(np.asarray(expected), rel=1e-5, abs=1e-4)
        assert trained_on([module.replace("_", "")]) == (module.replace("_", ""), text)

    def test_json_tells_scale_offset_and_order(self) -> None:
        found = range_from_json({"scale": 0.5, "offset": [1, 2, 3], "order": "bgr"}, "card.json")
        assert found == InputRange("as in card.json", (0.5,), (1.0, 2.0, 3.0), "bgr")
        assert range_from_json({"height": 3}, "card.json") is None
        assert parse_range("0..255").is_pixels

    @pytest.mark.parametrize(
        "shape",
        [
            {"range": "0..1", "scale": 1},
            {"scale": "1/255"},
            {"scale": [1, 2]},
            {"scale": 0},
            {"offset": float("nan")},
            {"order": "grb"},
            {"range": 1},
        ],
    )
    def test_json_that_says_nothing_clear_is_refused(self, shape: dict[str, Any]) -> None:
        with pytest.raises(EdgeproofError, match=r"card\.json: input"):
            range_from_json(shape, "card.json")

    def test_only_layers_in_front_that_scale_pixels_down_count(self) -> None:
        import keras

        assert scaling_layers(colour_network(front=keras.layers.Rescaling(2.0))) == []
        assert scaling_layers(colour_network(front=keras.layers.Rescaling(1 / 255))) == ["Rescaling(0.003922, 0)"]
        assert scaling_layers(colour_network(front=keras.layers.Normalization(mean=120.0, variance=9.0))) == [
            "Normalization"
        ]
        assert scaling_layers(colour_network(front=keras.layers.Normalization(mean=0.5, variance=0.1))) == []

    @pytest.mark.parametrize(("scale", "offset"), [(255.0, 0.0), (127.5, 127.5)])
    def test_a_layer_that_undoes_the_scaling_of_the_next_one_says_nothing_of_pixels(
        self, scale: float, offset: float
    ) -> None:
        import keras

        undone = keras.Sequential([keras.layers.Rescaling(scale, offset=offset), keras.layers.Rescaling(1 / 255)])
        assert scaling_layers(colour_network(front=undone)) == []

    def test_layers_that_scale_in_steps_count_together(self) -> None:
        import keras

        steps = keras.Sequential([keras.layers.Rescaling(0.5), keras.layers.Rescaling(1 / 127.5, offset=-1)])
        assert scaling_layers(colour_network(front=steps)) == ["Rescaling(0.5, 0)", "Rescaling(0.007843, -1)"]

    @pytest.mark.parametrize(
        ("document", "found"),
        [
            ("rgb", "JSON object"),
            ([], "list of steps"),
            ({}, "expected preprocess and input"),
            ({"steps": []}, "found steps"),
            ({"preprocess": []}, "list of steps"),
            ({"preprocess": [["blur"]]}, "unknown step 'blur'"),
            ({"input": {"mean": 1}}, "input mean: expected height"),
            ({"input": {"height": 8}}, "height and width"),
            ({"input": {"height": "8", "width": 8}}, "input.height '8'"),
        ],
    )
    def test_a_preprocess_file_that_is_unclear_is_refused(self, tmp_path: Path, document: Any, found: str) -> None:
        path = tmp_path / "card.json"
        path.write_text(json.dumps(document))
        with pytest.raises(EdgeproofError, match=found):
            read_preprocess(path)

    def test_a_preprocess_file_may_begin_with_a_byte_order_mark_and_must_be_json(self, tmp_path: Path) -> None:
        path = tmp_path / "steps.json"
        path.write_bytes(b'\xef\xbb\xbf{"input": {"range": "-1..1"}}')
        assert read_preprocess(path).input_range == parse_range("-1..1")
        path.write_bytes(b"rgb, resize")
        with pytest.raises(EdgeproofError, match=r"steps\.json: is no readable JSON: .*: correct it, or export it again"):
            read_preprocess(path)

    def test_a_preprocess_file_gives_steps_and_range_and_must_lead_to_the_input(self, paint: Paint, tmp_path: Path) -> None:
        file = tmp_path / "card.json"
        steps = [["rgb"], ["resize", {"size": SIDE, "filter": "bicubic"}], ["center_crop", {"size": SIDE}]]
        file.write_text(json.dumps({"preprocess": steps, "input": {"scale": 2 / 255, "offset": -1}}))
        path = save(colour_network(), tmp_path)
        trained, _ = imported(outside(paint, path, input_range=None, preprocess=file))
        assert trained.common["preprocess"] == steps
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(
            np.asarray(colour_network()(some_pixels() / 127.5 - 1)), abs=1e-6
        )
        trained.close()
        file.write_text(json.dumps({"preprocess": steps[:2]}))
        with pytest.raises(EdgeproofError, match=r"the steps make .* the model takes \(24, 24, 3\)|must end in one size"):
            import_model(outside(paint, path, preprocess=file), print)

    def test_the_last_step_gives_height_and_width_of_a_model_of_any_size(self, paint: Paint, tmp_path: Path) -> None:
        file = tmp_path / "card.json"
        file.write_text(json.dumps([["rgb"], ["stretch", {"size": [SIDE, 2 * SIDE]}]]))
        path = save(colour_network(shape=(None, None, 3)), tmp_path)
        trained, _ = imported(outside(paint, path, preprocess=file))
        assert (trained.card.height, trained.card.width) == (SIDE, 2 * SIDE)
        trained.close()


class TestModelsThatNormalizeThemselves:
    """As PyTorch users put torchvision's Normalize into the model: its mean and deviation must not be applied again."""

    def normalizing(self, folder: Path) -> Path:
        return save(colour_network(front=lambda pixels: (pixels - 0.5) / 0.5), folder)

    def test_take_what_they_normalize_and_need_no_option(self, paint: Paint, tmp_path: Path) -> None:
        trained, said = imported(outside(paint, self.normalizing(tmp_path), input_range=None))
        assert "0..1 (it scales by itself: Sub 0.5, Div 0.5)" in said[0]
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(
            np.asarray(colour_network()(some_pixels() / 127.5 - 1)), abs=1e-6
        )
        trained.close()

    def test_a_preset_s_values_are_refused_and_its_steps_taken_with_those_of_the_model(
        self, paint: Paint, tmp_path: Path
    ) -> None:
        path = self.normalizing(tmp_path)
        with pytest.raises(EdgeproofError, match=r"takes 0\.\.1 .*torchvision says torch: give --input-range 0\.\.1"):
            import_model(outside(paint, path, input_range=None, preprocess="torchvision"), print)
        trained, _ = imported(outside(paint, path, input_range="0..1", preprocess="torchvision"))
        assert ["resize", {"size": 27, "filter": "bilinear", "rounding": "down"}] in trained.common["preprocess"]
        trained.close()

    @pytest.mark.parametrize("option", [None, "0..1"])
    def test_a_config_that_says_the_same_is_not_applied_again(
        self, paint: Paint, tmp_path: Path, option: str | None
    ) -> None:
        config = self.config(tmp_path, 0.5)
        trained, said = imported(outside(paint, self.normalizing(tmp_path), input_range=option, preprocess=config))
        assert any("says what the model does by itself: it takes 0..1" in line for line in said) == (option is None)
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(
            np.asarray(colour_network()(some_pixels() / 127.5 - 1)), abs=1e-6
        )
        trained.close()

    def test_a_config_that_says_otherwise_is_refused_unless_an_option_says_what_the_model_takes(
        self, paint: Paint, tmp_path: Path
    ) -> None:
        path, config = self.normalizing(tmp_path), self.config(tmp_path, 0.25)
        with pytest.raises(EdgeproofError, match=r"takes 0\.\.1 .*config\.json says .*give --input-range 0\.\.1"):
            import_model(outside(paint, path, input_range=None, preprocess=config), print)
        trained, _ = imported(outside(paint, path, input_range="0..1", preprocess=config))
        trained.close()

    def test_a_model_on_pixels_that_scales_as_its_preset_does_needs_no_option(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        path = save(colour_network(front=keras.layers.Rescaling(1 / 127.5, offset=-1)), tmp_path)
        trained, said = imported(outside(paint, path, input_range=None, preprocess="keras:mobilenet"))
        assert any("says what the model does by itself: it takes 0..255" in line for line in said)
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(
            np.asarray(colour_network()(some_pixels() / 127.5 - 1)), abs=1e-6
        )
        trained.close()

    def config(self, folder: Path, deviation: float) -> str:
        """Write a preprocessor_config.json that normalizes 0..1 by a mean of 0.5 and this deviation."""
        path = folder / "preprocessor_config.json"
        size = {"height": SIDE, "width": SIDE}
        normalized = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [deviation] * 3}
        kind = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": size, "resample": 2}
        path.write_text(json.dumps({**kind, "do_rescale": True, "rescale_factor": 1 / 255, **normalized}))
        return str(path)
