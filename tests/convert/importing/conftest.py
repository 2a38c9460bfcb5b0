"""Fixtures of the tests of importing."""

from pathlib import Path

import pytest

from tests.support.models.imported_models import Paint, write_paint


@pytest.fixture(scope="session")
def paint(tmp_path_factory: pytest.TempPathFactory) -> Paint:
    return write_paint(tmp_path_factory.mktemp("paint"))


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"
