"""The preprocessing steps."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from device.errors import CardError, ModelError, PictureError
from device.formats import model_file
from device.pictures import steps
from device.preprocessing.prepare import read_picture
from tests.support.pictures import picture


class TestModes:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
    def test_every_mode_becomes_gray_and_rgb(self, mode: str) -> None:
        image = picture(10, 12, "L").convert(mode) if mode != "I;16" else Image.new("I;16", (10, 12), 40_000)
        assert steps.gray(image).mode == "L"
        assert steps.rgb(image).mode == "RGB"

    def test_transparent_parts_lie_over_white(self) -> None:
        clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
        assert np.asarray(steps.gray(clear)).min() == 255

    def test_16_bit_values_are_scaled_to_8(self) -> None:
        deep = Image.fromarray(np.array([[0, 257, 65_535]], np.uint16))
        assert np.asarray(steps.gray(deep)).tolist() == [[0, 1, 255]]

    def test_exif_orientation_turns_the_picture(self) -> None:
        image = picture(6, 4)
        image.getexif()[0x0112] = 6
        assert steps.exif_orientation(image).size == (4, 6)

    def test_dark_ink_on_paper_becomes_light_on_dark(self) -> None:
        paper = Image.new("L", (20, 20), 230)
        paper.paste(10, (8, 4, 12, 16))
        assert np.asarray(steps.light_on_dark(paper))[10, 10] == 245

    def test_light_ink_stays_light(self, mnist: Any) -> None:
        for index in range(200):
            image = mnist.train.open(index)
            assert steps.light_on_dark(image) is image


class TestReading:
    @pytest.mark.parametrize(
        ("name", "data", "found"),
        [
            ("empty.tflite", b"", "is empty"),
            ("random.tflite", bytes(range(200)), "no TFLite model"),
            ("model.h5", b"x", "found '.h5': `edgeproof convert run` makes one of it"),
            ("model.pth", b"x", "found '.pth', weights of PyTorch: export the model with torch.onnx.export"),
            ("model.bin", b"x", "found '.bin'$"),
            ("garbage.onnx", b"\xff" * 100, "no ONNX model"),
        ],
    )
    def test_a_damaged_model_is_named(self, tmp_path: Path, name: str, data: bytes, found: str) -> None:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ModelError, match=found) as error:
            model_file.read_card(path)
        assert name in str(error.value)

    def test_a_model_that_is_a_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="is a folder"):
            model_file.read_card(tmp_path)


def gray_rows(*rows: list[int]) -> Image.Image:
    return Image.fromarray(np.array(rows, np.uint8))


def exif_with(tag: int, kind: int, value: int) -> bytes:
    """Return EXIF data with orientation 6 and another tag of this type."""
    entries = sorted({0x0112: (3, 6 << 16), tag: (kind, value)}.items())
    directory = b"".join(struct.pack(">HHII", number, of, 1, held) for number, (of, held) in entries)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + directory + bytes(4)


class TestPixels:
    """What a step does with pixels that the test lists."""

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([[0, 255]], [[0, 255]]),  # up to 255 they are 8-bit values
            ([[0, 256]], [[0, 0]]),  # 256 / 257
            ([[0, 65_535]], [[0, 255]]),
            ([[-5, 300_000]], [[0, 255]]),
            ([[514, 1_285]], [[2, 5]]),
        ],
    )
    def test_whole_numbers_of_32_bits_are_scaled_where_they_do_not_fit(
        self, values: list[list[int]], expected: list[list[int]]
    ) -> None:
        assert np.asarray(steps.gray(Image.fromarray(np.array(values, np.int32)))).tolist() == expected

    @pytest.mark.parametrize("name", ["dark.png", "dark.tif", "dark.pgm"])
    @pytest.mark.parametrize("orientation", [1, 3])
    def test_a_dark_file_of_16_bits_stays_dark(self, tmp_path: Path, name: str, orientation: int) -> None:
        Image.fromarray(np.array([[255, 0, 128]], np.uint16)).save(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            image.getexif()[0x0112] = orientation
            assert np.asarray(steps.gray(steps.exif_orientation(image))).tolist() == [[0, 0, 0]]

    @pytest.mark.parametrize(
        ("values", "found"), [([0.0, 1.0], "0 to 1"), ([-3.0, 9.0], "-3 to 9"), ([0.0, 65_535.0], "0 to")]
    )
    def test_fractions_that_are_not_clearly_0_to_255_are_refused_with_what_to_do(
        self, values: list[float], found: str
    ) -> None:
        with pytest.raises(PictureError, match=f"has fractions of {found}.*: save it with 8 or 16 bits"):
            steps.rgb(Image.fromarray(np.array([values], np.float32)))

    def test_fractions_may_be_no_numbers(self) -> None:
        image = Image.fromarray(np.array([[np.nan, 7.9, 255.0]], np.float32))
        assert np.asarray(steps.gray(image)).tolist() == [[0, 7, 255]]

    @pytest.mark.parametrize(
        ("mode", "pixel"), [("RGBA", (0, 0, 0, 128)), ("LA", (0, 128)), ("La", (0, 128)), ("RGBa", (0, 0, 0, 128))]
    )
    def test_half_transparent_black_over_white_is_half_gray(self, mode: str, pixel: tuple[int, ...]) -> None:
        found = np.asarray(steps.gray(Image.new(mode, (2, 2), pixel)))
        assert found.tolist() == [[127] * 2] * 2

    def test_a_palette_with_a_transparent_colour_lies_over_white(self) -> None:
        image = gray_rows([0, 200]).convert("P")
        image.info["transparency"] = 0
        assert np.asarray(steps.rgb(image))[0].tolist() == [[255] * 3, [200] * 3]

    @pytest.mark.parametrize(("mode", "key"), [("L", 0), ("RGB", (0, 0, 0))])
    def test_a_png_with_one_transparent_colour_lies_over_white(self, tmp_path: Path, mode: str, key: Any) -> None:
        gray_rows([0, 200]).convert(mode).save(tmp_path / "a.png", transparency=key)
        found = np.asarray(steps.rgb(read_picture(tmp_path / "a.png")))
        assert found[0].tolist() == [[255] * 3, [200] * 3]

    def test_luma_is_itu_601s(self) -> None:
        colours = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))
        assert np.asarray(steps.gray(colours)).tolist() == [[76, 150, 29]]

    def test_black_and_white_become_0_and_255(self) -> None:
        assert np.asarray(steps.gray(gray_rows([0, 255]).convert("1"))).tolist() == [[0, 255]]

    @pytest.mark.parametrize(
        ("orientation", "expected"),
        [
            (1, [[1, 2, 3], [4, 5, 6]]),
            (2, [[3, 2, 1], [6, 5, 4]]),
            (3, [[6, 5, 4], [3, 2, 1]]),
            (6, [[4, 1], [5, 2], [6, 3]]),
            (8, [[3, 6], [2, 5], [1, 4]]),
        ],
    )
    def test_exif_turns_as_its_standard_says(self, orientation: int, expected: list[list[int]]) -> None:
        image = gray_rows([1, 2, 3], [4, 5, 6])
        image.getexif()[0x0112] = orientation
        turned = steps.exif_orientation(image)
        assert np.asarray(turned).tolist() == expected
        assert (turned is image) == (orientation == 1)

    @pytest.mark.parametrize("orientation", [*range(10), "6", (6, 6)])
    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
    def test_exif_turns_in_each_mode_as_pillow_does(self, mode: str, orientation: Any) -> None:
        image = picture(6, 4, "L").convert("I" if mode == "I;16" else mode).convert(mode)
        image.getexif()[0x0112] = orientation
        expected = ImageOps.exif_transpose(image)
        turned = steps.exif_orientation(image)
        assert (turned.mode, turned.size, turned.tobytes()) == (expected.mode, expected.size, expected.tobytes())

    def test_what_was_turned_is_upright(self) -> None:
        image = gray_rows([1, 2, 3], [4, 5, 6])
        image.info["exif"] = exif_with(0x0128, 3, 2 << 16)
        turned = steps.exif_orientation(image)
        assert turned.size == (2, 3)
        assert steps.exif_orientation(turned) is turned

    @pytest.mark.parametrize(("kind", "value"), [(2, 0x32000000), (12, 0), (5, 0), (7, 0x02030405), (13, 1)])
    def test_an_exif_tag_of_an_odd_type_keeps_no_picture_from_being_turned(self, kind: int, value: int) -> None:
        """As a camera's ResolutionUnit that is a text."""
        for tag in (0x0128, 0x0132, 0x8769):
            image = gray_rows([1, 2, 3], [4, 5, 6])
            image.info["exif"] = exif_with(tag, kind, value)
            assert np.asarray(steps.exif_orientation(image)).tolist() == [[4, 1], [5, 2], [6, 3]]

    @pytest.mark.parametrize("error", [struct.error, AttributeError, TypeError, SyntaxError, OSError])
    def test_exif_that_cannot_be_read_turns_nothing_and_says_nothing(
        self, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, error: type[Exception]
    ) -> None:
        def damaged(_: Image.Image) -> None:
            warnings.warn("Corrupt EXIF data", stacklevel=1)
            raise error("of a reader")

        monkeypatch.setattr(Image.Image, "getexif", damaged)
        image = gray_rows([1, 2])
        assert steps.exif_orientation(image) is image
        assert not recwarn.list

    def test_a_picture_without_exif_is_not_even_copied(self) -> None:
        image = gray_rows([1, 2])
        assert steps.exif_orientation(image) is image

    @pytest.mark.parametrize(
        ("rows", "inverted"),
        [
            ([[9, 9, 9], [9, 0, 9], [9, 9, 9]], True),
            ([[0, 0, 0], [0, 9, 0], [0, 0, 0]], False),
            ([[9, 9, 9], [9, 9, 9], [9, 9, 9]], False),  # as light as its whole
            ([[5, 5, 5, 9], [0, 0, 0, 9], [0, 0, 0, 9], [5, 5, 5, 9]], True),
            ([[5, 0, 0, 5], [5, 4, 4, 0], [0, 4, 4, 5], [0, 5, 5, 0]], False),
        ],
    )
    def test_light_on_dark_goes_by_the_border(self, rows: list[list[int]], inverted: bool) -> None:
        found = np.asarray(steps.light_on_dark(gray_rows(*rows)))
        assert found.tolist() == ((255 - np.array(rows)) if inverted else np.array(rows)).tolist()

    def test_each_side_of_the_border_counts(self) -> None:
        for turns in range(4):
            pixels = np.full((8, 8), 100, np.uint8)
            pixels[0], pixels[2:6, 2:6] = 160, 110
            image = Image.fromarray(np.rot90(pixels, turns).copy())
            assert np.asarray(steps.light_on_dark(image)).max() == 155


