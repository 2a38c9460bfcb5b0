"""Files that are damaged or mean harm: one line each, nothing executed, nothing written outside."""

import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.unzip import unpack
from convert.importing.import_model import import_model
from convert.importing.sources import open_source
from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.models.imported_models import Paint, outside, save, sequential


class Owned:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.mark),)


def old(network_kind: str = "h5") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        import tf_keras

        return save(sequential(library=tf_keras), folder, network_kind)

    return build


def halved(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def half_of_the_variables(folder: Path) -> Path:
    path = save(sequential(), folder, "saved_model")
    halved(path / "variables" / "variables.data-00000-of-00001")
    return path


def half_of_the_graph(folder: Path) -> Path:
    path = save(sequential(), folder, "saved_model")
    halved(path / "saved_model.pb")
    return path


def zipped(folder: Path, **members: bytes) -> Path:
    path = folder / "converted_keras.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "0 red\n1 green\n2 blue\n")
        for name, content in {"keras_model.h5": b"", **members}.items():
            archive.writestr(name, content)
    return path


def bomb(folder: Path) -> Path:
    path = folder / "converted_keras.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("labels.txt", "0 red\n")
        with archive.open("keras_model.h5", "w", force_zip64=True) as member:
            for _ in range(25):
                member.write(bytes(10_000_000))
    return path


def keras_bomb(folder: Path) -> Path:
    path = save(sequential(), folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("more", "w") as member:
        for _ in range(25):
            member.write(bytes(10_000_000))
    return path


def sparse(folder: Path, name: str) -> Path:
    path = folder / name
    with path.open("wb") as file:
        file.truncate(4_000_000_001)
    return path


def huge_graph(folder: Path) -> Path:
    (folder / "paint").mkdir()
    return sparse(folder / "paint", "saved_model.pb").parent


def empty(folder: Path) -> Path:
    (folder / "paint.bin").touch()
    return folder / "paint.bin"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "paint.onnx")
    return folder / "paint.onnx"


def keras_by_another_name(folder: Path) -> Path:
    return save(sequential(), folder).rename(folder / "paint.h5")


def h5_in_capitals(folder: Path) -> Path:
    return save(sequential(), folder, "h5").rename(folder / "paint.H5")


DEFECTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "half a .keras": (lambda folder: halved(save(sequential(), folder)), "is no Keras model, or is cut off"),
    "half a .h5": (lambda folder: halved(save(sequential(), folder, "h5")), "cannot load it"),
    "half a Keras 2 .h5": (lambda folder: halved(old()(folder)), "cannot load it"),
    "half of a SavedModel's graph": (half_of_the_graph, "damaged|cannot load it|no graph"),
    "half of a SavedModel's variables": (half_of_the_variables, "cannot load it"),
    "half a ZIP": (lambda folder: halved(zipped(folder)), "no model that is known here"),
    "an empty .h5 in a ZIP": (lambda folder: zipped(folder), "it is empty"),
    "a bomb": (bomb, "would unpack to 250 MB"),
    "a bomb in a .keras": (keras_bomb, "would unpack to 250 MB"),
    "a path that leaves the folder": (lambda folder: zipped(folder, **{"../../owned": b"x"}), "leaves its folder"),
    "an absolute path": (lambda folder: zipped(folder, **{"/owned": b"x"}), "leaves its folder"),
    "a path of Windows": (lambda folder: zipped(folder, **{"..\\..\\owned": b"x"}), "leaves its folder"),
    "4 GB of nothing": (lambda folder: sparse(folder, "paint.h5"), "is no Keras model, or is cut off"),
    "4 GB of graph": (huge_graph, "has 4.0 GB, expected at most 2 GB"),
    "an empty file": (empty, "is empty"),
    "a pipe": (pipe, "is no regular file"),
    "a .h5 in capital letters": (h5_in_capitals, r"rename it to paint\.h5"),
    "a .keras by another name": (keras_by_another_name, r"rename it to paint\.keras"),
    "weights of PyTorch": (lambda folder: sparse(folder, "paint.pth"), r"torch\.onnx\.export"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(tmp_path: Path, defect: str) -> None:
    build, found = DEFECTS[defect]
    path = build(tmp_path)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(EdgeproofError, match=found) as error:
        open_source(path)
    assert len(str(error.value).splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before
    assert not Path("/owned").exists()


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "linked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("labels.txt")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    (tmp_path / "into").mkdir()
    with pytest.raises(EdgeproofError, match="leaves its folder"):
        unpack(path, tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


class TestPickles:
    def test_one_in_a_keras_file_is_not_loaded(self, paint: Paint, tmp_path: Path) -> None:
        mark = tmp_path / "owned"
        path = save(sequential(), tmp_path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        for name in ("config.json", "model.weights.h5"):
            with zipfile.ZipFile(path, "w") as archive:
                for member, content in members.items():
                    archive.writestr(member, pickle.dumps(Owned(mark)) if member == name else content)
            with pytest.raises(EdgeproofError, match="cannot load it"):
                import_model(outside(paint, path), print)
            assert not mark.exists()

    def test_one_in_a_h5_file_is_not_loaded(self, paint: Paint, tmp_path: Path) -> None:
        import h5py
        import numpy as np

        mark = tmp_path / "owned"
        path = save(sequential(), tmp_path, "h5")
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = np.void(pickle.dumps(Owned(mark)))
        with pytest.raises(EdgeproofError, match=r"cannot load it|holds weights without a model"):
            import_model(outside(paint, path), print)
        assert not mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("defect", ["half a Keras 2 .h5", "half of a SavedModel's variables", "a bomb"])
def test_the_command_says_one_line_and_ends_with_2(tmp_path: Path, defect: str) -> None:
    path = DEFECTS[defect][0](tmp_path)
    result = run_module("convert", "inspect", path, cwd=tmp_path)
    assert (result.code, result.stdout) == (2, "")
    assert len(result.stderr.strip().splitlines()) == 1
