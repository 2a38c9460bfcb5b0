"""The memory that measuring processes may use, on this machine or in its container."""

from pathlib import Path

from bench.machine.conditions import ROOT

SHARE = 0.8  # of what is available now
CONTAINERS = (  # limit, used, statistics and the name of the reclaimable part in these: cgroup 2 and 1
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def available_memory_bytes(root: Path = ROOT) -> int:
    """Return SHARE of the memory that is available now: of the machine, or of a container's limit less what it uses."""
    fields = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    for limit, used, statistics, reclaimable in CONTAINERS:
        folder = root / "sys/fs/cgroup"
        try:
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            known = dict(line.split() for line in (folder / statistics).read_text().splitlines())
            available = min(available, max(0, left + int(known.get(reclaimable, 0))))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return int(available * SHARE)
