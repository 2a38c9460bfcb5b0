"""device/classify.py: the card, the steps, the answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from device import classify
from device.classify import Card, CardError, ModelError, PictureError, Step, prepare, top_k, wilson_interval


def card_json(**changes: Any) -> dict[str, Any]:
    document = {
        "schema": 1,
        "model": "m",
        "variant": "int8",
        "labels": ["a", "b"],
        "input": {"height": 28, "width": 28, "channels": 1, "pixels": "0..255"},
        "preprocess": [["gray"], ["resize", {"size": 28, "filter": "bilinear"}], ["center_crop", {"size": 28}]],
    }
    return {**document, **changes}


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


class TestCard:
    def test_reads_what_it_needs(self) -> None:
        card = Card.from_json(card_json())
        assert (card.labels, card.height, card.width, card.channels) == (("a", "b"), 28, 28, 1)
        assert card.preprocess[1] == Step("resize", {"size": 28, "filter": "bilinear"})

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"schema": 2}, "schema"),
            ({"schema": "1"}, "schema"),
            ({"schema": True}, "schema"),
            ({"labels": []}, "labels"),
            ({"labels": [1, 2]}, "labels"),
            ({"model": None}, "model"),
            ({"input": {"height": 28, "width": 28, "channels": 2, "pixels": "0..255"}}, "input"),
            ({"input": {"height": 28, "width": 28, "channels": 1, "pixels": "0..1"}}, "input.pixels"),
            ({"input": {"height": -1, "width": 28, "channels": 1, "pixels": "0..255"}}, "input"),
            ({"preprocess": [["sharpen"]]}, "unknown step 'sharpen'"),
            ({"preprocess": ["gray"]}, "preprocess"),
            ({"preprocess": [["resize"]]}, "'size'"),
            ({"preprocess": [["resize", {"size": 0}]]}, "size"),
            ({"preprocess": [["resize", {"size": 28, "filter": "magic"}]]}, "filter"),
            ({"preprocess": [["gray", {"gamma": 2}]]}, "gamma"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(CardError, match="card field") as error:
            Card.from_json(card_json(**changes))
        assert field in str(error.value)

    def test_a_newer_schema_says_which_version_is_needed(self) -> None:
        with pytest.raises(CardError, match="schema 7"):
            Card.from_json(card_json(schema=7))

    def test_steps_survive_json(self) -> None:
        step = Step("resize", {"size": 28, "filter": "bilinear"})
        assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step


class TestPrepare:
    @pytest.mark.parametrize("size", [(28, 28), (1, 1), (400, 300), (300, 401), (27, 500)])
    def test_gives_the_models_input_for_any_size(self, size: tuple[int, int]) -> None:
        pixels = prepare(picture(*size), Card.from_json(card_json()))
        assert pixels.shape == (28, 28, 1)
        assert pixels.dtype == np.uint8

    def test_a_picture_of_the_right_size_stays_as_it_is(self) -> None:
        image = picture(28, 28, "L")
        assert np.array_equal(prepare(image, Card.from_json(card_json()))[:, :, 0], np.asarray(image))

    def test_refuses_a_card_whose_steps_lead_elsewhere(self) -> None:
        with pytest.raises(CardError, match="steps give"):
            prepare(picture(40, 40), Card.from_json(card_json(preprocess=[["gray"]])))

    def test_refuses_a_picture_too_thin_to_scale(self) -> None:
        with pytest.raises(PictureError, match="too long and thin"):
            prepare(picture(4000, 1), Card.from_json(card_json()))

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
    def test_every_mode_becomes_gray_and_rgb(self, mode: str) -> None:
        image = picture(10, 12, "L").convert(mode) if mode != "I;16" else Image.new("I;16", (10, 12), 40_000)
        assert classify.gray(image).mode == "L"
        assert classify.rgb(image).mode == "RGB"

    def test_transparent_parts_lie_over_white(self) -> None:
        clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
        assert np.asarray(classify.gray(clear)).min() == 255

    def test_16_bit_values_are_scaled_to_8(self) -> None:
        deep = Image.fromarray(np.array([[0, 257, 65_535]], np.uint16))
        assert np.asarray(classify.gray(deep)).tolist() == [[0, 1, 255]]

    def test_exif_orientation_turns_the_picture(self) -> None:
        image = picture(6, 4)
        image.getexif()[0x0112] = 6
        assert classify.exif_orientation(image).size == (4, 6)

    def test_dark_ink_on_paper_becomes_light_on_dark(self) -> None:
        paper = Image.new("L", (20, 20), 230)
        paper.paste(10, (8, 4, 12, 16))
        assert np.asarray(classify.light_on_dark(paper))[10, 10] == 245

    def test_light_ink_stays_light(self, mnist: Any) -> None:
        for index in range(200):
            image = mnist.train.open(index)
            assert classify.light_on_dark(image) is image


class TestAnswers:
    def test_ties_go_to_the_lowest_index(self) -> None:
        assert top_k(np.array([0.1, 0.4, 0.4, 0.1], np.float32), 3) == [1, 2, 0]

    def test_wilson_interval_of_the_tutorials_figure(self) -> None:
        low, high = wilson_interval(9868, 10_000)
        assert (round(low, 4), round(high, 4)) == (0.9844, 0.9889)  # facts.md
        assert [round(x, 2) for x in wilson_interval(17, 20)] == [0.64, 0.95]

    def test_wilson_interval_stays_within_0_and_1(self) -> None:
        assert wilson_interval(0, 5)[0] == 0
        assert wilson_interval(5, 5)[1] == 1
        assert wilson_interval(0, 0) == (0, 1)


class TestReading:
    @pytest.mark.parametrize(
        ("name", "data", "found"),
        [
            ("empty.tflite", b"", "is empty"),
            ("random.tflite", bytes(range(200)), "no TFLite model"),
            ("model.h5", b"x", "expected a file that ends in"),
            ("garbage.onnx", b"\xff" * 100, "no ONNX model"),
        ],
    )
    def test_a_damaged_model_is_named(self, tmp_path: Path, name: str, data: bytes, found: str) -> None:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ModelError, match=found) as error:
            classify.read_card(path)
        assert name in str(error.value)

    def test_a_model_that_is_a_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="is a folder"):
            classify.read_card(tmp_path)

    def test_a_picture_that_is_none_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "text.png"
        path.write_text("no picture")
        with pytest.raises(PictureError, match="not a picture"):
            classify.read_picture(path)

    def test_a_truncated_picture_is_refused(self, tmp_path: Path) -> None:
        whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
        picture(200, 200).save(whole)
        cut.write_bytes(whole.read_bytes()[:2000])
        with pytest.raises(PictureError, match="not a picture"):
            classify.read_picture(cut)


class TestTiming:
    def test_makes_at_least_the_queries_asked_for(self) -> None:
        calls: list[int] = []
        samples = classify.time_queries(calls.append, [1, 2, 3], queries=100, duration_ns=0)
        assert len(samples) == 100
        assert samples.dtype == np.int64
        assert calls[:4] == [1, 2, 3, 1]

    def test_warm_up_counts_its_calls(self) -> None:
        calls: list[int] = []
        assert classify.warm_up(calls.append, [1]).calls == len(calls) >= 2 * classify.WARM_UP_BLOCK

    def test_warm_up_ends_once_calls_no_longer_become_faster_and_says_since_when(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = FakeClock([10_000_000] * 32 + [5_000_000] * 1_000)
        monkeypatch.setattr("device.classify.time.perf_counter_ns", clock.now_ns)
        found = classify.warm_up(clock.infer, [0])
        assert (found.calls, found.steady) == (32 + 16 + 32, True)
        assert found.steady_ns == 320_000_000  # the first block of fast calls is the third

    def test_warm_up_that_reaches_its_bound_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock([int(40_000_000 * 0.99**call) for call in range(1_000)])  # ever faster
        monkeypatch.setattr("device.classify.time.perf_counter_ns", clock.now_ns)
        found = classify.warm_up(clock.infer, [0])
        assert not found.steady
        assert classify.WARM_UP_LIMIT_NS <= clock.now_ns() < classify.WARM_UP_LIMIT_NS + 40_000_000


class FakeClock:
    """A clock that only calls of `infer` move on."""

    def __init__(self, calls_ns: list[int]) -> None:
        self._calls_ns, self._now_ns = iter(calls_ns), 0

    def now_ns(self) -> int:
        return self._now_ns

    def infer(self, _tensor: int) -> None:
        self._now_ns += next(self._calls_ns)
