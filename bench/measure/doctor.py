"""What this machine can measure, on one screen: what exists, what is unknown, and what to fix before measuring.

Everything is read from /proc, /sys, package metadata and the drivers; nothing heavy is imported. What cannot be read is
shown as "unknown".
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.machine import environment
from bench.machine.accelerators import probe
from bench.machine.conditions import PI_THROTTLED
from bench.machine.kernel_files import hexadecimal_in, number_of, text_of
from bench.runtimes import Accelerated, check_installed, find_accelerator, find_runtime, runtime_names
from device.errors import RuntimeMissing

UNKNOWN = "unknown"
INTEGER_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})  # 8-bit dot products
SLOW_CLOCKS = frozenset({"hpet", "acpi_pm", "jiffies", "refined-jiffies"})
BUSY_LIMIT = 0.05  # of all cores, by other processes
HOT_CELSIUS = 85
WATCH_S = 1.0
STEP_LIMIT_NS = 1_000


@dataclass(frozen=True)
class Item:
    """One line: what was examined, what was found, and what to fix, if anything."""

    topic: str
    name: str
    found: str
    fix: str | None = None


def examine(root: Path = Path("/"), sleep: Callable[[float], None] = time.sleep) -> list[Item]:
    """Examine this machine. `root` is the folder of /proc and /sys; `sleep` waits while the load is measured."""
    parts = (_runtimes(), _accelerators(), _cpu(), _frequency(root), _thermal(root), _timer(root), _load(root, sleep))
    return [item for part in (*parts, _limits(root)) for item in part]


def to_json(items: list[Item]) -> dict[str, Any]:
    """Return all items and, separately, what to fix."""
    return {"schema": 1, "items": [asdict(item) for item in items], "fix": [item.fix for item in items if item.fix]}


def lines(items: list[Item]) -> Iterator[str]:
    """Yield the lines of the screen: a line for each item under its topic, then what to fix."""
    before = ""
    for item in items:
        yield f"{'' if item.topic == before else item.topic:13}{item.name:20} {item.found}{'  !' if item.fix else ''}"
        before = item.topic
    fixes = [item for item in items if item.fix]
    yield "" if fixes else "\nnothing to fix"
    for item in fixes:
        yield f"! {item.name}: {item.fix}"


def _runtimes() -> Iterator[Item]:
    usable = 0
    for name in runtime_names():
        runtime = find_runtime(name)
        version = next(filter(None, map(_version, runtime.DISTRIBUTIONS)), None)
        found = str(version)
        try:
            if isinstance(runtime, Accelerated):
                device = find_accelerator(name)
                found = f"{version} on {device.name if device else UNKNOWN}"
            else:
                check_installed(name)
        except RuntimeMissing as missing:
            found = str(missing)
        usable += version is not None
        yield Item("runtimes", name, found)
    if not usable:
        yield Item("runtimes", "any", "none", "install one: `make setup`, or pip install ai-edge-litert")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _accelerators() -> Iterator[Item]:
    for api in ("vulkan", "cuda"):
        found = probe(api)
        names = ", ".join(device.name + (" (software)" if device.software else "") for device in found.devices)
        yield Item("accelerators", api, names or str(found.problem))


def _cpu() -> Iterator[Item]:
    machine = environment.describe()
    yield Item("cpu", "model", f"{machine.cpu}, {machine.cores} cores for this process")
    integer = sorted(INTEGER_FLAGS & set(machine.cpu_flags))
    yield Item("cpu", "8-bit dot products", ", ".join(integer) or "none: int8 is hardly faster than float here")
    yield Item("cpu", "other vector flags", ", ".join(sorted(set(machine.cpu_flags) - INTEGER_FLAGS)) or "none known")


def _frequency(root: Path) -> Iterator[Item]:
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    governor = text_of(cpufreq / "scaling_governor")
    fix = "`sudo cpupower frequency-set -g performance`" if governor not in (None, "performance") else None
    yield Item("frequency", "governor", governor or f"{UNKNOWN}: /sys has no cpufreq, as in most virtual machines", fix)
    least, most = number_of(cpufreq / "scaling_min_freq"), number_of(cpufreq / "scaling_max_freq")
    if least is None or most is None:
        yield Item("frequency", "scaling", UNKNOWN)
    else:
        yield Item("frequency", "scaling", "fixed" if least == most else f"{least / 1e6:.2f} to {most / 1e6:.2f} GHz")
    off, boost = (
        text_of(root / "sys/devices/system/cpu/intel_pstate/no_turbo"),
        text_of(root / "sys/devices/system/cpu/cpufreq/boost"),
    )
    turbo = {"0": "on", "1": "off"}.get(off or "") or {"1": "on", "0": "off"}.get(boost or "", UNKNOWN)
    yield Item("frequency", "turbo", turbo + (": short runs are faster than long ones" if turbo == "on" else ""))


def _thermal(root: Path) -> Iterator[Item]:
    zones = [number_of(zone / "temp") for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"))]
    celsius = max((value / 1000 for value in zones if value is not None), default=None)
    hot = celsius is not None and celsius >= HOT_CELSIUS
    fix = f"over {HOT_CELSIUS} °C it throttles soon: cool it, or wait" if hot else None
    yield Item("thermal", "hottest zone", UNKNOWN if celsius is None else f"{celsius:.0f} °C", fix)
    cpus = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    counts = [count for count in map(number_of, cpus) if count is not None]
    pi = text_of(root / PI_THROTTLED)
    throttled = sum(counts) if counts else hexadecimal_in(pi or "")
    fix = "it throttled since it was started: cool it, or give it a stronger power supply" if throttled else None
    yield Item("thermal", "throttled", UNKNOWN if throttled is None else "yes" if throttled else "never", fix)


def _timer(root: Path) -> Iterator[Item]:
    source = text_of(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    slow = source in SLOW_CLOCKS
    fix = "its readings are slow: boot with clocksource=tsc if the processor's is stable" if slow else None
    yield Item("timer", "clock source", source or UNKNOWN, fix)
    step_ns = _smallest_step_ns()
    fix = "latencies under 100 µs cannot be distinguished: use another clock source" if step_ns > STEP_LIMIT_NS else None
    yield Item("timer", "smallest step", f"{step_ns} ns", fix)


def _smallest_step_ns() -> int:
    readings = [time.perf_counter_ns() for _ in range(2_000)]
    return min((b - a for a, b in itertools.pairwise(readings) if b > a), default=STEP_LIMIT_NS * 1_000)


def _load(root: Path, sleep: Callable[[float], None]) -> Iterator[Item]:
    before, processes = _jiffies(root), _process_jiffies(root)
    sleep(WATCH_S)
    after, processes_after = _jiffies(root), _process_jiffies(root)
    if before is None or after is None or sum(after) == sum(before):
        yield Item("load", "other processes", UNKNOWN)
        return
    spent = [b - a for a, b in zip(before, after, strict=True)]
    total = sum(spent)
    idle, steal = spent[3] + spent[4], spent[7]
    busy = (total - idle - steal) / total
    gained = {pid: jiffies - processes.get(pid, (jiffies, ""))[0] for pid, (jiffies, _) in processes_after.items()}
    worst = [processes_after[pid][1] for pid in sorted(gained, key=lambda pid: -gained[pid])[:3] if gained[pid] > 0]
    named = f" ({', '.join(worst)})" if worst else ""
    fix = f"stop other programs{named}, or measure on a quiet machine" if busy > BUSY_LIMIT else None
    yield Item("load", "other processes", f"{100 * busy:.0f} % of all cores{named}", fix)
    fix = "the host gives this virtual machine's time to others: no setting here helps, measure elsewhere"
    yield Item("load", "stolen by the host", f"{100 * steal / total:.1f} %", fix if steal / total > BUSY_LIMIT else None)


def _jiffies(root: Path) -> list[int] | None:
    """Return user, nice, system, idle, iowait, irq, softirq, steal of all cores, from /proc/stat."""
    fields = (text_of(root / "proc/stat") or "").split("\n")[0].split()
    return [int(field) for field in fields[1:9]] if len(fields) >= 9 and fields[0] == "cpu" else None


def _process_jiffies(root: Path) -> dict[str, tuple[int, str]]:
    """Return the processor time and name of each process. The name is in brackets and may contain any character."""
    found = {}
    for path in (root / "proc").glob("[0-9]*/stat"):
        text = text_of(path)
        if text and ")" in text:
            name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
            found[path.parent.name] = (int(fields[11]) + int(fields[12]), name)
    return found


def _limits(root: Path) -> Iterator[Item]:
    quota = _cpu_quota(root)
    cores = environment.describe().cores
    short = quota is not None and quota < cores
    fix = f"the control group pauses {cores} busy cores: raise it (docker run --cpus), or use --threads 1" if short else None
    yield Item("limits", "cgroup CPU limit", "none" if quota is None else f"{quota:.2f} CPUs", fix)
    available = next((line for line in (text_of(root / "proc/meminfo") or "").splitlines() if "MemAvailable" in line), None)
    yield Item(
        "limits", "memory available", UNKNOWN if available is None else f"{int(available.split()[1]) / 2**20:.1f} GiB"
    )


def _cpu_quota(root: Path) -> float | None:
    """Return the least CPU limit of this process's control group and those above it (cgroup 2, then 1), or None."""
    own = (text_of(root / "proc/self/cgroup") or "").rpartition("::")[2].strip("/\n")
    top = root / "sys/fs/cgroup"
    limits = []
    for folder in (top / own, *(top / own).parents):
        quota, _, period = (text_of(folder / "cpu.max") or "max").partition(" ")
        if quota != "max":
            limits.append(int(quota) / int(period))
        if folder == top:
            break
    quota_us, period_us = (number_of(top / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota_us is not None and quota_us > 0 and period_us:
        limits.append(quota_us / period_us)
    return min(limits, default=None)
