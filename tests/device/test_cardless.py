"""Models without a card: what is read from them, which options are required, and that the answers are right."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.formats import tflite_metadata as metadata
from device.card import CardlessOptions
from device.cardless import understood_range
from device.errors import CardError
from device.formats.model_facts import model_facts
from device.formats.tflite_metadata import read_metadata
from device.inference import classify
from device.open_model import open_model
from device.pictures.input_range import InputRange, parse_range
from tests.conftest import classify as run_classify
from tests.support.models.model_files import card_json, write_onnx
from tests.support.models.tflite_files import brightness_tflite

TIMES_255 = [("MUL", 1 / 255)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("0 dark\r\n1 light\r\n")
    return tmp_path / "labels.txt"


def answers(model: Path, labels: Path, grays: tuple[int, ...] = (100, 160), **told: Any) -> list[str]:
    """Classify pictures of one gray level."""
    session, card = open_model(model, CardlessOptions(labels, **told), 1, None)
    scores = [classify(Image.new("RGB", (20, 16), (gray,) * 3), session, card).scores for gray in grays]
    assert all(abs(float(each.sum()) - 1) < 0.01 for each in scores)
    return [card.labels[int(each.argmax())] for each in scores]


class TestQuantizedInputs:
    @pytest.mark.parametrize(
        ("dtype", "scale", "zero_point", "middle"),
        [
            ("uint8", 1 / 255, 0, 0.5),  # 0..1
            ("uint8", 1 / 128, 128, 0.0),  # -1..1, as MobileNet's
            ("uint8", 1 / 127.5, 127, 0.0),
            ("uint8", 1.0, 0, 127.5),  # 0..255
            ("int8", 1 / 255, -128, 0.5),
            ("int8", 1 / 127.5, -1, 0.0),
            ("int8", 1 / 128, 0, 0.0),
            ("int8", 1.0, 0, 0.0),  # -128..127
            ("uint8", 0.93 / 255, 0, 0.5),  # 0..1, of pictures to calibrate with that had no white
        ],
    )
    def test_a_pixel_means_what_scale_and_zero_point_say(
        self, labels: Path, dtype: str, scale: float, zero_point: int, middle: float
    ) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), dtype, scale, zero_point, middle, gain=100 / (scale * 255))
        assert answers(model, labels, (0, 100, 120, 135, 160, 255)) == ["dark"] * 3 + ["light"] * 3

    def test_a_byte_goes_in_as_it_is_or_less_128(self, labels: Path) -> None:
        pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
        for dtype, scale, zero_point, less in (("uint8", 1 / 128, 128, 0), ("int8", 1 / 255, -128, 128)):
            model = brightness_tflite(labels.with_name("m.tflite"), dtype, scale, zero_point)
            tensor = open_model(model, CardlessOptions(labels), 1, None)[0].tensor(pixels)
            assert (tensor.dtype, tensor[0].astype(int).tolist()) == (np.dtype(dtype), (pixels.astype(int) - less).tolist())

    @pytest.mark.parametrize(
        ("dtype", "scale", "zero_point", "found"),
        [
            ("int8", 1 / 255, 0, "int8 input of 8×8×3 holds -0.502..0.498"),
            ("uint8", 4.758 / 255, 114, "uint8 input of 8×8×3 holds -2.127..2.631"),
            ("uint8", 0.012566, 131, "uint8 input of 8×8×3 holds -1.646..1.558"),
        ],
    )
    def test_another_range_is_asked_for_and_then_taken(
        self, labels: Path, dtype: str, scale: float, zero_point: int, found: str
    ) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), dtype, scale, zero_point, 0.0)
        with pytest.raises(CardError, match="give --input-range") as error:
            answers(model, labels)
        assert found in str(error.value)
        told = "torch" if "-2" in found else "-0.5..0.5" if dtype == "int8" else "-1..1"
        assert answers(model, labels, input_range=told) == ["dark", "light"]

    @pytest.mark.parametrize("told", ["0..255", "-300..300", "caffe"])
    def test_a_range_that_the_input_cannot_hold_is_refused(self, labels: Path, told: str) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), "uint8", 1 / 255)
        with pytest.raises(CardError, match=r"holds 0..1: that contradicts it"):
            answers(model, labels, input_range=told)
        whole = brightness_tflite(labels.with_name("whole.tflite"), "uint8", 1.0, middle=127.5)
        with pytest.raises(CardError, match=r"holds 0..255: that contradicts it"):
            answers(whole, labels, input_range="0..1")

    @pytest.mark.parametrize(
        ("dtype", "scale", "zero_point", "told"),
        [
            ("uint8", 0.7 / 255, 0, "0..1"),
            ("int8", 0.7 / 255, -128, "0..1"),
            ("uint8", 1.3 / 255, 196, "-1..1"),
            ("uint8", 100 / 255, 0, "0..255"),
        ],
    )
    def test_what_holds_the_lower_part_of_a_range_takes_it_and_saturates(
        self, labels: Path, dtype: str, scale: float, zero_point: int, told: str
    ) -> None:
        """Calibration pictures without white give 0..0.7 for 0..1: a brighter pixel becomes the type's maximum."""
        low, high = (float(end) for end in told.split(".."))
        model = brightness_tflite(labels.with_name("dim.tflite"), dtype, scale, zero_point, low + 0.2 * (high - low))
        assert answers(model, labels, (20, 80, 255), input_range=told) == ["dark", "light", "light"]
        session = open_model(model, CardlessOptions(labels, told), 1, None)[0]
        pixels = np.array([0, 51, 255], np.uint8).repeat(64)[:192].reshape(8, 8, 3)
        found = session.tensor(pixels).reshape(-1)[[0, 64, 128]]
        real = low + 0.2 * (high - low)
        expected = [np.iinfo(dtype).min, round(real / scale + zero_point), np.iinfo(dtype).max]
        assert np.abs(found.astype(int) - expected).max() <= 1
        carded = understood_range(model_facts(model, model.read_bytes()), parse_range(told))
        assert carded == (parse_range(told), "--input-range")

    def test_the_advice_to_leave_an_option_out_is_given_only_where_that_helps(self, labels: Path) -> None:
        odd = brightness_tflite(labels.with_name("odd.tflite"), "uint8", 0.7 / 255)
        with pytest.raises(CardError, match=r"holds 0\.\.0\.7: that contradicts it: give the range that it was trained on"):
            answers(odd, labels, input_range="0..255")
        usual = brightness_tflite(labels.with_name("usual.tflite"), "uint8", 1 / 255)
        with pytest.raises(CardError, match=r"contradicts it: leave the option out, or give the range"):
            answers(usual, labels, input_range="0..255")


