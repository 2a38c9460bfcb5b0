"""The health of a board, from the files and commands of a Pi 3, 4, 5 and Zero 2 W.

The boards are imitated from the documentation of the kernel and of Raspberry Pi. The paths, units and forms are right, the
values are invented. None was recorded on a board.
"""

import pytest

from bench.machine.board_health import CPUFREQ, THROTTLED_FILE, Health, parse, summary, why_invalid

Board = tuple[dict[str, str], dict[str, str]]  # files, commands

MEMINFO = (
    "MemTotal:        {0} kB\nMemFree:          51200 kB\nMemAvailable:    {1} kB\n"
    "SwapTotal:        524288 kB\nSwapFree:   {2} kB"
)


def board(model: str, clock_khz: int, clock_max_khz: int, memory_kb: int, millidegrees: int) -> dict[str, str]:
    return {
        "/proc/device-tree/model": f"{model}\0",
        "/proc/meminfo": MEMINFO.format(memory_kb, memory_kb // 2, 524288),
        "/proc/loadavg": "0.08 0.03 0.01 1/143 1234",
        f"{CPUFREQ}/scaling_cur_freq": str(clock_khz),
        f"{CPUFREQ}/cpuinfo_max_freq": str(clock_max_khz),
        f"{CPUFREQ}/scaling_governor": "ondemand",
        "/sys/class/thermal/thermal_zone0/temp": str(millidegrees),
    }


PMIC = (
    "     3V3_SYS_A current(1)=0.08489670A\n         DDR_VDD2_A current(3)=0.10000000A\n"
    "     VDD_CORE_A current(7)=2.00000000A\n"
    "     3V3_SYS_V volt(9)=3.30000000V\n         DDR_VDD2_V volt(11)=1.10000000V\n     VDD_CORE_V volt(15)=0.90000000V\n"
    "         EXT5V_V volt(24)=5.14875000V\n       BATT_V volt(25)=0.00976800V"
)
SUPPLY = {"/sys/class/hwmon/hwmon1/name": "rpi_volt", "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0"}

BOARDS: dict[str, Board] = {
    "pi3": (
        board("Raspberry Pi 3 Model B Plus Rev 1.3", 600000, 1400000, 931104, 47774),
        {"vcgencmd get_throttled": "throttled=0x0\n"},
    ),
    "pi4": (
        {**board("Raspberry Pi 4 Model B Rev 1.4", 1800000, 1800000, 3884376, 52095), THROTTLED_FILE: "0", **SUPPLY},
        {"vcgencmd get_throttled": "throttled=0x0\n"},
    ),
    "pi5": (
        {**board("Raspberry Pi 5 Model B Rev 1.0", 2400000, 2400000, 8245968, 55650), **SUPPLY},
        {"vcgencmd get_throttled": "throttled=0x0\n", "vcgencmd pmic_read_adc": PMIC},
    ),
    "zero": (
        board("Raspberry Pi Zero 2 W Rev 1.0", 1000000, 1000000, 427468, 60148),
        {"vcgencmd get_throttled": "throttled=0x0\n"},
    ),
}


@pytest.mark.parametrize(
    ("name", "model", "clocks_mhz", "temperature_c", "memory_bytes"),
    [
        ("pi3", "Raspberry Pi 3 Model B Plus Rev 1.3", (600, 1400), 47.774, 931104 * 1024),
        ("pi4", "Raspberry Pi 4 Model B Rev 1.4", (1800, 1800), 52.095, 3884376 * 1024),
        ("pi5", "Raspberry Pi 5 Model B Rev 1.0", (2400, 2400), 55.65, 8245968 * 1024),
        ("zero", "Raspberry Pi Zero 2 W Rev 1.0", (1000, 1000), 60.148, 427468 * 1024),
    ],
)
def test_a_healthy_board_is_read_as_it_is(
    name: str, model: str, clocks_mhz: tuple[float, float], temperature_c: float, memory_bytes: int
) -> None:
    health = parse(*BOARDS[name])
    assert health.model == model
    assert (health.clock_mhz, health.clock_max_mhz) == clocks_mhz
    assert (health.governor, health.temperature_c) == ("ondemand", temperature_c)
    assert (health.memory_bytes, health.memory_available_bytes) == (memory_bytes, memory_bytes // 2048 * 1024)
    assert (health.swap_used_bytes, health.load_1min) == (0, 0.08)
    assert (health.now, health.since_boot) == ((), ())
    assert why_invalid(health, [health], health) is None
    assert "unknown" not in summary(health).replace("power unknown", "")


def test_power_is_the_sum_over_the_rails_that_have_both_figures_or_what_a_sensor_says() -> None:
    files, commands = BOARDS["pi5"]
    assert parse(files, commands).power_w == pytest.approx(3.3 * 0.0848967 + 1.1 * 0.1 + 0.9 * 2.0)
    sensor = {"/sys/class/hwmon/hwmon3/name": "ina226", "/sys/class/hwmon/hwmon3/power1_input": "4350000"}
    assert parse({**files, **sensor}, commands).power_w == 4.35
    assert parse(*BOARDS["pi4"]).power_w is None


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        (0x1, ("under-voltage",), ()),
        (0x50005, ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        (0x20002, ("frequency capped",), ("frequency capped",)),
        (0x80008, ("soft temperature limit",), ("soft temperature limit",)),
        (0x40000, (), ("throttled",)),
    ],
)
def test_each_throttling_bit_is_said_in_words_and_invalidates(
    name: str, bits: int, now: tuple[str, ...], since_boot: tuple[str, ...]
) -> None:
    files, commands = BOARDS[name]
    fine = parse(files, commands)
    ill = parse(files, {**commands, "vcgencmd get_throttled": f"throttled={bits:#x}\n"})
    assert (ill.now, ill.since_boot) == (now, since_boot)
    for moments in ((ill, [fine], fine), (fine, [ill], fine), (fine, [fine], ill)):
        reason = why_invalid(*moments)
        if now or moments[2] is ill:
            assert reason is not None
            assert "measure again" in reason
            assert ("supply" in reason) == ("under-voltage" in (*now, *since_boot))


def test_what_happened_before_the_run_invalidates_too_and_asks_for_a_restart() -> None:
    files, commands = BOARDS["pi4"]
    ill = parse(files, {**commands, "vcgencmd get_throttled": "throttled=0x10000"})
    reason = why_invalid(ill, [], ill)
    assert reason is not None
    assert "since the board was started" in reason
    assert "restart it" in reason


def test_the_firmwares_file_alone_and_the_kernels_alarm_alone_are_heard() -> None:
    files = {name: text for name, text in BOARDS["pi4"][0].items() if "hwmon" not in name}
    assert parse({**files, THROTTLED_FILE: "50005"}).throttled_bits == 0x50005
    alarm = parse({**SUPPLY, "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"})
    assert (alarm.now, alarm.since_boot) == (("under-voltage",), None)
    other = {"/sys/class/hwmon/hwmon2/name": "ina2xx", "/sys/class/hwmon/hwmon2/in0_lcrit_alarm": "1"}
    assert parse(other).now is None


def test_what_a_board_does_not_tell_is_unknown_and_never_fine() -> None:
    health = parse({})
    assert health == Health()
    assert (health.now, health.since_boot) == (None, None)
    assert set(health.to_json().values()) == {None}
    line = summary(health)
    assert line.count("unknown") == 9
    assert "fine" not in line
    assert "none" not in line


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({f"{CPUFREQ}/scaling_cur_freq": "<unknown>", "/proc/loadavg": "", "/proc/meminfo": "rubbish"}, {}),
        ({"/sys/class/thermal/thermal_zone0/temp": "hot", THROTTLED_FILE: "yes"}, {}),
        ({}, {"vcgencmd get_throttled": "VCHI initialization failed", "vcgencmd pmic_read_adc": "error=2"}),
        ({}, {"vcgencmd pmic_read_adc": "A_A current(1)=1.2.3A A_V volt(1)=1.0V B_A current(1)=.A B_V volt(2)=1V"}),
        ({"/proc/meminfo": "SwapFree: 5 kB", "/proc/loadavg": "nan 0 0"}, {}),
        ({"/proc/meminfo": "SwapTotal: 5 kB", "/proc/loadavg": "1e999 0 0"}, {}),
        ({"/proc/meminfo": f"MemTotal: {'9' * 5000} kB", "/proc/loadavg": f"{'9' * 5000} 0 0"}, {}),
        ({f"{CPUFREQ}/scaling_cur_freq": "9" * 5000, THROTTLED_FILE: "f" * 5000}, {}),
        ({f"{CPUFREQ}/scaling_cur_freq": "²"}, {"vcgencmd pmic_read_adc": f"A_A current(1)={'9' * 400}A A_V volt(1)=1V"}),
    ],
    ids=["words", "heat", "commands", "points", "no swap total", "no swap free", "long figures", "long bits", "no digits"],
)
def test_a_reading_that_makes_no_sense_is_unknown(files: dict[str, str], commands: dict[str, str]) -> None:
    assert parse(files, commands) == Health()


def test_the_hottest_zone_counts() -> None:
    zones = {f"/sys/class/thermal/thermal_zone{number}/temp": text for number, text in enumerate(("41000", "73500", "x"))}
    assert parse(zones).temperature_c == 73.5
