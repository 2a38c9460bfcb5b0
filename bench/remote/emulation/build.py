"""Building the emulated devices: `make emulated-device`."""

from collections.abc import Iterator, Sequence

from bench.remote.emulation.device import EmulatedDevice, emulated_names, find_emulated
from bench.remote.emulation.overlay import overlay
from bench.remote.emulation.qemu import fetch_emulator, run_python, write_python_command
from bench.remote.emulation.user_space import Say, make_user_space
from device.errors import CheckFailed

WHO = "import platform, numpy, PIL; print(platform.machine(), platform.python_version(), numpy.__version__, PIL.__version__)"


def chosen_devices(names: str) -> list[EmulatedDevice]:
    """Return the devices of a list "A,B", or every one for "all". Raises EdgeproofError for an unknown one."""
    requested = emulated_names() if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    return [find_emulated(name) for name in dict.fromkeys(requested)]


def build_devices(names: Sequence[str], say: Say) -> Iterator[str]:
    """Build the named devices, or all; yield a line for each with the versions in it.

    Raises CheckFailed where its Python does not run.
    """
    for name in names or emulated_names():
        device = find_emulated(name)
        emulator = fetch_emulator(device.qemu, say)
        space = make_user_space(device, say)
        with overlay(device, space) as folder:
            process = run_python(emulator, device, space, folder, ["-c", WHO], timeout_s=300)
        if process.returncode != 0:
            last_line = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            ended = f"Python ended with {process.returncode}: {last_line}"
            raise CheckFailed(f"{name}: {ended}: remove {space.root} and build again")
        python = write_python_command(device, space, emulator)
        yield f"{name}: {process.stdout.strip()}, {', '.join(space.runtimes)}; {python}"
