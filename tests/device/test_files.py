"""Reading files, also inside archives."""

from pathlib import Path

import pytest

from common.unzip import unpack
from convert.importing.sources import open_source
from device.errors import EdgeproofError
from device.files import read_bytes
from device.formats.tflite_metadata import metadata_labels
from tests.conftest import classify
from tests.support.archives import MEMBER, UNREADABLE


def test_a_name_that_no_file_can_have_is_an_error_in_the_same_words_in_every_python(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match=r"a\\x00b': cannot be read: its name has a character that no file's name can"):
        read_bytes(tmp_path / "a\0b")


@pytest.fixture(params=UNREADABLE)
def unreadable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return an archive whose member cannot be read."""
    return UNREADABLE[request.param](tmp_path / "x.zip")


def test_a_file_in_an_archive_that_cannot_be_read_is_an_error_that_names_both(unreadable: Path) -> None:
    with pytest.raises(EdgeproofError, match=rf"x\.zip(/{MEMBER})?: .*(read|folder)"):
        read_bytes(unreadable / MEMBER)


def test_an_archive_that_cannot_be_unpacked_is_an_error_that_names_it(unreadable: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match=r"x\.zip: cannot be unpacked"):
        unpack(unreadable, tmp_path)


def test_labels_in_an_archive_that_cannot_be_read_are_none(unreadable: Path) -> None:
    assert metadata_labels(unreadable.read_bytes(), MEMBER) is None


def test_an_archive_that_cannot_be_read_is_no_model(unreadable: Path) -> None:
    with pytest.raises(EdgeproofError, match=r"x\.zip"):
        open_source(unreadable)


def test_an_encrypted_model_is_one_line_and_code_2(tmp_path: Path) -> None:
    path = UNREADABLE["encrypted"](tmp_path / "x.zip")
    result = classify(path / MEMBER, "--info", cwd=tmp_path)
    assert result.code == 2
    assert "without a password" in result.error_line
