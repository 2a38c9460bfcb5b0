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


@pytest.mark.parametrize(
    ("sign", "groups", "files"),
    [
        ("cgroup.controllers", ".", {"cpu.max": "50000 100000"}),
        ("cpu/cpu.cfs_quota_us", "cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}),
    ],
)
def test_a_quota_is_written_into_a_group_of_its_own(tmp_path: Path, sign: str, groups: str, files: dict[str, str]) -> None:
    mounted = tmp_path / "sys/fs/cgroup"
    (mounted / sign).parent.mkdir(parents=True)
    (mounted / sign).touch()
    group = mounted / groups / f"edgeproof-{os.getpid()}"
    with quota(tmp_path):
        written = {path.name: path.read_text() for path in group.iterdir()}
        assert written == {**files, "cgroup.procs": str(os.getpid())}
    assert (mounted / groups / "cgroup.procs").read_text() == str(os.getpid())


def test_a_folder_without_control_groups_takes_no_quota_and_is_left_as_it_is(tmp_path: Path) -> None:
    mounted = tmp_path / "sys/fs/cgroup"
    mounted.mkdir(parents=True)
    with pytest.raises(Unavailable, match="has no control groups that take a quota"), quota(tmp_path):
        pass
    assert list(mounted.iterdir()) == []


def test_where_no_group_can_be_made_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").touch()

    def refused(path: Path) -> None:
        raise PermissionError(f"Read-only file system: {path}")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(Unavailable, match="no control group can be made here"), quota(tmp_path):
        pass


def test_what_cannot_be_disturbed_is_skipped_aloud_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.machine.disturbance.KINDS", {"quota": lambda: quota(tmp_path)})
    assert main(["quota", "bench", "run"]) == 0
    assert capsys.readouterr().out.startswith(f"SKIPPED: quota: {tmp_path}/sys/fs/cgroup has no control groups")
