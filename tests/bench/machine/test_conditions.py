"""The state of the machine during a measurement: imitated /proc and /sys trees, and the flags that they give."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.machine import conditions as watch
from bench.machine.conditions import Conditions, Reading
from bench.results import validity

SECOND_NS = 1_000_000_000


def planted(root: Path, **files: str) -> Path:
    """Write files below a root; `__` in a name stands for `/`."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def reading(**changes: Any) -> Reading:
    still = Reading(0, 0, 0, 0, 2, None, None, None, None)
    return replace(still, **changes)


class TestReading:
    def test_reads_busy_and_stolen_time_of_all_cores_in_ticks(self, tmp_path: Path) -> None:
        found = watch.read(planted(tmp_path, proc__stat="cpu  100 20 30 9999 50 6 4 40 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
        tick_ns = SECOND_NS // 100
        assert found.busy_cpu_ns == (100 + 20 + 30 + 6 + 4) * tick_ns
        assert found.stolen_cpu_ns == 40 * tick_ns

    def test_a_machine_that_tells_nothing_is_unknown_everywhere(self, tmp_path: Path) -> None:
        found = watch.read(tmp_path)
        conditions = watch.between(found, watch.read(tmp_path))
        assert conditions == Conditions(steady=True)
        assert validity.unknown([conditions]) == ["waited", "load_elsewhere", "frequency_changed", "throttled"]

    def test_reads_the_clock_of_the_core_that_it_runs_on(self, tmp_path: Path) -> None:
        fields = " ".join(str(number) for number in range(4, 53)).split()
        fields[35] = "3"  # field 39 by proc(5)
        root = planted(tmp_path, proc__self__stat=f"1 (a name) with) R {' '.join(fields)}")
        path = root / "sys/devices/system/cpu/cpu3/cpufreq"
        path.mkdir(parents=True)
        (path / "scaling_cur_freq").write_text("1500000\n")
        assert watch.read(root).frequency_khz == 1_500_000

    @pytest.mark.parametrize(("bits", "throttled"), [("0x0", False), ("0x50000", False), ("0x50005", True), ("2", True)])
    def test_a_pi_tells_throttling_that_goes_on_not_what_is_past(self, tmp_path: Path, bits: str, throttled: bool) -> None:
        path = tmp_path / watch.PI_THROTTLED
        path.parent.mkdir(parents=True)
        path.write_text(bits + "\n")
        assert watch.read(tmp_path).throttled_now is throttled

    @pytest.mark.parametrize(
        ("kind", "state", "found"), [("Processor", "0", False), ("cpufreq-cpu0", "2", True), ("fan", "1", None)]
    )
    def test_a_processor_s_cooling_state_is_throttling_a_fan_is_not(
        self, tmp_path: Path, kind: str, state: str, found: bool | None
    ) -> None:
        planted(
            tmp_path, sys__class__thermal__cooling_device0__type=kind, sys__class__thermal__cooling_device0__cur_state=state
        )
        assert watch.read(tmp_path).throttled_now is found

    def test_takes_the_hottest_sensor(self, tmp_path: Path) -> None:
        zones = {
            f"sys__class__thermal__thermal_zone{at}__temp": text for at, text in enumerate(("41000", "68500", "broken"))
        }
        assert watch.temperature_c(planted(tmp_path, **zones)) == 68.5


class TestBetween:
    def test_others_time_is_what_is_busy_beside_this_process_as_a_share_of_all_cores(self) -> None:
        after = reading(
            clock_ns=SECOND_NS, own_cpu_ns=SECOND_NS, busy_cpu_ns=SECOND_NS * 13 // 10, stolen_cpu_ns=SECOND_NS // 10
        )
        assert watch.between(reading(), after).elsewhere == pytest.approx(0.2)  # 0.3 s others' and 0.1 s stolen, of 2 s

    def test_an_event_that_was_counted_is_throttling(self) -> None:
        assert watch.between(reading(throttle_events=5), reading(throttle_events=5)).throttled is False
        assert watch.between(reading(throttle_events=5), reading(throttle_events=6)).throttled is True

    def test_this_machine_can_be_read(self) -> None:
        before = watch.read()
        sum(range(200_000))
        seen = watch.between(before, watch.read())
        assert seen.elsewhere is not None
        assert 0 <= seen.elsewhere <= 1
        assert Conditions.from_json(seen.to_json()) == seen


def test_the_time_that_threads_waited_for_a_core_is_the_second_number_of_each(tmp_path: Path) -> None:
    for thread, text in (("7", "900 40 3\n"), ("8", "100 2 1\n")):
        folder = tmp_path / "proc/self/task" / thread
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(text)
    assert watch.waited_ns(tmp_path) == 42


def test_a_system_that_does_not_say_it_has_no_waiting_time(tmp_path: Path) -> None:
    assert watch.waited_ns(tmp_path) is None
