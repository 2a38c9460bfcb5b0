"""How a device is reached: as its file says, or by an SSH server on the loopback where it lives on this machine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from bench.device_file import CHECKOUT, Device
from bench.emulated.device import find_emulated
from bench.emulated.emulator import find_emulator, write_python_command
from bench.emulated.userspace import find_user_space
from bench.loopback import loopback_server
from bench.ssh import DeviceLost
from device.classify import EdgeproofError


@contextmanager
def reachable(device: Device) -> Iterator[Device]:
    """Start an SSH server for a device that lives on this machine, and fill in how to reach it. Raises DeviceLost."""
    if not device.loopback:
        yield device
        return
    try:
        stack = ExitStack()
        python = local_python(device)
        server = stack.enter_context(loopback_server())
    except EdgeproofError as error:
        raise DeviceLost(str(error)) from error
    with stack:
        yield replace(
            device,
            host="127.0.0.1",
            user=server.user,
            port=server.port,
            key=str(server.key),
            known_hosts=str(server.known_hosts),
            python=python,
            folder=device.folder.replace("{checkout}", str(CHECKOUT)),
        )


def local_python(device: Device) -> tuple[str, ...]:
    """Return the command that starts Python of a device on this machine. Raises EdgeproofError where it is not built."""
    if not device.emulated:
        return tuple(word.replace("{checkout}", str(CHECKOUT)) for word in device.python)
    emulated = find_emulated(device.name)
    return (str(write_python_command(emulated, find_user_space(emulated), find_emulator(emulated.qemu))),)
