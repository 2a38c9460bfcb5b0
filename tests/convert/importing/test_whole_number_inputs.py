"""Keras models that take pixels as whole numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.importing.import_model import import_model
from convert.importing.sources import Opening, open_source
from convert.importing.understood import Fact
from convert.pipeline import convert_model
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from device.errors import EdgeproofError
from device.pictures.input_range import PIXELS
from tests.support.children import Here
from tests.support.models.imported_models import SIDE, Paint, outside, save, sequential, some_pixels


class TestWholeNumbers:
    """Models that take pixels as uint8, as deployed ones often do."""

    def network(self, by_hand: bool = False) -> Any:
        import keras

        image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)
        # Only the code of it is in the file, without what stands around it
        code = lambda pixels: __import__("keras").ops.cast(pixels, "float32") / 127.5 - 1  # noqa: E731
        own = keras.layers.Lambda(code, (SIDE, SIDE, 3))
        return keras.Model(image, sequential()((own if by_hand else scaled)(image)))

    @pytest.mark.parametrize("by_hand", [False, True])
    def test_they_need_no_range_and_answer_as_before(self, paint: Paint, tmp_path: Path, by_hand: bool) -> None:
        network = self.network(by_hand)
        path = save(network, tmp_path)
        understood = open_source(path, Opening(unsafe=True)).understood
        assert understood.dtype.value == "uint8"
        assert understood.input_range == Fact(PIXELS, "its input is uint8")
        trained = TrainedModel(import_model(outside(paint, path, input_range=None, unsafe=by_hand), print))
        pixels = some_pixels(4)
        expected = np.asarray(network(pixels.astype(np.uint8), training=False))
        assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=1e-5)
        trained.close()

    @pytest.mark.slow
    @pytest.mark.parametrize("by_hand", [False, True])
    def test_they_are_converted_to_tflite_too(self, paint: Paint, tmp_path: Path, by_hand: bool) -> None:
        path = import_model(outside(paint, save(self.network(by_hand), tmp_path), input_range=None, unsafe=by_hand), print)
        failures: list[str] = []
        made = list(convert_model(Here(), path, find_variants(["float32.tflite", "int8.tflite"]), failures.append))
        assert (failures, [one.agreement.agree for one in made]) == ([], [12, 12])

    def test_a_type_that_no_picture_has_is_refused_by_those_that_are_taken(self, tmp_path: Path) -> None:
        import keras

        image = keras.Input((SIDE, SIDE, 3), dtype="int64")
        network = keras.Model(image, sequential()(keras.ops.cast(image, "float32")))
        with pytest.raises(EdgeproofError, match="input is int64, expected pictures: float32, float16, uint8, int32"):
            open_source(save(network, tmp_path))
