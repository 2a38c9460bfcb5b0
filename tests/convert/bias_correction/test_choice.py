"""Keeping a correction only if it helps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from convert.bias_correction import choice
from convert.bias_correction.arithmetic import Correction, Layer, Overflow
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from convert.verification.verify import Agreement
from device.formats.model_file import read_card
from tests.conftest import Tiny

(INT8,) = find_variants(["int8.tflite"])


@pytest.fixture(scope="module")
def trained(tiny: Tiny) -> Iterator[TrainedModel]:
    trained = TrainedModel(tiny.folder / "mnist_cnn.keras")
    yield trained
    trained.close()


def chosen(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch, before: Agreement, after: Agreement) -> choice.Choice:
    """Choose between a plain and a corrected model that agree with float as given."""
    corrected = Correction(b"corrected", (Layer("dense", 0.1),), ("1 layer without a bias",))
    monkeypatch.setattr(choice, "correct", lambda *_: corrected)
    monkeypatch.setattr(choice, "_agreement", lambda *given: {b"plain": before, b"corrected": after}[given[2]])
    return choice.choose(trained, INT8, b"plain", {})


@pytest.mark.parametrize(
    ("before", "after", "kept", "line"),
    [
        (Agreement(90, 100), Agreement(97, 100), True, "bias correction of 1 layer (1 layer without a bias): 10 before it"),
        (Agreement(97, 100), Agreement(90, 100), False, "bias correction not kept: 10 with it"),
        (
            Agreement(97, 100, distance=0.02),
            Agreement(97, 100, distance=0.01),
            True,
            "bias correction of 1 layer (1 layer without a bias): as many before, with scores further from float's",
        ),
        (
            Agreement(97, 100, distance=0.01),
            Agreement(97, 100, distance=0.01),
            False,
            "bias correction not kept: as many with it, and scores no nearer to float's",
        ),
    ],
    ids=["fewer", "more", "nearer", "the-same"],
)
def test_the_model_with_fewer_different_answers_is_kept(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch, before: Agreement, after: Agreement, kept: bool, line: str
) -> None:
    found = chosen(trained, monkeypatch, before, after)
    assert (found.kept, found.data) == (kept, b"corrected" if kept else b"plain")
    assert found.agreement is (after if kept else before)
    assert choice.describe(found) == line
    assert found.to_json()["otherwise_before"] == before.differing
    assert found.to_json()["otherwise_after"] == after.differing


def test_a_float_model_that_decides_nothing_leaves_the_model_as_it_is(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chosen(trained, monkeypatch, Agreement(0, 0, 0.1, 50), Agreement(0, 0, 0.1, 50))
    assert (found.data, found.kept) == (b"plain", False)
    assert choice.describe(found).startswith(
        "no bias correction: Keras decides none of the validation pictures, so they cannot show"
    )


def test_an_overflow_leaves_the_whole_model_as_it_is(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflows(*_: object) -> Correction:
        raise Overflow("layer dense: channel 1 of its bias would become 3e+09")

    monkeypatch.setattr(choice, "correct", overflows)
    found = choice.choose(trained, INT8, b"plain", {})
    assert (found.data, found.kept, found.agreement) == (b"plain", False, None)
    assert found.to_json() == {
        "kept": False,
        "layers": 0,
        "left_out": [],
        "reason": "layer dense: channel 1 of its bias would become 3e+09",
    }


@pytest.mark.parametrize("key", ["int8.tflite", "int8_mixed.tflite", "int16x8.tflite", "int8.onnx"])
def test_the_card_of_each_calibrated_variant_tells_of_it(tiny: Tiny, key: str) -> None:
    card = read_card(tiny.artifact(key))
    assert card is not None
    told = card.document["bias_correction"]
    if key == "int16x8.tflite":
        assert told["reason"] == "4 layers with a bias that is not int32"
        return
    assert told["layers"] == (4 if key == "int8.tflite" else 3)
    assert told["validation_pictures"] == card.document["accuracy"]["validation_agreement"]["total"] == 80
    kept = told["otherwise_after" if told["kept"] else "otherwise_before"]
    assert 80 - kept == card.document["accuracy"]["validation_agreement"]["agree"]


def test_the_card_of_a_float_variant_does_not(tiny: Tiny) -> None:
    card = read_card(Path(tiny.artifact("float32.tflite")))
    assert card is not None
    assert "bias_correction" not in card.document
