"""The machine during a measurement: CPU time of other processes, clock, throttling, heat. An unknown figure is None.

Everything comes from /proc and /sys (Linux: Documentation/filesystems/proc.rst, admin-guide/pm/cpufreq.rst and
driver-api/thermal); `root` is their folder, so that tests can simulate a machine.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bench.machine.kernel_files import hexadecimal_in, number_of, text_of
from common.json_record import Omitted, Record

ROOT = Path("/")
CPU = "sys/devices/system/cpu"
PI_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"  # Raspberry Pi, hexadecimal
PI_THROTTLED_NOW = 0b1110  # frequency capped, throttled, soft temperature limit (bits 1 to 3)
BUSY_FIELDS = (0, 1, 2, 5, 6)  # of a "cpu" line of /proc/stat: user, nice, system, irq, softirq
STEAL_FIELD = 7


@dataclass(frozen=True)
class Reading:
    """The machine at one moment."""

    clock_ns: int
    own_cpu_ns: int  # of this process, all threads
    busy_cpu_ns: int | None  # of all processes, all cores
    stolen_cpu_ns: int | None  # by the hypervisor
    cores: int
    frequency_khz: int | None  # of the core that runs this
    throttle_events: int | None  # counted since boot
    throttled_now: bool | None
    temperature_c: float | None  # of the hottest sensor


@dataclass(frozen=True)
class Conditions(Record):
    """The machine during one process's timed queries. None: not known on this machine."""

    steady: bool = True  # whether the warm-up reached a steady state
    elsewhere: float | None = None  # CPU time of other processes and the hypervisor, as a share of all cores' time
    frequency_mhz: tuple[float, float] | None = None  # before and after
    throttled: bool | None = None
    temperature_c: float | None = None  # after
    waited: Annotated[float | None, Omitted] = None  # the share of the process's turns in which it waited for a core
    slowed: Annotated[float | None, Omitted] = None  # the share of its turns in which something slowed the rows


def read(root: Path = ROOT) -> Reading:
    """Read the machine's state; it takes some tenths of a millisecond."""
    stat = _stat(root)
    hertz = os.sysconf("SC_CLK_TCK")
    return Reading(
        clock_ns=time.perf_counter_ns(),
        own_cpu_ns=time.process_time_ns(),
        busy_cpu_ns=None if stat is None else sum(stat[at] for at in BUSY_FIELDS) * 1_000_000_000 // hertz,
        stolen_cpu_ns=None if stat is None else stat[STEAL_FIELD] * 1_000_000_000 // hertz,
        cores=os.cpu_count() or 1,
        frequency_khz=number_of(root / CPU / f"cpu{_this_core(root)}" / "cpufreq/scaling_cur_freq"),
        throttle_events=_sum_of((root / CPU).glob("cpu[0-9]*/thermal_throttle/*_throttle_count")),
        throttled_now=_throttled_now(root),
        temperature_c=temperature_c(root),
    )


def between(before: Reading, after: Reading, steady: bool = True) -> Conditions:
    """Return the conditions between two readings."""
    frequencies = (before.frequency_khz, after.frequency_khz)
    return Conditions(
        steady=steady,
        elsewhere=_elsewhere(before, after),
        frequency_mhz=None if None in frequencies else (frequencies[0] / 1000, frequencies[1] / 1000),  # type: ignore[operator]
        throttled=_throttled(before, after),
        temperature_c=after.temperature_c,
    )


def waited_ns(root: Path = ROOT) -> int | None:
    """Return how long this process's threads have waited for a core while they could run, since their start.

    The second number of /proc/PID/task/*/schedstat (Linux: Documentation/scheduler/sched-stats.rst); None where the
    system does not say it.
    """
    threads = [text_of(path) for path in (root / "proc/self/task").glob("*/schedstat")]
    waits = [int(fields[1]) for fields in (text.split() for text in threads if text) if len(fields) > 1]
    return sum(waits) if waits else None


def _elsewhere(before: Reading, after: Reading) -> float | None:
    if before.busy_cpu_ns is None or after.busy_cpu_ns is None:
        return None
    stolen_ns = (after.stolen_cpu_ns or 0) - (before.stolen_cpu_ns or 0)
    others_ns = after.busy_cpu_ns - before.busy_cpu_ns - (after.own_cpu_ns - before.own_cpu_ns) + stolen_ns
    capacity_ns = (after.clock_ns - before.clock_ns) * after.cores
    return min(1.0, max(0.0, others_ns / capacity_ns)) if capacity_ns > 0 else None


def _throttled(before: Reading, after: Reading) -> bool | None:
    """Say whether throttling was counted, or was active at either reading; None where that is not known."""
    signs = [now for now in (before.throttled_now, after.throttled_now) if now is not None]
    if before.throttle_events is not None and after.throttle_events is not None:
        signs.append(after.throttle_events > before.throttle_events)
    return any(signs) if signs else None


def temperature_c(root: Path = ROOT) -> float | None:
    """Return the hottest thermal zone in degrees Celsius."""
    zones = [number_of(path) for path in (root / "sys/class/thermal").glob("thermal_zone*/temp")]
    known = [zone / 1000 for zone in zones if zone is not None]
    return max(known) if known else None


def _throttled_now(root: Path) -> bool | None:
    """Ask the Raspberry Pi's firmware and the kernel's processor cooling devices."""
    signs = []
    firmware = hexadecimal_in(text_of(root / PI_THROTTLED) or "")
    if firmware is not None:
        signs.append(bool(firmware & PI_THROTTLED_NOW))
    for device in (root / "sys/class/thermal").glob("cooling_device*"):
        kind, state = (text_of(device / "type") or "").lower(), number_of(device / "cur_state")
        if state is not None and (kind == "processor" or "cpufreq" in kind):
            signs.append(state > 0)
    return any(signs) if signs else None


def _stat(root: Path) -> list[int] | None:
    line = (text_of(root / "proc/stat") or "").partition("\n")[0].split()
    return [int(field) for field in line[1:]] if line[:1] == ["cpu"] and len(line) > STEAL_FIELD + 1 else None


def _this_core(root: Path) -> int:
    fields = (text_of(root / "proc/self/stat") or "").rpartition(")")[2].split()
    return int(fields[36]) if len(fields) > 36 else 0  # field 39, "processor", by proc(5); the name in brackets is field 2


def _sum_of(paths: Iterator[Path]) -> int | None:
    known = [number for number in map(number_of, paths) if number is not None]
    return sum(known) if known else None
