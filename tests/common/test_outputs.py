"""A command's outputs never replace its inputs, or each other."""

from pathlib import Path

import pytest

from common.outputs import refuse_overwriting
from device.errors import EdgeproofError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("baseline").mkdir()
    Path("bench.json").write_text("{}")
    Path("link.json").symlink_to("bench.json")


@pytest.mark.parametrize("output", ["bench.json", "./bench.json", "baseline/../bench.json", "link.json", "baseline/v.md"])
def test_an_output_that_is_read_is_refused_however_it_is_written(output: str) -> None:
    with pytest.raises(EdgeproofError, match=r"--json .*: would be written over what is read: name another file"):
        refuse_overwriting({"--json": Path(output)}, [Path("bench.json"), Path("baseline"), None])


def test_two_outputs_in_one_file_are_refused() -> None:
    with pytest.raises(EdgeproofError, match=r"--junit v: --markdown writes there, too"):
        refuse_overwriting({"--markdown": Path("v"), "--junit": Path("v"), "--json": None}, [])


def test_others_are_allowed() -> None:
    refuse_overwriting({"--json": Path("new.json"), "--junit": None}, [Path("bench.json"), Path("baseline")])


def test_an_input_that_links_to_itself_is_no_error_here(tmp_path: Path) -> None:
    """What reads it says so, in one line."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refuse_overwriting({"--json": tmp_path / "new.json"}, [loop])
