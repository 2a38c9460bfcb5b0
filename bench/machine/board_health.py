"""The health of a board: its clock, heat, supply and load, from files and commands that the agent has read.

Sources: Linux' Documentation/admin-guide/pm/cpufreq.rst, driver-api/thermal/sysfs-api.rst and hwmon/sysfs-interface.rst;
Raspberry Pi's documentation of `vcgencmd get_throttled` and `pmic_read_adc`. An unknown figure is None, printed as
"unknown".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.machine.kernel_files import DIGITS, hexadecimal_in

CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"
THROTTLED_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
THROTTLED_COMMAND = "vcgencmd get_throttled"
POWER_COMMAND = "vcgencmd pmic_read_adc"  # Pi 5: the supply chip's currents and voltages
# These are cheap enough to be read once a second during a measurement
WATCHED = (
    f"{CPUFREQ}/scaling_cur_freq",
    THROTTLED_FILE,
    "/sys/class/thermal/thermal_zone*/temp",
    "/sys/class/hwmon/hwmon*/in0_lcrit_alarm",
)
FILES = (
    *WATCHED,
    "/proc/device-tree/model",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/loadavg",
    f"{CPUFREQ}/cpuinfo_max_freq",
    f"{CPUFREQ}/scaling_governor",
    "/sys/class/hwmon/hwmon*/name",
    "/sys/class/hwmon/hwmon*/power*_input",
)
DECIMAL = rf"{DIGITS}(?:\.{DIGITS})?"
COMMANDS = (tuple(THROTTLED_COMMAND.split()), tuple(POWER_COMMAND.split()))
NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}  # bit: what it means
SINCE_BOOT = 16  # the same bits, shifted: it has happened since boot


@dataclass(frozen=True)
class Health:
    """The health of a board at one moment. None: not known."""

    model: str | None = None
    clock_mhz: float | None = None
    clock_max_mhz: float | None = None
    governor: str | None = None
    temperature_c: float | None = None  # of the hottest zone
    throttled_bits: int | None = None
    under_voltage_alarm: bool | None = None
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    load_1min: float | None = None
    power_w: float | None = None

    @property
    def now(self) -> tuple[str, ...] | None:
        """Return what slows the board at this moment, or None where that is not known."""
        if self.throttled_bits is None:
            return None if self.under_voltage_alarm is None else ("under-voltage",) * self.under_voltage_alarm
        bits = self.throttled_bits | bool(self.under_voltage_alarm)
        return tuple(words for bit, words in NOW.items() if bits >> bit & 1)

    @property
    def since_boot(self) -> tuple[str, ...] | None:
        """Return what has slowed the board since it was started, or None where that is not known."""
        if self.throttled_bits is None:
            return None
        return tuple(words for bit, words in NOW.items() if self.throttled_bits >> SINCE_BOOT >> bit & 1)

    def to_json(self) -> dict[str, Any]:
        """Return all fields, and the bits of get_throttled in words."""
        lists = {"throttled_now": self.now, "throttled_since_boot": self.since_boot}
        return {**asdict(self), **{name: None if words is None else list(words) for name, words in lists.items()}}


def parse(files: Mapping[str, str], commands: Mapping[str, str] | None = None) -> Health:
    """Read a board's health from files by path and outputs by command line; values without sense are unknown."""
    commands = commands or {}
    memory = re.findall(rf"^(\w+):\s+({DIGITS}) kB", files.get("/proc/meminfo", ""), re.MULTILINE)
    kilobytes = {name: int(value) for name, value in memory}
    return Health(
        model=_model(files),
        clock_mhz=_thousandth(files.get(f"{CPUFREQ}/scaling_cur_freq")),
        clock_max_mhz=_thousandth(files.get(f"{CPUFREQ}/cpuinfo_max_freq")),
        governor=files.get(f"{CPUFREQ}/scaling_governor") or None,
        temperature_c=_hottest(files),
        throttled_bits=_throttled_bits(files, commands),
        under_voltage_alarm=_under_voltage_alarm(files),
        memory_bytes=_in_bytes(kilobytes, "MemTotal"),
        memory_available_bytes=_in_bytes(kilobytes, "MemAvailable"),
        swap_used_bytes=_swap_used_bytes(kilobytes),
        load_1min=_load(files.get("/proc/loadavg", "")),
        power_w=_power_w(files, commands),
    )


def why_invalid(before: Health, during: Sequence[Health], after: Health) -> str | None:
    """Return why the supply or the heat makes a latency invalid, or None where neither does.

    Events before the run count too: the firmware keeps those bits until the next start, so that a second event
    would not be visible.
    """
    now = {words for health in (before, *during, after) for words in health.now or ()}
    if now:
        heat = max((health.temperature_c or 0.0 for health in (before, *during, after)), default=0.0)
        return f"{_listed(now)} while measuring{f' at {heat:.0f} °C' if heat else ''}: {_remedy(now)} and measure again"
    earlier, later = set(before.since_boot or ()), set(after.since_boot or ())
    if later - earlier:
        return f"{_listed(later - earlier)} happened while measuring: {_remedy(later - earlier)} and measure again"
    if later:
        return (
            f"{_listed(later)} has happened since the board was started, so a second time would not be visible: "
            f"{_remedy(later)}, restart it and measure again"
        )
    return None


