"""A device's part of bench.json: its environment, and its rows with the board's health and the golden pictures' result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bench.machine.board_health import Health
from bench.machine.environment import KERNEL_FLAGS, Environment, git_commit
from bench.remote.device_config import Device
from bench.remote.emulation import environment as emulated_environment
from bench.remote.emulation.device import find_emulated
from bench.remote.provision import Place
from bench.results.measurement import Measurement
from bench.results.row import Golden, ResultRow
from bench.results.validity import BETWEEN_REASONS
from common.version import VERSION


@dataclass(frozen=True)
class DeviceMeasurement(Measurement):
    """A row from a device, with the device's health around its latency."""

    health: Mapping[str, Any] = field(default_factory=dict)
    why_unhealthy: str | None = None
    golden: Golden | None = None

    @cached_property
    def row(self) -> ResultRow:
        """Return the row; if the supply or the heat slowed the board, its latency is invalid."""
        row = replace(super().row, health=self.health, golden=self.golden)
        if self.why_unhealthy is None:
            return row
        reasons = [reason for reason in (self.why_unhealthy, row.latency.why_invalid) if reason]
        return replace(row, latency=replace(row.latency, valid=False, why_invalid=BETWEEN_REASONS.join(reasons)))


def describe(device: Device, facts: Mapping[str, Any], place: Place, health: Health, cpuinfo: str) -> Environment:
    """Return a device's entry under "environments"."""
    if device.emulated and device.loopback:
        emulated = {"emulated": device.emulated, "installed": place.installed}
        described = emulated_environment.describe(find_emulated(device.name))
        return replace(described, more={"description": device.description, **emulated})
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    flags = {name.strip(): value.split() for name, _, value in lines if name.strip() in ("Features", "flags")}
    known = [flag for words in list(flags.values())[:1] for flag in words if flag in KERNEL_FLAGS]
    return Environment(
        host=str(facts["host"]),
        cpu=device.emulated or health.model or str(facts["machine"]),
        cpu_flags=tuple(known),
        cores=int(facts["cores"]),
        memory_bytes=int(facts["memory_bytes"]),
        os=str(facts["os"]),
        python=str(facts["python"]),
        governor=health.governor,
        git_commit=git_commit(),
        edgeproof=VERSION,
        health={**health.to_json(), "clock_off_s": round(float(facts["clock_off_s"]), 1)},
        more={"description": device.description, "emulated": device.emulated or None, "installed": place.installed},
    )


def health_json(healths: Sequence[tuple[Health, list[Health], Health]], emulated: str) -> dict[str, Any]:
    """Return a row's health: temperature and clock before, during and after its processes, and what slowed the board."""
    if emulated:
        return {"emulated": emulated}
    during = [health for _, watched, _ in healths for health in watched]
    every = [health for before, watched, after in healths for health in (before, *watched, after)]
    temperatures = [health.temperature_c for health in during if health.temperature_c is not None]
    clocks = [health.clock_mhz for health in during if health.clock_mhz is not None]
    known = [health.now for health in every if health.now is not None]
    powers = [health.power_w for health in every if health.power_w is not None]
    return {
        "temperature_c": {
            "before": healths[0][0].temperature_c,
            "during_max": max(temperatures, default=None),
            "after": healths[-1][2].temperature_c,
        },
        "clock_mhz": {
            "least": min(clocks, default=None),
            "most": max(clocks, default=None),
            "max": healths[0][0].clock_max_mhz,
        },
        "throttled": sorted({words for now in known for words in now}) if known else None,
        "throttled_bits": healths[-1][2].throttled_bits,
        "load_1min_before": healths[0][0].load_1min,
        "swap_used_bytes": healths[-1][2].swap_used_bytes,
        "power_w": max(powers, default=None),
    }
