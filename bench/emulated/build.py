"""Building the emulated devices: `make emulated-device`."""

from collections.abc import Iterator, Sequence

from bench.emulated.device import EmulatedDevice, emulated_names, find_emulated
from bench.emulated.emulator import fetch_emulator, run_python, write_python_command
from bench.emulated.overlay import overlay
from bench.emulated.userspace import Say, make_user_space
from device.classify import CheckFailed

WHO = "import platform, numpy, PIL; print(platform.machine(), platform.python_version(), numpy.__version__, PIL.__version__)"


def chosen_devices(names: str) -> list[EmulatedDevice]:
    """Return the devices of a list "A,B", or every one for "all". Raises EdgeproofError for an unknown one."""
    asked = emulated_names() if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    return [find_emulated(name) for name in dict.fromkeys(asked)]


def build_devices(names: Sequence[str], say: Say) -> Iterator[str]:
    """Build the named devices, or all; yield a line on each that says what its Python answers.

    Raises CheckFailed where a program there does not run.
    """
    for name in names or emulated_names():
        device = find_emulated(name)
        emulator = fetch_emulator(device.qemu, say)
        space = make_user_space(device, say)
        with overlay(device, space) as folder:
            process = run_python(emulator, device, space, folder, ["-c", WHO], timeout_s=300)
        if process.returncode != 0:
            last_line = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            ended = f"Python ended with {process.returncode} there: {last_line}"
            raise CheckFailed(f"{name}: {ended}: remove {space.root} and build again")
        python = write_python_command(device, space, emulator)
        yield f"{name}: {process.stdout.strip()}, {', '.join(space.runtimes)}; {python}"