class TestSizes:
    @pytest.mark.parametrize(
        ("size", "to", "expected"),
        [
            ((56, 28), 14, (28, 14)),
            ((28, 56), 14, (14, 28)),
            ((30, 21), 14, (20, 14)),
            ((10, 10), 14, (14, 14)),
            ((29, 28), 28, (29, 28)),  # its shorter side is that already
            ((64, 1), 2, (128, 2)),
        ],
    )
    def test_the_shorter_side_is_scaled_and_the_aspect_kept(
        self, size: tuple[int, int], to: int, expected: tuple[int, int]
    ) -> None:
        assert steps.resize(picture(*size), to).size == expected

    @pytest.mark.parametrize(
        ("size", "to", "expected"),
        [
            ((40, 40), [10, 20], (20, 20)),  # height and width; the width decides
            ((40, 40), [20, 10], (20, 20)),
            ((80, 20), [10, 20], (40, 10)),
            ((20, 80), [10, 20], (20, 80)),
            ((20, 10), [10, 20], (20, 10)),
        ],
    )
    def test_an_oblong_size_is_just_covered(self, size: tuple[int, int], to: list[int], expected: tuple[int, int]) -> None:
        assert steps.resize(picture(*size), to).size == expected

    def test_stretching_keeps_no_aspect_and_leaves_alone_what_has_the_size(self) -> None:
        image = picture(40, 30, "L")
        assert steps.stretch(image, [10, 20]).size == (20, 10)
        assert steps.stretch(image, 7).size == (7, 7)
        assert steps.stretch(image, [30, 40]) is image
        assert np.array_equal(
            np.asarray(steps.stretch(image, 9, "nearest")), np.asarray(image.resize((9, 9), Image.Resampling.NEAREST))
        )
        assert np.array_equal(
            np.asarray(steps.stretch(image, 9)), np.asarray(image.resize((9, 9), Image.Resampling.BILINEAR))
        )

    def test_an_oblong_crop_is_the_middle_too(self) -> None:
        image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
        assert np.asarray(steps.center_crop(image, [1, 3])).tolist() == [[16, 17, 18]]
        assert np.asarray(steps.center_crop(image, [3, 1])).tolist() == [[10], [17], [24]]

    def test_up_to_64_times_as_long_as_wide(self) -> None:
        assert steps.resize(picture(128, 2), 1).size == (64, 1)
        with pytest.raises(PictureError, match="is 130×2, too long and thin to classify: crop it"):
            steps.resize(picture(130, 2), 1)

    @pytest.mark.parametrize("name", steps.FILTERS)
    def test_each_filter_is_pillows(self, name: str) -> None:
        image = picture(40, 30, "L")
        expected = image.resize((20, 15), getattr(Image.Resampling, name.upper()))
        assert np.array_equal(np.asarray(steps.resize(image, 15, name)), np.asarray(expected))

    def test_bilinear_is_meant_where_no_filter_is_named(self) -> None:
        image = picture(40, 30, "L")
        assert np.array_equal(np.asarray(steps.resize(image, 15)), np.asarray(steps.resize(image, 15, "bilinear")))

    def test_the_crop_is_the_middle(self) -> None:
        image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
        assert np.asarray(steps.center_crop(image, 3)).tolist() == [[9, 10, 11], [16, 17, 18], [23, 24, 25]]
        assert np.asarray(steps.center_crop(image, 2)).tolist() == [[9, 10], [16, 17]]


