"""Fixtures of the tests over SSH."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.remote.loopback_sshd import Loopback, find_sshd, loopback_server
from device.errors import EdgeproofError
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def server() -> Iterator[Loopback]:
    try:
        find_sshd()
    except EdgeproofError as error:
        pytest.skip(str(error))
    with loopback_server() as running:
        yield running


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of class folders with the ready pictures, and one file that is not a picture."""
    folder = tmp_path_factory.mktemp("set") / "my dïgits"
    shutil.copytree(ROOT / "data" / "ready" / "pictures", folder)
    (folder / "7" / "broken.png").write_text("no picture")
    return folder
