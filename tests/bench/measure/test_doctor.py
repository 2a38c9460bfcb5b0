"""`bench doctor` on machines that are made of files: what is found, what is unknown, what is to be fixed."""

import json
from pathlib import Path

import pytest

from bench.machine.accelerators import Accelerator, Probe
from bench.measure import doctor
from bench.measure.doctor import Item
from tests.conftest import ROOT, run

QUIET, BUSY = (0, 0, 0, 200, 0, 0, 0, 0), (150, 0, 10, 40, 0, 0, 0, 0)  # jiffies of a second on two cores


@pytest.fixture(autouse=True)
def no_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda api: Probe((), f"no {api} here"))


class Machine:
    """A root folder with the files of /proc and /sys."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/stat", "cpu  1000 0 100 5000 0 0 0 0 0 0\ncpu0 1 2\n")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def pass_time(self, spent: tuple[int, ...]) -> None:
        start = [1000, 0, 100, 5000, 0, 0, 0, 0]
        self.write("proc/stat", "cpu " + " ".join(str(a + b) for a, b in zip(start, spent, strict=True)) + " 0 0\n")

    def items(self, spent: tuple[int, ...] = QUIET) -> dict[str, Item]:
        found = doctor.examine(self.root, lambda _seconds: self.pass_time(spent))
        return {item.name: item for item in found}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_cannot_be_read_is_unknown_and_nothing_to_fix(machine: Machine) -> None:
    items = machine.items()
    for name in ("governor", "scaling", "turbo", "hottest zone", "throttled", "clock source", "memory available"):
        assert items[name].found.startswith("unknown")
        assert items[name].fix is None


@pytest.mark.parametrize(
    ("path", "text", "name", "fix"),
    [
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n", "governor", "performance"),
        ("sys/class/thermal/thermal_zone0/temp", "91000\n", "hottest zone", "cool it"),
        ("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "3\n", "throttled", "cool it"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n", "throttled", "power supply"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", "clock source", "tsc"),
        ("sys/fs/cgroup/cpu.max", "50000 100000\n", "cgroup CPU limit", "--threads 1"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n", "cgroup CPU limit", None),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n", "governor", None),
        ("sys/class/thermal/thermal_zone0/temp", "45000\n", "hottest zone", None),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n", "throttled", None),
        ("sys/class/thermal/thermal_zone0/temp", "nonsense\n", "hottest zone", None),
    ],
)
def test_each_trouble_is_found_with_what_to_fix(machine: Machine, path: str, text: str, name: str, fix: str | None) -> None:
    machine.write(path, text)
    if "cfs" in path:
        machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    found = machine.items()[name].fix
    assert (found is None) if fix is None else (found is not None and fix in found)


def test_a_limit_of_the_process_own_group_counts_too(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/docker/abc\n")
    machine.write("sys/fs/cgroup/docker/abc/cpu.max", "max 100000\n")
    machine.write("sys/fs/cgroup/docker/cpu.max", "25000 100000\n")
    assert machine.items()["cgroup CPU limit"].found == "0.25 CPUs"


def test_load_from_elsewhere_is_said_with_who_makes_it(machine: Machine) -> None:
    machine.write("proc/42/stat", "42 (a (odd) name) S " + "0 " * 10 + "100 50 0\n")

    def later(_seconds: float) -> None:
        machine.pass_time(BUSY)
        machine.write("proc/42/stat", "42 (a (odd) name) S " + "0 " * 10 + "190 60 0\n")

    items = {item.name: item for item in doctor.examine(machine.root, later)}
    assert items["other processes"].found == "80 % of all cores (a (odd) name)"
    assert items["other processes"].fix is not None


def test_a_quiet_machine_has_no_load_to_fix(machine: Machine) -> None:
    assert machine.items()["other processes"].fix is None


def test_a_host_that_takes_time_away_is_said(machine: Machine) -> None:
    items = machine.items((0, 0, 0, 150, 0, 0, 0, 50))
    assert items["stolen by the host"].found == "25.0 %"
    assert "elsewhere" in (items["stolen by the host"].fix or "")


def test_accelerators_are_those_that_the_drivers_name(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Accelerator("vulkan", "SwiftShader", software=True)
    monkeypatch.setattr(doctor, "probe", lambda api: Probe((device,), None) if api == "vulkan" else Probe((), "no driver"))
    items = machine.items()
    assert items["vulkan"].found == "SwiftShader (software)"
    assert items["cuda"].found == "no driver"


@pytest.mark.slow
def test_the_command_prints_one_screen_or_json_and_loads_no_runtime() -> None:
    code = (
        "import runpy, sys\nsys.argv = ['bench', 'doctor', '--json']\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"  # importing one would raise
        "runpy.run_module('bench', run_name='__main__')"
    )
    result = run(["-c", code], ROOT)
    document = json.loads(result.stdout)
    assert result.code == (1 if document["fix"] else 0)
    assert {"runtimes", "accelerators", "cpu", "frequency", "thermal", "timer", "load", "limits"} == {
        item["topic"] for item in document["items"]
    }
    screen = run(["-m", "bench", "doctor"], ROOT)
    assert screen.code in (0, 1)
    assert len(screen.stdout.splitlines()) <= 40
