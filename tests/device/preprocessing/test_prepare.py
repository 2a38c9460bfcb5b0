"""The only preprocessing: the steps of a card in order, and picture files."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from device.card import Card, Step
from device.errors import CardError, PictureError
from device.pictures import steps
from device.preprocessing import prepare as preprocess
from device.preprocessing.prepare import prepare
from device.preprocessing.whole_picture import whole_picture_steps
from tests.support.models.model_files import card_json
from tests.support.pictures import picture


class TestPrepare:
    @pytest.mark.parametrize("size", [(28, 28), (1, 1), (400, 300), (300, 401), (27, 500)])
    def test_gives_the_models_input_for_any_size(self, size: tuple[int, int]) -> None:
        pixels = prepare(picture(*size), Card.from_json(card_json()))
        assert pixels.shape == (28, 28, 1)
        assert pixels.dtype == np.uint8

    def test_a_picture_of_the_right_size_stays_as_it_is(self) -> None:
        image = picture(28, 28, "L")
        assert np.array_equal(prepare(image, Card.from_json(card_json()))[:, :, 0], np.asarray(image))

    def test_resize_and_crop_fill_a_size_that_is_not_square(self) -> None:
        halves = Image.new("L", (40, 10))
        halves.paste(255, (20, 0, 40, 10))
        cut = steps.center_crop(steps.resize(halves, [10, 20]), [10, 20])
        assert (cut.size, np.asarray(cut)[5].tolist()) == ((20, 10), [0] * 10 + [255] * 10)
        tall = steps.resize(Image.new("L", (10, 40)), [10, 20])
        assert tall.size == (20, 80)

    def test_stretch_keeps_every_part_of_the_picture(self) -> None:
        ends = Image.new("L", (40, 10), 128)
        ends.paste(0, (0, 0, 10, 10))
        ends.paste(255, (30, 0, 40, 10))
        squeezed = np.asarray(steps.stretch(ends, 4, "nearest"))
        assert squeezed.tolist() == [[0, 128, 128, 255]] * 4
        assert steps.stretch(ends, [10, 40]) is ends

    @pytest.mark.parametrize("fit", ["crop", "stretch"])
    def test_whole_pictures_lead_to_the_input_in_either_fit(self, fit: str) -> None:
        for height, width, channels in ((28, 28, 1), (20, 30, 3)):
            made = preprocess.run_steps(picture(50, 31), whole_picture_steps(height, width, channels, fit))
            assert made.shape == (height, width, channels)

    def test_refuses_a_card_whose_steps_lead_elsewhere(self) -> None:
        with pytest.raises(CardError, match="steps give"):
            prepare(picture(40, 40), Card.from_json(card_json(preprocess=[["gray"]])))

    def test_refuses_a_picture_too_thin_to_scale(self) -> None:
        with pytest.raises(PictureError, match="too long and thin"):
            prepare(picture(4000, 1), Card.from_json(card_json()))


class TestOrder:
    """Cards whose steps do not fit one another."""

    @staticmethod
    def prepared(image: Image.Image, *names: list[Any]) -> Any:
        return preprocess.run_steps(image, [Step.from_json(name) for name in names])

    def test_gray_pixels_have_one_channel_and_colours_three(self) -> None:
        assert self.prepared(picture(5, 4), ["gray"]).shape == (4, 5, 1)
        assert self.prepared(picture(5, 4), ["rgb"]).shape == (4, 5, 3)

    @pytest.mark.parametrize("name", steps.NEED_GRAY)
    def test_what_needs_gray_says_so(self, name: str) -> None:
        step = [name, {"size": 28}] if name in ("digit_frame", "stroke_frame") else [name]
        for before in ([], [["rgb"]]):
            with pytest.raises(CardError, match=f"step '{name}' needs the step 'gray' before it"):
                self.prepared(picture(5, 4), *before, step)

    def test_light_on_dark_after_gray_is_run(self) -> None:
        assert self.prepared(Image.new("RGB", (3, 3), (9, 9, 9)), ["gray"], ["light_on_dark"]).max() == 9

    def test_steps_that_end_in_no_gray_or_rgb_are_refused(self) -> None:
        with pytest.raises(CardError, match="the steps end in a CMYK picture: add gray or rgb"):
            self.prepared(picture(5, 4, "CMYK"), ["exif_orientation"])

    def test_what_pillow_refuses_is_the_cards_mistake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuses(_: Image.Image) -> Image.Image:
            raise ValueError("image has wrong mode")

        monkeypatch.setitem(steps.STEPS, "gray", refuses)
        with pytest.raises(CardError, match="step 'gray' cannot take a RGB picture of 5×4: image has wrong mode"):
            self.prepared(picture(5, 4), ["gray"])

    def test_what_memory_has_no_room_for_is_the_pictures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def large(_: Image.Image) -> Image.Image:
            raise MemoryError

        monkeypatch.setitem(steps.STEPS, "gray", large)
        with pytest.raises(PictureError, match="is 5×4, too large for the free memory"):
            self.prepared(picture(5, 4), ["gray"])

    @pytest.mark.parametrize("shape", [(20, 10, 1), (10, 20, 3), (20, 20, 1)])
    def test_the_input_must_have_each_side(self, shape: tuple[int, int, int]) -> None:
        sides = dict(zip(("height", "width", "channels"), shape, strict=True))
        card = Card.from_json(card_json(input={**sides, "pixels": "0..255"}, preprocess=[["gray"]]))
        with pytest.raises(CardError, match=r"the steps give \(10, 20, 1\), the model takes"):
            prepare(picture(20, 10), card)


class TestPictureFiles:
    def test_what_is_no_file_is_said_as_what_it_is(self, tmp_path: Path) -> None:
        with pytest.raises(PictureError, match=r"^is a folder without pictures$"):
            preprocess.read_picture(tmp_path)
        with pytest.raises(PictureError, match=r"^no such file$"):
            preprocess.read_picture(tmp_path / "none.png")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(PictureError, match=r"^is no file$"):
            preprocess.read_picture(tmp_path / "pipe")

    @pytest.mark.parametrize(
        ("name", "found"),
        [("x" * 300, "cannot be read: File name too long"), ("a\0b", "cannot be read: its name has a")],
    )
    def test_a_name_that_no_file_can_have_is_the_pictures_error(self, tmp_path: Path, name: str, found: str) -> None:
        with pytest.raises(PictureError, match=f"^{found}"):
            preprocess.read_picture(tmp_path / name)

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (PermissionError(13, "Permission denied"), "cannot be read: Permission denied"),
            (OSError("broken data stream"), "not a picture: broken data stream"),
            (MemoryError(), "is 9×7, too large for the free memory: make it smaller"),
        ],
    )
    def test_what_the_system_refuses_is_not_said_of_the_picture(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
    ) -> None:
        def refuses(_: Image.Image) -> None:
            raise error

        picture(9, 7).save(tmp_path / "p.png")
        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", refuses)
        with pytest.raises(PictureError, match=f"^{says}$"):
            preprocess.read_picture(tmp_path / "p.png")

    def test_a_file_and_its_bytes_are_the_same_picture(self, tmp_path: Path) -> None:
        image = picture(9, 7)
        image.save(tmp_path / "p.png")
        by_name = preprocess.read_picture(tmp_path / "p.png")
        by_bytes = preprocess.read_picture(io.BytesIO((tmp_path / "p.png").read_bytes()))
        assert np.array_equal(np.asarray(by_name), np.asarray(image))
        assert np.array_equal(np.asarray(by_bytes), np.asarray(image))

    @pytest.mark.parametrize("pixels", [60, 30])
    def test_a_bomb_is_refused_before_it_is_unpacked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int
    ) -> None:
        picture(10, 10).save(tmp_path / "p.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)  # beyond it Pillow warns, beyond twice of it it refuses
        with pytest.raises(PictureError, match=r"^too large: "):
            preprocess.read_picture(tmp_path / "p.png")

    def test_a_picture_that_is_none_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "text.png"
        path.write_text("no picture")
        with pytest.raises(PictureError, match="not a picture"):
            preprocess.read_picture(path)

    def test_a_postscript_program_under_a_pictures_name_is_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from PIL import EpsImagePlugin

        ran: list[object] = []
        monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **_: ran.append(given))
        path = tmp_path / "photo.jpg"
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
        with pytest.raises(PictureError, match="EPS"):
            preprocess.read_picture(path)
        assert ran == []

    def test_a_truncated_picture_is_refused(self, tmp_path: Path) -> None:
        whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
        picture(200, 200).save(whole)
        cut.write_bytes(whole.read_bytes()[:2000])
        with pytest.raises(PictureError, match="not a picture"):
            preprocess.read_picture(cut)
