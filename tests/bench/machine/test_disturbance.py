"""Disturbing a command on purpose."""

import os
from pathlib import Path

import pytest

from bench.machine.disturbance import Unavailable, main, neighbour, quota


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_beside_a_neighbour_all_are_on_one_core_and_it_ends() -> None:
    cores, before = os.sched_getaffinity(0), children()
    with neighbour():
        assert os.sched_getaffinity(0) == {min(cores)}
        (busy,) = children() - before
    assert os.sched_getaffinity(0) == cores
    assert not Path("/proc", busy).exists()


def test_a_quota_is_written_into_a_group_of_its_own(tmp_path: Path) -> None:
    group = tmp_path / f"sys/fs/cgroup/edgeproof-{os.getpid()}"
    group.parent.mkdir(parents=True)
    with quota(tmp_path):
        assert (group / "cpu.max").read_text() == "50000 100000"
        assert (group / "cgroup.procs").read_text() == str(os.getpid())
    assert (group.parent / "cgroup.procs").read_text() == str(os.getpid())


def test_where_no_group_can_be_made_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no control group can be made here"), quota(tmp_path):
        pass


def test_what_cannot_be_disturbed_is_skipped_aloud_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.machine.disturbance.KINDS", {"quota": lambda: quota(tmp_path)})
    assert main(["quota", "bench", "run"]) == 0
    assert capsys.readouterr().out.startswith("SKIPPED: quota: no control group")
