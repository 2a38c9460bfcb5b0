"""One model at several sides."""

from pathlib import Path

import pytest

from train.examples import steps_for
from train.models import find_model
from train.models.mobilenet_v2 import SIDES
from train.request import Request


def test_input_steps_and_shifts_follow_the_side() -> None:
    own, large = find_model("mobilenet_v2"), find_model("mobilenet_v2").at_side(192)
    assert own.at_side(None) == own.at_side(96) == own
    assert (large.spec.height, large.spec.width) == (192, 192)
    assert [step.parameters["size"] for step in steps_for(large.spec, False) if step.parameters] == [192, 192]
    assert [step.parameters["size"] for step in steps_for(large.spec, True) if step.name == "resize"] == [192]
    shifts = [model.spec.recipes["default"].phases[1].augmentation for model in (own, large)]
    assert [shift.shift_pixels for shift in shifts if shift] == [5.0, 10.0]


def test_the_side_stands_in_the_folder_s_name_unless_it_is_the_model_s_own() -> None:
    request = Request("mobilenet_v2", data=Path("cars"), side=160)
    assert request.folder.name == "mobilenet_v2@cars-160"
    assert Request("mobilenet_v2", side=96).folder.name == "mobilenet_v2"


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_the_bundled_weights_fit_every_side(side: int) -> None:
    model = find_model("mobilenet_v2").at_side(side)
    network = model.build(3)
    assert network.input_shape == (None, side, side, 3)
    assert model.load_pretrained is not None
    assert model.load_pretrained(network, "bundled", print).startswith("bundled")
