"""Data folders that cannot be used, or seem unusable."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.robustness.corpus.defect import Bad, write
from tests.robustness.corpus.pictures import digit


def folders(folder: Path) -> Iterator[Bad]:
    """Write every data folder."""
    kind = "data folder"
    (folder / "empty").mkdir(parents=True)
    yield Bad(folder / "empty", kind, "found 0 class|holds no pictures|is a folder|no pictures")
    yield Bad(folder / "missing", kind, "no such folder|No such|does not exist")
    yield Bad(write(folder / "a-file", b"7"), kind, "no such folder|expected")
    yield Bad(_filled(folder / "one-class", {"7": 20}), kind, "found 1 class", by="train")
    yield Bad(_filled(folder / "a-class-with-one-picture", {"0": 20, "7": 1}), kind, "'7' has 1 picture", by="train")
    yield Bad(_filled(folder / "empty-class-folders", {"0": 0, "7": 0}), kind, "holds no usable picture|no pictures")
    path = _filled(folder / "no-train-folder" / "test", {"0": 20, "7": 20}).parent
    yield Bad(path, kind, "no train folder|lie one level deeper", by="train|convert")  # enough for an accuracy
    path = _filled(folder / "other-classes-in-test" / "train", {"0": 9, "7": 9}).parent
    _filled(path / "test", {"0": 9, "eight": 9})
    yield Bad(path, kind, "classes are not those|none of the labels|no pictures", by="train|--score")  # calibration: train
    path = _filled(folder / "a-picture-that-is-none", {"0": 20, "7": 20})
    write(path / "7" / "broken.png", b"no picture")
    yield Bad(path, kind, "broken.png", by="train run")
    path = _filled(folder / "a-class-that-is-a-link-to-itself", {"0": 20, "7": 20})
    (path / "8").symlink_to("8")
    (path / "0" / "loop.png").symlink_to("loop.png")
    yield Bad(path, kind, "loop.png", by="train run")
    path = _filled(folder / "duplicate-across-train-and-test" / "train", {"0": 6, "7": 6}).parent
    _filled(path / "test", {"0": 3, "7": 3}, first=30)
    _filled(path / "val", {"0": 3, "7": 3}, first=60)
    shutil.copy(path / "train" / "7" / "5.png", path / "test" / "7" / "again.png")
    yield Bad(path, kind, "the same picture as train/7/5.png", by="train run", named="test/7/again.png")
    names = {"a space": 4, "emoji 🎉": 4, "line\nfeed": 4, "-dash": 4}
    yield Bad(_filled(folder / "my data 🖼", names), kind, "control characters", by="train run")


def _filled(folder: Path, classes: Mapping[str, int], first: int = 0) -> Path:
    """Write this number of pictures for each class, all different."""
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = digit("L").rotate(first + number, fillcolor=235)
            picture.save(folder / name / f"{number}.png")
    return folder
