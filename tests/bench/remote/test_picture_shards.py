"""The test pictures that are sent to a device."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.artifacts.find import find_artifacts
from bench.measure.row import MODES
from bench.remote.picture_shards import DevicePictures, DevicePictureStore, _png
from bench.remote.request import Request
from device.card import Step
from device.pictures.picture_files import HEIC_ENDINGS, PICTURE_ENDINGS
from device.pictures.steps import ORIENTATION
from device.preprocessing.prepare import read_picture, run_steps
from tests.support.baselines import READY
from tests.support.pictures import picture
from train.data.dataset import NO_LABEL, file_split

STEPS = (Step("exif_orientation"), Step("rgb"))
LYING = 6  # the orientation of a telephone that was held upright


@pytest.fixture
def heic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a picture that is read as HEIC is, by its ending: it is a JPEG, since no HEIC can be written here."""
    monkeypatch.setattr("device.preprocessing.prepare._register_heic", lambda: None)
    path = tmp_path / "photo.HEIC"
    exif = Image.Exif()
    exif[0x0112] = LYING
    picture(12, 8).save(path, "JPEG", exif=exif)
    return path


def sent(*paths: Path) -> dict[str, bytes]:
    """Return what is sent of these files."""
    split = file_split(paths, np.arange(len(paths)))
    (shard,) = DevicePictures(split, np.arange(len(paths))).shards(len(paths))
    with zipfile.ZipFile(io.BytesIO(shard.archive)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_heic_is_sent_as_a_png_that_looks_the_same(heic: Path) -> None:
    """A device without pillow-heif reads it, and turns it in the same way."""
    ((name, data),) = sent(heic).items()
    assert name == "000.png"
    assert data.startswith(b"\x89PNG")
    there, here = (run_steps(read_picture(source), STEPS) for source in (io.BytesIO(data), heic))
    assert there.shape == (12, 8, 3)
    assert (there == here).all()


def test_a_heic_that_cannot_be_read_here_cannot_be_read_there(heic: Path) -> None:
    heic.write_bytes(b"no picture")
    assert sent(heic) == {"000.png": b"no picture"}


@pytest.mark.parametrize("ending", PICTURE_ENDINGS)
def test_what_pillow_reads_is_sent_as_it_is_under_its_own_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"photo{ending.upper()}"
    path.write_bytes(b"any bytes")
    assert sent(path) == {f"000{ending}": b"any bytes"}


def test_no_ending_that_needs_more_than_pillow_is_among_them() -> None:
    assert not set(HEIC_ENDINGS) & set(PICTURE_ENDINGS)


def test_only_the_orientation_of_a_heic_is_sent_because_other_tags_may_be_unwritable() -> None:
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    image.getexif().update({ORIENTATION: 6, 0x0128: "inch"})  # the unit of the resolution should be a number
    with Image.open(io.BytesIO(_png(image))) as png:
        assert dict(png.getexif()) == {ORIENTATION: 6}


@pytest.mark.parametrize("labelled", [True, False])
def test_answers_to_pictures_without_labels_are_no_accuracy(tmp_path: Path, labelled: bool) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        picture(4, 4).save(path)
    labels = np.array([0, 1, 0, 1]) if labelled else np.full(4, NO_LABEL)
    pictures = DevicePictures(file_split(paths, labels), np.arange(4))
    answers = np.array([0, 1, 1], np.uint16)
    assert pictures.right_text(answers) == ("2 of 3 right" if labelled else "3 pictures without labels")
    assert len(pictures.kept_answers(answers)) == (3 if labelled else 0)
    request = Request([], [], MODES["rapid"], [1], DevicePictureStore(None), lambda _, __: answers)
    counts = request.answer_counts(find_artifacts([READY / "mnist_cnn.int8.tflite"])[0], pictures, answers)
    assert (counts.accuracy is None, counts.correct, counts.total) == ((False, 2, 3) if labelled else (True, 0, 0))