class TestParameters:
    @pytest.mark.parametrize(
        ("step", "parameters", "fits"),
        [
            ("resize", {"size": 1}, True),
            ("resize", {"size": 8192, "filter": "lanczos"}, True),
            ("resize", {"size": 8193}, False),
            ("resize", {"size": 0}, False),
            ("resize", {"size": True}, False),
            ("resize", {"size": 28.0}, False),
            ("resize", {"size": "28"}, False),
            ("resize", {"size": 28, "filter": ["bilinear"]}, False),
            ("resize", {"size": 28, "filter": "magic"}, False),
            ("resize", {"filter": "bilinear"}, False),
            ("center_crop", {"size": 28}, True),
            ("center_crop", {"size": -1}, False),
            ("center_crop", {}, False),
            ("center_crop", {"size": 28, "box": 20}, False),
            ("resize", {"size": [28, 30]}, True),
            ("resize", {"size": [28]}, False),
            ("resize", {"size": [28, 30, 3]}, False),
            ("resize", {"size": [28, 0]}, False),
            ("resize", {"size": (28, 30)}, False),
            ("input_values", {"scale": [0.5], "offset": [1]}, True),
            ("input_values", {"scale": [0.5, 1, 2], "offset": [0.0, 0, 0]}, True),
            ("input_values", {"scale": [0.5, 1]}, False),
            ("input_values", {"scale": [0.5, 1, 0]}, False),
            ("input_values", {"scale": [0.5, float("inf"), 1]}, False),
            ("input_values", {"offset": [0.5, float("nan"), 1]}, False),
            ("input_values", {"offset": [0.5, True, 1]}, False),
            ("input_values", {"offset": ["0", 1, 1]}, False),
            ("input_values", {"offset": 1}, False),
            ("input_values", {"layout": "NCHW"}, True),
            ("input_values", {"layout": "CHW"}, False),
            ("digit_frame", {"size": 28, "box": 20}, True),
            ("digit_frame", {"size": 28, "box": 0}, False),
            ("digit_frame", {"size": 0, "box": 20}, False),
            ("stroke_frame", {"size": 28, "box": 20}, True),
            ("stroke_frame", {"size": 28, "box": 0}, False),
            ("gray", {}, True),
            ("gray", {"size": 28}, False),
        ],
    )
    def test_each_step_takes_its_own_within_their_limits(self, step: str, parameters: dict[str, Any], fits: bool) -> None:
        if fits:
            steps.check_parameters(step, parameters)
        else:
            with pytest.raises(CardError, match=f"card field preprocess: step '{step}'"):
                steps.check_parameters(step, parameters)
