"""Where pictures come from: files, folders, patterns, standard input, a camera."""

from __future__ import annotations

import glob
import importlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
from PIL import Image

from device.errors import CheckFailed, EdgeproofError
from device.pictures.picture_files import class_folders, folders_in, parts_of, pictures_below, refuse_ambiguous


def expand(images: Sequence[str], left_out: Optional[Counter[str]] = None) -> Iterator[str]:
    """Yield the files: a folder's pictures at any depth, a pattern's matches, both sorted, or the name itself.

    Files of a folder that are left out are counted by reason.
    """
    counted: Counter[str] = Counter() if left_out is None else left_out
    for name in images:
        found = [name]
        if os.path.isdir(name):  # noqa: PTH112  # Path.is_dir raises OSError for a name that is too long
            found = [str(file) for file in pictures_below(Path(name), counted)]
        elif glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110  # as above
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute patterns
        yield from found or [name]  # no match: the name itself, which is then reported as missing


def camera_frames(number: int) -> Iterator[Image.Image]:
    """Yield frames of a camera, "RGB": picamera2 where there is one, else OpenCV. Both deliver B, G, R.

    Raises EdgeproofError where neither is installed or the camera gives no picture.
    """
    try:
        return _picamera2_frames(importlib.import_module("picamera2").Picamera2, number)
    except ImportError:
        pass
    try:
        return _opencv_frames(importlib.import_module("cv2").VideoCapture(number), number)
    except ImportError as error:
        raise EdgeproofError(
            "--camera needs picamera2 (sudo apt install python3-picamera2, and a venv with --system-site-packages) "
            "or OpenCV (pip install opencv-python-headless): neither can be imported"
        ) from error


def _picamera2_frames(camera_class: Any, number: int) -> Iterator[Image.Image]:
    try:
        camera = camera_class(number)
        camera.configure(camera.create_video_configuration(main={"format": "RGB888", "size": (640, 480)}))
        camera.start()
    except (RuntimeError, IndexError, OSError) as error:
        raise CheckFailed(f"camera {number}: {error}: look at `rpicam-hello --list-cameras`") from error
    try:
        while True:
            yield Image.fromarray(np.ascontiguousarray(camera.capture_array("main")[:, :, 2::-1]))
    finally:
        camera.stop()
        camera.close()


def _opencv_frames(camera: Any, number: int) -> Iterator[Image.Image]:
    try:
        while True:
            arrived, frame = camera.read()
            if not arrived:
                raise CheckFailed(f"camera {number}: gives no picture: look at `ls /dev/video*` and at its cable")
            yield Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))
    finally:
        camera.release()


class LabelledPictures(NamedTuple):
    """Pictures with the index of their label, and what was left out of their folder, counted by reason."""

    files: list[tuple[Path, int]]
    left_out: Counter[str]


def labelled_pictures(folder: Path, labels: Sequence[str]) -> LabelledPictures:
    """Return the pictures in a folder of class folders: of a folder with parts, those of test, or else of val.

    Raises EdgeproofError where a class folder is empty or is not just one of the labels, or where there are no pictures.
    """
    if not folder.is_dir():
        raise EdgeproofError(f"{folder}: no such folder, expected one folder a class with pictures in it")
    parts = {} if {path.name for path in folders_in(folder)} <= set(labels) else parts_of(folder)
    chosen = parts.get("test") or parts.get("val")
    names = [path.name for path in folders_in(chosen or folder)]
    strange = [name for name in names if name not in labels]
    if strange:
        raise EdgeproofError(
            f"{chosen or folder}: class folders {', '.join(strange)} are none of the labels {', '.join(labels)}"
        )
    refuse_ambiguous(chosen or folder, names, labels)
    found = class_folders(chosen or folder)
    if chosen is not None:
        found.left_out[f"folders beside {chosen.name}"] += len(folders_in(folder)) - 1
    files = [(path, labels.index(name)) for name, paths in found.files.items() for path in paths]
    if not files:
        raise EdgeproofError(f"{folder}: holds no pictures in class folders")
    return LabelledPictures(files, found.left_out)
