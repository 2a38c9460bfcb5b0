"""Atomic files: killed, full and shared."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.results.store import Results, load_results
from common.files import (
    cannot_write,
    held_folder,
    reading_together,
    replacing,
    replacing_folder,
    replacing_together,
    scratch_folder,
    sweep,
)
from device.errors import EdgeproofError
from tests.conftest import ROOT, Finished, run
from tests.support.files import hidden

HOOK = ROOT / "tests" / "robustness" / "torture" / "planted"
NEVER_REACHED = 100

TOGETHER = """
from pathlib import Path
from common.files import replacing_together
with replacing_together(Path("out/a.json"), Path("out/b.npz")) as (a, b):
    a.write_text("new")
    b.write_text("new")
"""
FOLDER = """
from pathlib import Path
from common.files import replacing_folder
with replacing_folder(Path("out/saved")) as new:
    (new / "a.json").write_text("new")
    (new / "b.npz").write_text("new")
"""


def faulty(code: str, folder: Path, fault: str) -> Finished:
    """Run code that writes below out/ until the fault."""
    path = os.pathsep.join(map(str, (HOOK, ROOT)))
    return run(["-c", code], folder, PYTHONPATH=path, EDGEPROOF_FAULT=f"{fault}:{folder / 'out'}")


@pytest.mark.parametrize(("code", "place"), [(TOGETHER, "out"), (FOLDER, "out/saved")], ids=["files", "folder"])
def test_a_kill_at_any_write_leaves_all_old_files_or_all_new_ones_and_the_next_run_nothing_else(
    tmp_path: Path, code: str, place: str
) -> None:
    ends = []
    for number in range(1, NEVER_REACHED):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for name in ("a.json", "b.npz"):
            (tmp_path / place / name).write_text("old")
        done = faulty(code, tmp_path, f"kill:{number}")
        with reading_together(tmp_path / "out"):
            found = {(tmp_path / place / name).read_text() for name in ("a.json", "b.npz")}
        assert len(found) == 1, f"killed at write {number}: {found}"
        ends.append((done.code, *found))
        sweep(tmp_path / "out")
        assert hidden(tmp_path) == []
        shutil.rmtree(tmp_path / "out")
        if done.code == 0:
            break
    assert ends[0] == (-signal.SIGKILL, "old")
    assert (-signal.SIGKILL, "new") in ends, "no kill came after the point from which all is new"
    assert ends[-1] == (0, "new")


@pytest.mark.parametrize("code", [TOGETHER, FOLDER], ids=["files", "folder"])
def test_a_disk_that_is_full_at_any_write_is_said_with_the_path_and_costs_nothing_old(tmp_path: Path, code: str) -> None:
    place = tmp_path / "out" / ("saved" if code == FOLDER else "")
    for number in range(1, NEVER_REACHED):
        place.mkdir(parents=True, exist_ok=True)
        for name in ("a.json", "b.npz"):
            (place / name).write_text("old")
        done = faulty(code, tmp_path, f"full:{number}")
        sweep(tmp_path / "out")
        found = {(place / name).read_text() for name in ("a.json", "b.npz")}
        assert len(found) == 1
        assert hidden(tmp_path) == []
        if done.code == 0:
            break
        assert "EdgeproofError" in done.stderr
        assert "out" in done.stderr.splitlines()[-1]
        assert "No space left on device" in done.stderr.splitlines()[-1]
    assert number > 2
    assert found == {"new"}


def test_what_is_being_written_is_not_swept_away(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.json") as temporary, replacing_folder(tmp_path / "saved") as new:
        (new / "x").write_text("x")
        sweep(tmp_path)
        assert temporary.exists()
        temporary.write_text("new")
    assert (tmp_path / "a.json").read_text() == "new"
    assert (tmp_path / "saved" / "x").exists()


def test_a_journal_that_points_elsewhere_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ".a.abcdefgh.tmp.json").write_text("mine")
    moves = {".a.abcdefgh.tmp.json": "../a.json", "../in/.a.abcdefgh.tmp.json": "b.json", "/etc/passwd": "c.json"}
    (tmp_path / "in" / ".0123456789abcdef.moves").write_text(json.dumps(moves))
    sweep(tmp_path / "in")
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_scratch_folders_of_dead_runs_are_removed_and_those_of_living_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "edgeproof-run-dead").mkdir()
    os.utime(tmp_path / "edgeproof-run-dead", (0, 0))
    with scratch_folder() as living:
        os.utime(living, (0, 0))
        with scratch_folder() as other:
            assert {path.name for path in tmp_path.iterdir()} == {living.name, other.name}
    assert list(tmp_path.iterdir()) == []


def test_together_is_for_readers_too(tmp_path: Path) -> None:
    Results().save(tmp_path / "bench.json")
    with replacing_together(tmp_path / "bench.json", tmp_path / "bench.npz") as (rows, samples):
        rows.write_text("half")
        samples.write_text("half")
        assert load_results(tmp_path / "bench.json").rows == []
        rows.write_bytes((tmp_path / "bench.json").read_bytes())
        samples.write_bytes((tmp_path / "bench.npz").read_bytes())
    assert load_results(tmp_path / "bench.json").rows == []


WRITERS: dict[str, Callable[[Path], AbstractContextManager[object]]] = {
    "file": replacing,
    "files": lambda path: replacing_together(path, path.with_suffix(".npz")),
    "folder": replacing_folder,
    "held folder": lambda path: held_folder(path.parent),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_missing_input_of_what_is_written_is_named_and_not_a_full_disk(tmp_path: Path, writer: str) -> None:
    """Only errors of writing are told with "free some space": this one is about another file."""
    with pytest.raises(FileNotFoundError) as error, WRITERS[writer](tmp_path / "out.json"):
        (tmp_path / "input.json").read_bytes()
    assert error.value.filename == str(tmp_path / "input.json")
    assert hidden(tmp_path) == []


NOT_OF_WRITING = (BrokenPipeError(errno.EPIPE, "Broken pipe"), ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
OF_WRITING = (
    OSError(errno.ENOSPC, "No space left on device"),
    OSError("write failed: errno = 28, 'No space left on device'"),
)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("error", OF_WRITING, ids=str)
def test_a_full_disk_is_told_with_the_path_although_the_error_names_no_file(
    tmp_path: Path, writer: str, error: OSError
) -> None:
    """A write through an open file, and h5py, which gives only a text."""
    with pytest.raises(EdgeproofError, match=r"cannot be written: .*No space left"), WRITERS[writer](tmp_path / "out.json"):
        raise error


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("error", NOT_OF_WRITING, ids=str)
def test_a_connection_that_ends_is_not_a_file_that_cannot_be_written(tmp_path: Path, writer: str, error: OSError) -> None:
    with pytest.raises(type(error)), WRITERS[writer](tmp_path / "out.json"):
        raise error


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_a_new_file_may_be_read_by_those_whom_the_user_lets_read(tmp_path: Path, mask: int) -> None:
    """The mode is that of any new file of the user's: a private one is not opened to all."""
    code = "from pathlib import Path; from common.files import write_bytes, replacing_folder; write_bytes(Path('a'), b'')"
    code += "\nwith replacing_folder(Path('new')) as new: (new / 'b').touch()"
    assert run(["-c", f"import os; os.umask({mask}); {code}"], tmp_path).code == 0
    modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "new/b")}
    assert modes == {0o666 & ~mask}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~mask


def test_what_may_be_executed_stays_so(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "new") as new:
        (new / "run.sh").touch(0o755)
    assert (tmp_path / "new" / "run.sh").stat().st_mode & 0o100


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space or choose another folder"),
        (errno.EACCES, "this user may only read there: work in another folder, or change its rights"),
        (errno.EROFS, "this user may only read there: work in another folder, or change its rights"),
        (errno.ENXIO, "choose another folder"),
    ],
)
def test_only_a_full_disk_is_told_to_free_some_space(number: int, advice: str) -> None:
    said = str(cannot_write(Path("x.json"), OSError(number, "the reason")))
    assert said == f"x.json: cannot be written: the reason: {advice}"