class TestFloatInputs:
    def test_a_range_that_nothing_says_is_asked_for_and_then_taken(self, labels: Path) -> None:
        for told, middle in (("0..1", 0.5), ("-1..1", 0.0), ("0..255", 127.5)):
            model = brightness_tflite(labels.with_name("m.tflite"), middle=middle)
            with pytest.raises(CardError, match="nothing in it says which values it takes: give --input-range"):
                answers(model, labels)
            assert answers(model, labels, input_range=told) == ["dark", "light"]

    @pytest.mark.parametrize(
        ("front", "middle"),
        [
            (TIMES_255, 0.5),
            ([("MUL", 1 / 127.5), ("ADD", -1.0)], 0.0),
            ([("SUB", 127.5), ("DIV", 127.5)], 0.0),
            ([("SUB", 120.0)], 7.5),
        ],
    )
    def test_first_layers_that_scale_pixels_say_it(self, labels: Path, front: Any, middle: float) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=front, middle=middle)
        assert answers(model, labels) == ["dark", "light"]

    @pytest.mark.parametrize(
        ("front", "middle"),
        [
            ([("MUL", 2.0), ("ADD", -1.0)], 0.0),
            ([("SUB", 0.4914), ("DIV", 0.247)], 0.0),
            ([("MUL", 1 / 0.3081), ("ADD", -0.1307 / 0.3081)], 1.2),
            ([("MUL", 255.0)], 127.5),
        ],
    )
    def test_first_layers_that_normalize_small_values_say_that_they_take_these(
        self, labels: Path, front: Any, middle: float
    ) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=front, middle=middle)
        assert answers(model, labels) == ["dark", "light"]
        assert model_facts(model, model.read_bytes()).front.takes == "0..1"

    @pytest.mark.parametrize(
        ("front", "middle"),
        [([("MUL", 0.5), ("ADD", 0.5)], 0.75), ([("SUB", 0.48317), ("DIV", 0.26121)], 0.0), ([("MUL", 3.0)], 1.5)],
    )
    def test_first_layers_that_do_something_else_with_small_values_do_not_say_it(
        self, labels: Path, front: Any, middle: float
    ) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=front, middle=middle)
        with pytest.raises(CardError, match="it begins with"):
            answers(model, labels)
        assert answers(model, labels, input_range="0..1") == ["dark", "light"]

    def test_what_describes_these_layers_is_not_done_again_and_what_contradicts_them_is_refused(self, labels: Path) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=[("SUB", 0.5), ("DIV", 0.25)], middle=0.0)
        facts = model_facts(model, model.read_bytes())
        same, other = InputRange("config", (4 / 255,), (-2.0,)), InputRange("config", (2 / 255,), (-1.0,))
        own = parse_range("0..1")
        assert understood_range(facts, same, "config.json")[0] == own
        with pytest.raises(CardError, match=r"takes 0\.\.1, config\.json says otherwise: give --input-range 0\.\.1 too"):
            understood_range(facts, other, "config.json")
        found, source = understood_range(facts, other)
        assert (found, "--input-range, although it scales by itself (Sub 0.5, Div 0.25)" in source) == (other, True)


