"""What bench.json says of an emulated device."""

from dataclasses import replace
from pathlib import Path

from bench.machine import environment
from bench.machine.environment import Environment
from bench.remote.emulation.device import EmulatedDevice
from bench.remote.emulation.qemu import find_emulator
from bench.remote.emulation.user_space import find_user_space


def describe(device: EmulatedDevice) -> Environment:
    """Return an emulated device's entry under "environments"; `host` is the machine that emulates it."""
    space, emulator = find_user_space(device), find_emulator(device.qemu)
    return replace(
        environment.describe(),
        cpu=f"{device.core.name} of {emulator.version} ({device.description})",
        cpu_flags=tuple(flag for flag in device.core.features.split() if flag in environment.KERNEL_FLAGS),
        cores=1,
        os=f"Debian {device.debian} user space {space.sha256[:12]}",
        python=Path(space.python).name.removeprefix("python"),
        governor=None,
        health={"emulated": True},
    )
