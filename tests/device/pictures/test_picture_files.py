"""Pictures in folders with the layouts that users have."""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from device.errors import EdgeproofError, PictureError
from device.pictures import picture_files
from device.pictures.picture_files import class_folders, left_out_text, parts_of
from device.pictures.sources import expand, labelled_pictures
from device.preprocessing.prepare import read_picture

LABELS = ("cat", "dog")


def lay(folder: Path, *names: str) -> Path:
    """Write files of these names: real pictures where the ending is one that Pillow writes."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {".jfif": "JPEG", ".png": "PNG", ".avif": "AVIF", ".jpg": "JPEG", ".JPG": "JPEG"}.get(path.suffix)
        if kind and not path.name.startswith("."):
            Image.new("RGB", (8, 8), (200, 30, 30)).save(path, kind)
        else:
            path.write_bytes(b"no picture")
    return folder


def test_every_usual_ending_is_taken_and_what_is_left_out_is_counted_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "reads_heic", lambda: False)
    names = ("cat/a.jfif", "cat/b.avif", "cat/c.JPG", "dog/d.png")
    others = ("cat/._a.png", "cat/.DS_Store", "cat/notes.txt", "cat/e.heic", "cat/more/f.png", "g.png", "labels.txt")
    lay(tmp_path, *names, *others)
    found = class_folders(tmp_path)
    assert {name: [path.name for path in files] for name, files in found.files.items()} == {
        "cat": ["a.jfif", "b.avif", "c.JPG"],
        "dog": ["d.png"],
    }
    assert found.left_out == {
        "hidden": 2,
        "no picture (.txt)": 2,
        "HEIC (pip install pillow-heif)": 1,
        "in folders inside of class folders": 1,
        "beside the class folders": 1,
    }
    assert all(read_picture(path).size == (8, 8) for files in found.files.values() for path in files)
    with pytest.raises(PictureError, match="pip install pillow-heif"):
        read_picture(tmp_path / "cat" / "e.heic")


def test_heic_is_taken_where_pillow_heif_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "reads_heic", lambda: True)
    assert [path.name for path in class_folders(lay(tmp_path, "cat/e.heic")).files["cat"]] == ["e.heic"]


@pytest.mark.parametrize(
    "names", [("cat/a.png", "dog/notes.txt"), ("cat/a.png", "dog/more/a.png"), ("cat/a.png", "dog/.x.png")]
)
def test_a_class_without_a_usable_picture_is_an_error(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(EdgeproofError, match="class 'dog' holds no usable picture \\(left out: 1 "):
        class_folders(lay(tmp_path, *names))


@pytest.mark.parametrize(
    ("train", "other", "part"), [("train", "val", "val"), ("Train", "Valid", "val"), ("training", "Testing", "test")]
)
def test_parts_have_their_usual_names(tmp_path: Path, train: str, other: str, part: str) -> None:
    lay(tmp_path, f"{train}/cat/a.png", f"{other}/cat/a.png", "annotations/a.txt")
    assert parts_of(tmp_path) == {"train": tmp_path / train, part: tmp_path / other}


def test_classes_named_as_parts_are_classes(tmp_path: Path) -> None:
    assert parts_of(lay(tmp_path, "valid/a.png", "invalid/b.png")) == {}


def test_two_folders_of_one_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match="would both be the part val"):
        parts_of(lay(tmp_path, "val/cat/a.png", "validation/cat/a.png"))


def test_labelled_pictures_of_a_folder_with_parts_are_those_of_its_test_part(tmp_path: Path) -> None:
    lay(tmp_path, "train/cat/a.png", "train/dog/b.png", "Test/cat/c.png", "Test/dog/d.png", "Test/dog/._d.png")
    found = labelled_pictures(tmp_path, LABELS)
    assert [(path.name, label) for path, label in found.files] == [("c.png", 0), ("d.png", 1)]
    assert found.left_out == {"hidden": 1, "folders beside Test": 1}


def test_a_folder_s_pictures_are_taken_at_any_depth_but_not_hidden_ones(tmp_path: Path) -> None:
    lay(tmp_path, "a.png", "deep/b.jfif", "._a.png", ".git/c.png", "__MACOSX/d.png", "notes.txt")
    left_out: Counter[str] = Counter()
    assert [Path(name).name for name in expand([str(tmp_path)], left_out)] == ["a.png", "b.jfif"]
    assert left_out_text(left_out) == "3 hidden, 1 no picture (.txt)"


def found_in(folder: Path) -> tuple[list[str], str]:
    left_out: Counter[str] = Counter()
    found = [Path(name).relative_to(folder).as_posix() for name in expand([str(folder)], left_out)]
    return found, left_out_text(left_out)


def test_linked_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    folder = lay(tmp_path / "all", "a.png", "deep/b.png")
    lay(tmp_path / "elsewhere", "c.png", "more/d.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / ".hidden").symlink_to(tmp_path / "elsewhere")
    (folder / "deep" / "up").symlink_to(folder)
    (tmp_path / "elsewhere" / "more" / "back").symlink_to(tmp_path / "elsewhere")
    (folder / "b-again").symlink_to(folder / "deep")
    (folder / "e.png").symlink_to(folder / "a.png")
    names = ["a.png", "deep/b.png", "e.png", "linked/c.png", "linked/more/d.png"]
    assert found_in(folder) == (names, "1 hidden, 3 link to a folder that is read anyway")


def test_what_is_no_regular_file_is_counted_by_reason(tmp_path: Path) -> None:
    lay(tmp_path, "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert found_in(tmp_path) == (["a.png"], "1 link to nothing, 1 no regular file")


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "a.png", "closed/b.png")
    entries = Path.iterdir

    def guarded(path: Path) -> Iterator[Path]:
        if path.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return iter(entries(path))

    monkeypatch.setattr(Path, "iterdir", guarded)
    closed = tmp_path / "closed"
    assert found_in(tmp_path) == (["a.png"], f"1 folder that cannot be read ({closed}: Permission denied)")


@pytest.mark.parametrize(("names", "refused"), [(("crane", "owl"), True), (("owl",), False)])
def test_a_class_folder_that_could_be_two_labels_of_that_name_is_no_place_to_score(
    tmp_path: Path, names: tuple[str, ...], refused: bool
) -> None:
    lay(tmp_path, *(f"{name}/1.png" for name in names))
    labels = ["crane", "owl", "crane"]  # ImageNet's bird and machine
    if refused:
        with pytest.raises(EdgeproofError, match=r"class folder crane could be 2 labels of that name: leave it out"):
            labelled_pictures(tmp_path, labels)
    else:
        assert labelled_pictures(tmp_path, labels).files == [(tmp_path / "owl" / "1.png", 1)]