class TestStandardMetadata:
    """The TFLITE_METADATA entry, and labels in the ZIP archive after the model."""

    def with_metadata(self, folder: Path, mean: float, std: float) -> Path:
        model = brightness_tflite(folder / "plain.tflite", middle=0.0 if mean else 127.5).read_bytes()
        card = card_json(labels=["dark", "light"], model="m", input={"height": 8, "width": 8, "channels": 3})
        described = metadata.with_metadata(model, card)
        said = metadata.model_metadata(card)
        before, after = described.split(said)
        for old, new in ((0.0, mean), (1.0, std)):  # the outputs' least and most change too, which nobody reads
            said = said.replace(struct.pack("<If", 1, old), struct.pack("<If", 1, new))
        described = before + said + after
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("labels.txt", "dark\nlight\n")
        path = folder / "described.tflite"
        path.write_bytes(described + archive.getvalue())
        return path

    @pytest.mark.parametrize(("mean", "std", "name"), [(127.5, 127.5, "-1..1"), (0.0, 1.0, "0..255")])
    def test_says_the_values_and_the_labels(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], mean: float, std: float, name: str
    ) -> None:
        model = self.with_metadata(tmp_path, mean, std)
        session, card = open_model(model, CardlessOptions(), 1, None)
        assert card.labels == ("dark", "light")
        assert f"values {name} (standard metadata says {name})" in capsys.readouterr().err
        for gray, label in ((100, 0), (160, 1)):
            scores = classify(Image.new("RGB", (8, 8), (gray,) * 3), session, card).scores
            assert int(scores.argmax()) == label

    def test_a_damaged_one_says_nothing(self, tmp_path: Path) -> None:
        data = self.with_metadata(tmp_path, 127.5, 127.5).read_bytes()
        at = data.index(b"M001")
        assert read_metadata(data).input_range is not None
        for place in range(at - 4, at + 60):
            broken = bytearray(data)
            broken[place] ^= 0xFF
            read_metadata(bytes(broken))  # no exception
        assert read_metadata(data[: at + 8] + b"\xff" * (len(data) - at - 8)).input_range is None


def brightness_onnx(path: Path, layout: str = "NCHW", batch: Any = "batch", scaled: bool = False) -> Path:
    """Write a model over 0..1 (or, scaled inside, 0..255) that answers "light" where the mean is over 0.5."""
    sides = [batch, 3, 8, 8] if layout == "NCHW" else [batch, 8, 8, 3]
    nodes: list[Any] = [("Constant", [], ["factor"], {"value_float": 1 / 255})]
    nodes += [("Mul", ["in", "factor"], ["scaled"], {})] if scaled else [("Identity", ["in"], ["scaled"], {})]
    nodes += [
        ("ReduceMean", ["scaled"], ["mean"], {"axes": [2, 3] if layout == "NCHW" else [1, 2], "keepdims": 0}),
        ("Constant", [], ["middle"], {"value_float": 0.5}),
        ("Sub", ["mean", "middle"], ["over"], {}),
        ("MatMul", ["over", "weight"], ["out"], {}),
    ]
    return write_onnx(path, [("in", "FLOAT", sides)], nodes, [("out", "FLOAT", [batch, 2])])