def summary(health: Health) -> str:
    """Return a board's health in one line; an unknown figure is "unknown"."""

    def shown(value: float | None, form: str) -> str:
        return "unknown" if value is None else form.format(value)

    slowed = "unknown" if health.now is None else ", ".join(health.now) or "none now"
    earlier = "unknown" if health.since_boot is None else ", ".join(health.since_boot) or "none"
    clock = f"clock {shown(health.clock_mhz, '{:.0f}')} of {shown(health.clock_max_mhz, '{:.0f} MHz')}"
    return (
        f"{health.model or 'model unknown'}: {clock}, "
        f"governor {health.governor or 'unknown'}, temperature {shown(health.temperature_c, '{:.0f} °C')}, "
        f"throttling {slowed} (since boot {earlier}), "
        f"load {shown(health.load_1min, '{:.2f}')}, power {shown(health.power_w, '{:.1f} W')}"
    )


def _listed(words: set[str]) -> str:
    return " and ".join(name for name in NOW.values() if name in words)


def _remedy(words: set[str]) -> str:
    return "use a stronger supply or cable" if "under-voltage" in words else "cool the board"


def _model(files: Mapping[str, str]) -> str | None:
    model = files.get("/proc/device-tree/model", "").strip("\0 \n")
    found = re.search(r"^Model\s*:\s*(.+)$", files.get("/proc/cpuinfo", ""), re.MULTILINE)
    return model or (found[1].strip() if found else None)


def _hottest(files: Mapping[str, str]) -> float | None:
    zones = [
        _thousandth(text)
        for path, text in files.items()
        if path.startswith("/sys/class/thermal/") and path.endswith("/temp")
    ]
    return max((zone for zone in zones if zone is not None), default=None)


def _throttled_bits(files: Mapping[str, str], commands: Mapping[str, str]) -> int | None:
    """Join the file (bare hexadecimal) and the command (`throttled=0x50005`)."""
    found = [
        hexadecimal_in(files.get(THROTTLED_FILE, "")),
        hexadecimal_in(commands.get(THROTTLED_COMMAND, "").partition("=")[2]),
    ]
    known = [bits for bits in found if bits is not None]
    if not known:
        return None
    bits = 0
    for more in known:
        bits |= more
    return bits


def _under_voltage_alarm(files: Mapping[str, str]) -> bool | None:
    """Return the alarm of the rpi_volt sensor, by which the kernel watches the supply."""
    alarms = [
        text.strip() == "1"
        for path, text in files.items()
        if path.endswith("/in0_lcrit_alarm") and files.get(path.replace("in0_lcrit_alarm", "name"), "rpi_volt") == "rpi_volt"
    ]
    return any(alarms) if alarms else None


def _power_w(files: Mapping[str, str], commands: Mapping[str, str]) -> float | None:
    """Return the power: of an INA sensor (hwmon, microwatts), else the sum of volts × amperes over the supply chip's rails.

    That sum leaves out the chip's own losses.
    """
    sensors = [_number(text) for path, text in files.items() if re.search(r"/hwmon\d+/power\d+_input$", path)]
    known = [microwatts for microwatts in sensors if microwatts is not None]
    if known:
        return sum(known) / 1e6
    text = commands.get(POWER_COMMAND, "")
    amperes = {rail: float(value) for rail, value in re.findall(rf"(\w+)_A current\(\d+\)=({DECIMAL})A", text)}
    volts = {rail: float(value) for rail, value in re.findall(rf"(\w+)_V volt\(\d+\)=({DECIMAL})V", text)}
    rails = amperes.keys() & volts.keys()
    return sum(amperes[rail] * volts[rail] for rail in rails) if rails else None


def _load(text: str) -> float | None:
    first = text.partition(" ")[0].strip()
    return float(first) if re.fullmatch(DECIMAL, first) else None


def _swap_used_bytes(kilobytes: Mapping[str, int]) -> int | None:
    if "SwapTotal" not in kilobytes or "SwapFree" not in kilobytes:
        return None
    return (kilobytes["SwapTotal"] - kilobytes["SwapFree"]) * 1024


def _in_bytes(kilobytes: Mapping[str, int], name: str) -> int | None:
    return kilobytes[name] * 1024 if name in kilobytes else None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(f"-?{DIGITS}", text.strip()) else None


def _thousandth(text: str | None) -> float | None:
    number = _number(text)
    return None if number is None else number / 1000
