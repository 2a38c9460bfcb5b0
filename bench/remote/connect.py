"""How to reach a device: as its file says, or by an SSH server on the loopback for a device on this machine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from bench.remote.device_config import Device
from bench.remote.emulation.device import find_emulated
from bench.remote.emulation.qemu import find_emulator, write_python_command
from bench.remote.emulation.user_space import find_user_space
from bench.remote.loopback_sshd import loopback_server
from bench.remote.ssh import DeviceLost
from common.paths import BUILD, PROGRAM
from device.errors import EdgeproofError


@contextmanager
def reachable(device: Device) -> Iterator[Device]:
    """Start an SSH server for a device on this machine, and fill in its address. Raises DeviceLost."""
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
            folder=filled_in(device.folder),
        )


def local_python(device: Device) -> tuple[str, ...]:
    """Return the command that starts Python of a device on this machine. Raises EdgeproofError if it is not built."""
    if not device.emulated:
        return tuple(filled_in(word) for word in device.python)
    emulated = find_emulated(device.name)
    return (str(write_python_command(emulated, find_user_space(emulated), find_emulator(emulated.qemu))),)


def filled_in(word: str) -> str:
    """Return a word of a device's file with the folders that it names in braces."""
    return word.replace("{build}", str(BUILD.resolve())).replace("{program}", str(PROGRAM))