class TestOnnx:
    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    @pytest.mark.parametrize("batch", ["batch", 1, 4])
    def test_either_layout_and_any_batch_is_fed_as_it_wants(self, labels: Path, layout: str, batch: Any) -> None:
        model = brightness_onnx(labels.with_name("m.onnx"), layout, batch)
        assert answers(model, labels, input_range="0..1") == ["dark", "light"]

    def test_first_layers_that_scale_pixels_say_it(self, labels: Path) -> None:
        assert answers(brightness_onnx(labels.with_name("m.onnx"), scaled=True), labels) == ["dark", "light"]
        with pytest.raises(CardError, match="give --input-range"):
            answers(brightness_onnx(labels.with_name("n.onnx")), labels)


class TestOutputs:
    @pytest.mark.parametrize("end", ["SOFTMAX", "LOGISTIC", ""])
    def test_scores_are_shares_of_one_whatever_the_model_ends_with(self, labels: Path, end: str) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=TIMES_255, end=end)
        assert answers(model, labels, (0, 120, 135, 255)) == ["dark", "dark", "light", "light"]

    def test_one_that_may_be_a_probability_or_a_logit_is_refused(self, labels: Path, tmp_path: Path) -> None:
        nodes: list[Any] = [
            ("ReduceMean", ["in"], ["mean"], {"axes": [2, 3], "keepdims": 0}),
            ("MatMul", ["mean", "weight"], ["two"], {}),
            ("ReduceMax", ["two"], ["out"], {"axes": [1], "keepdims": 1}),
        ]
        model = write_onnx(tmp_path / "m.onnx", [("in", "FLOAT", [1, 3, 8, 8])], nodes, [("out", "FLOAT", [1, 1])])
        with pytest.raises(CardError, match="a probability or a logit, and its last operations do not say which: export"):
            answers(model, labels, input_range="0..1")

    def test_logits_are_printed_as_the_probabilities_that_they_stand_for(self, labels: Path, tmp_path: Path) -> None:
        model = brightness_tflite(tmp_path / "m.tflite", front=TIMES_255, end="", gain=4.0)
        Image.new("RGB", (9, 9), (255, 255, 255)).save(tmp_path / "white.png")
        result = run_classify(model, "white.png", "--labels", labels, "--json", cwd=tmp_path)
        top = json.loads(result.stdout)["top"]
        assert (top[0]["label"], top[0]["score"]) == ("light", pytest.approx(1 / (1 + np.exp(-4.0)), abs=1e-5))
        assert "98.2 %" in run_classify(model, "white.png", "--labels", labels, cwd=tmp_path).stdout
        unsure = run_classify(model, "white.png", "--labels", labels, "--min-score", "0.99", cwd=tmp_path)
        assert "unsure" in unsure.stdout


