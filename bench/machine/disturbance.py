"""Disturb a command on purpose, to see whether its measurements are called invalid (`make repeatability`).

python -m bench.machine.disturbance neighbour MODULE [ARGUMENT...]
    all on one core, together with a busy process
python -m bench.machine.disturbance quota MODULE [ARGUMENT...]
    in a control group that may use half a core; skipped, aloud, where such groups cannot be made
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.machine.conditions import ROOT
from common.python_process import module_command

QUOTA_US, PERIOD_US = 50_000, 100_000  # so much CPU time of each period
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"  # it ends when this process ends


class Unavailable(Exception):
    """Raised where this machine cannot be disturbed in such a way. The message says why."""


@contextmanager
def neighbour() -> Iterator[None]:
    """Pin this process and its children to one core, together with a busy process."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    busy = subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()
        os.sched_setaffinity(0, cores)


@contextmanager
def quota(root: Path = ROOT) -> Iterator[None]:
    """Put this process and its children into a control group that may use half a core. Raises Unavailable."""
    groups, limits = _control_groups(root / "sys/fs/cgroup")
    group = groups / f"edgeproof-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise Unavailable(f"no control group can be made here ({error})") from error
    try:
        try:
            for name, limit in limits.items():
                (group / name).write_text(limit)
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            raise Unavailable(f"the control groups here take no quota ({error})") from error
        yield
    finally:
        with suppress(OSError):
            (groups / "cgroup.procs").write_text(str(os.getpid()))
        with suppress(OSError):
            group.rmdir()


def _control_groups(mounted: Path) -> tuple[Path, dict[str, str]]:
    """Return the folder of the groups, of version 2 or 1, and the files with which a group's quota is set.

    A folder that no kernel filled would take any file, and limit nothing. Raises Unavailable.
    """
    if (mounted / "cgroup.controllers").exists():
        return mounted, {"cpu.max": f"{QUOTA_US} {PERIOD_US}"}
    if (mounted / "cpu" / "cpu.cfs_quota_us").exists():
        return mounted / "cpu", {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(QUOTA_US)}
    raise Unavailable(f"{mounted} has no control groups that take a quota of CPU time")


KINDS: dict[str, Callable[[], object]] = {"neighbour": neighbour, "quota": quota}


def main(arguments: Sequence[str]) -> int:
    """Run a module disturbed, and return its exit code; 0 where it is skipped."""
    kind, module, *more = arguments
    try:
        with KINDS[kind]():  # type: ignore[attr-defined]
            return subprocess.run([*module_command(module), *more], check=False).returncode
    except Unavailable as reason:
        sys.stdout.write(f"SKIPPED: {kind}: {reason}\n")
        return 0


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
