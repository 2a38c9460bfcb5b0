"""The memory that measuring processes may use, on simulated machines."""

from pathlib import Path

import pytest

from bench.machine.memory import available_memory_bytes

GB = 1_000_000_000


def machine(folder: Path, available_bytes: int, **cgroup: str) -> Path:
    """Write a machine's files; a name in `cgroup` has __ for a slash and _of_ for a dot."""
    (folder / "proc").mkdir()
    kb = available_bytes // 1024
    (folder / "proc/meminfo").write_text(f"MemTotal: {2 * kb} kB\nMemAvailable: {kb} kB\nHugePages_Total: 0\n")
    for name, text in cgroup.items():
        path = folder / "sys/fs/cgroup" / name.replace("__", "/").replace("_of_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_it_is_four_fifths_of_what_is_available(tmp_path: Path) -> None:
    assert available_memory_bytes(machine(tmp_path, 1_000 * 1024)) == 800 * 1024


@pytest.mark.parametrize(
    "cgroup",
    [
        {
            "memory_of_max": f"{2 * GB}\n",
            "memory_of_current": f"{GB}\n",
            "memory_of_stat": f"anon 7\ninactive_file {GB // 2}\n",
        },
        {
            "memory__memory_of_limit_in_bytes": f"{2 * GB}",
            "memory__memory_of_usage_in_bytes": f"{GB}",
            "memory__memory_of_stat": f"inactive_file 7\ntotal_inactive_file {GB // 2}\n",
        },
    ],
)
def test_a_container_has_its_limit_less_what_it_uses_and_cannot_give_back(tmp_path: Path, cgroup: dict[str, str]) -> None:
    assert available_memory_bytes(machine(tmp_path, 8 * GB, **cgroup)) == pytest.approx(0.8 * 1.5 * GB)


def test_a_container_without_a_limit_has_the_machines(tmp_path: Path) -> None:
    free = machine(tmp_path, 1_000 * 1024, memory_of_max="max\n", memory_of_current="7", memory_of_stat="")
    assert available_memory_bytes(free) == 800 * 1024


def test_a_container_that_is_full_has_none(tmp_path: Path) -> None:
    full = machine(
        tmp_path, 8 * GB, memory_of_max=str(GB), memory_of_current=str(2 * GB), memory_of_stat="inactive_file 0\n"
    )
    assert available_memory_bytes(full) == 0


def test_here_it_is_less_than_all_memory() -> None:
    total = (
        int(next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line).split()[1]) * 1024
    )
    assert 0 < available_memory_bytes() < total