class TestFit:
    def test_a_picture_is_cropped_or_stretched_as_told_and_the_first_is_said(self, labels: Path, tmp_path: Path) -> None:
        wide = Image.new("L", (40, 10), 255)
        wide.paste(0, (15, 0, 25, 10))  # black in the middle, white at both sides
        wide.save(tmp_path / "wide.png")
        model = brightness_tflite(tmp_path / "m.tflite", front=TIMES_255)
        found = {}
        for fit in ((), ("--fit", "crop"), ("--fit", "stretch")):
            result = run_classify(model, "wide.png", "--labels", labels, "--json", *fit, cwd=tmp_path)
            found[fit[1:]] = json.loads(result.stdout)["top"][0]["label"]
            assert ("--fit stretch" in result.stderr) == (not fit)
        assert found == {(): "dark", ("crop",): "dark", ("stretch",): "light"}

    def test_both_fits_are_tried_on_labelled_pictures_unless_one_is_told(self, labels: Path, tmp_path: Path) -> None:
        for name, white in (("dark", (0, 5)), ("light", (0, 40))):
            (tmp_path / "p" / name).mkdir(parents=True)
            picture = Image.new("L", (40, 10), 0)
            picture.paste(255, (white[0], 0, white[1], 10))
            if name == "light":
                picture.paste(0, (15, 0, 25, 10))
            picture.save(tmp_path / "p" / name / "a.png")
        model = brightness_tflite(tmp_path / "m.tflite", front=TIMES_255)
        both = run_classify(model, "p", "--score", "--labels", labels, "--json", cwd=tmp_path)
        assert (json.loads(both.stdout)["correct"], both.stderr.splitlines()[-1]) == (1, "with --fit stretch: 2 of 2 right")
        told = run_classify(model, "p", "--score", "--labels", labels, "--fit", "stretch", "--json", cwd=tmp_path)
        assert (json.loads(told.stdout)["correct"], "with --fit" in told.stderr) == (2, False)

    def test_an_input_without_a_channel_axis_is_gray_and_an_output_may_have_idle_axes(self, labels: Path) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=TIMES_255, shape=(1, 8, 8), deep=True)
        assert answers(model, labels) == ["dark", "light"]

    def test_an_input_that_is_not_square_is_filled(self, labels: Path) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), front=TIMES_255, shape=(1, 6, 12, 3))
        for fit in ("crop", "stretch"):
            assert answers(model, labels, fit=fit) == ["dark", "light"]


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["--labels", "three.txt"], "3 labels in three.txt, the model has 2 outputs"),
            (["--labels", "one.txt"], "1 labels in one.txt, the model has 2 outputs: its first class may be 'background'"),
            (
                ["--labels", "line.txt"],
                "1 labels in line.txt, the model has 2 outputs: the one label is 'a,b': put each label on",
            ),
            ([], "give --labels FILE"),
            (["--labels", "labels.txt", "--input-range", "1..0"], "expected 0..255, 0..1"),
            (["--labels", "labels.txt", "--fit", "pad"], "invalid choice"),
        ],
    )
    @pytest.mark.usefixtures("labels")
    def test_in_one_line_with_what_to_do(self, tmp_path: Path, arguments: list[str], found: str) -> None:
        (tmp_path / "three.txt").write_text("a\nb\nc")
        (tmp_path / "one.txt").write_text("a")
        (tmp_path / "line.txt").write_text("a,b")
        brightness_tflite(tmp_path / "m.tflite", front=TIMES_255)
        result = run_classify("m.tflite", "x.png", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.stderr.splitlines()[-1]

    def test_free_sides_are_named_with_what_to_do(self, labels: Path) -> None:
        nodes: list[Any] = [("ReduceMean", ["in"], ["mean"], {"axes": [2, 3], "keepdims": 0})]
        nodes += [("MatMul", ["mean", "weight"], ["out"], {})]
        sides = ["batch", "channels", "height", "width"]
        model = write_onnx(labels.with_name("m.onnx"), [("in", "FLOAT", sides)], nodes, [("out", "FLOAT", ["batch", 2])])
        with pytest.raises(CardError, match=r"\(\?, \?, \?, \?\): the size of a picture is open: .* --size PIXELS"):
            answers(model, labels)

    def test_what_takes_no_picture_is_named_by_what_it_takes(self, labels: Path) -> None:
        model = brightness_tflite(labels.with_name("m.tflite"), shape=(1, 49, 10, 2))
        with pytest.raises(CardError, match=r"is no picture model: its input is \(\?, 49, 10, 2\) float32"):
            answers(model, labels)

    def test_what_takes_text_is_named_by_its_type(self, labels: Path) -> None:
        nodes: list[Any] = [("StringNormalizer", ["in"], ["out"], {})]
        model = write_onnx(
            labels.with_name("m.onnx"), [("in", "STRING", [1, 8, 8, 3])], nodes, [("out", "STRING", [1, 8, 8, 3])]
        )
        with pytest.raises(CardError, match="is no picture model: its input is of type string, expected numbers"):
            answers(model, labels)

    def test_a_range_below_zero_is_no_option(self, labels: Path, tmp_path: Path) -> None:
        brightness_tflite(tmp_path / "m.tflite", middle=0.0)
        Image.new("RGB", (20, 20), (240, 240, 240)).save(tmp_path / "x.png")
        result = run_classify("m.tflite", "x.png", "--labels", labels, "--input-range", "-1..1", cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert result.stdout.startswith("x.png: light")

    def test_options_that_a_card_makes_needless_are_refused(self, tmp_path: Path) -> None:
        from tests.support.models.model_files import READY

        result = run_classify(READY, "x.png", "--fit", "crop", "--input-range", "0..1", cwd=tmp_path)
        assert result.code == 2
        assert "has a card, which says it: --input-range and --fit" in result.error_line
