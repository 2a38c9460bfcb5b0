"""How many pictures verify a model."""

from typing import Any

import pytest

from convert.verification.sample_size import multiply_accumulates, verified_pictures
from tests.support.models.imported_models import SIDE, colour_network, save


@pytest.mark.parametrize(
    ("cost", "pictures"), [(0, 1_000), (3_089_792, 77_675), (55_174_272, 4_349), (300_000_000, 1_000), (10**10, 1_000)]
)
def test_the_number_falls_with_the_cost_to_a_thousand(cost: int, pictures: int) -> None:
    assert verified_pictures(cost) == pictures


def test_the_cost_is_counted_by_hand() -> None:
    assert multiply_accumulates(colour_network()) == SIDE * SIDE * 8 * 3 * 3 * 3 + 8 * 3


def test_the_cost_of_a_saved_model_is_counted_inside_its_calls(tmp_path: Any) -> None:
    import keras

    folder = save(colour_network(), tmp_path, "saved_model")
    image = keras.Input((SIDE, SIDE, 3))
    layer = keras.layers.TFSMLayer(str(folder), call_endpoint="serve")
    assert multiply_accumulates(keras.Model(image, layer(image))) == multiply_accumulates(colour_network())
