"""The devices that can be measured over SSH: one TOML file each, in bench/devices/ or anywhere else."""

from dataclasses import dataclass
from pathlib import Path

from bench.emulated import PREFIX, is_emulated
from bench.ssh import Address
from convert.target import find_target
from convert.typed_toml import build, read_toml
from device.classify import EdgeproofError

DEVICES = Path(__file__).parent / "devices"
CHECKOUT = Path(__file__).resolve().parent.parent
HOST = "host"  # this machine


@dataclass(frozen=True)
class Device:
    """How to reach a device and what to use there. `{checkout}` in python and folder is this checkout's path."""

    name: str
    description: str
    host: str = ""  # a name or address, or a Host of ~/.ssh/config
    user: str = ""
    port: int = 22
    key: str = ""  # the path of a private key; empty: those that ssh offers by itself
    known_hosts: str = ""  # empty: the user's own
    python: tuple[str, ...] = ("python3",)  # the command that starts Python there
    target: str = ""  # a name of convert/targets/, for its system_packages
    folder: str = ".cache/edgeproof"  # where everything is kept there, relative to the home folder
    ready: bool = False  # python has numpy, Pillow and the runtimes already: no virtual environment is made
    loopback: bool = False  # an SSH server is started here for the run: for devices that live on this machine
    emulated: str = ""  # the core that an emulated device pretends to be; its times are no latencies

    @property
    def address(self) -> Address:
        return Address(self.name, self.host, self.user, self.port, self.key, self.known_hosts)

    @property
    def system_packages(self) -> tuple[str, ...]:
        """Return the Debian packages that stand in for wheels that there are not."""
        return find_target(self.target).system_packages if self.target else ()


def device_names() -> list[str]:
    """Return the names of the devices: the files in bench/devices/."""
    return sorted(path.stem for path in DEVICES.glob("*.toml"))


def find_devices(text: str) -> list[str]:
    """Split "pi4,pi5". Raises EdgeproofError for a name twice or none at all; each is looked up by find_device."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise EdgeproofError(f"--device {text!r}: expected names such as pi4,pi5, each once")
    return names


def find_device(name: str) -> Device:
    """Return the device of that name, or of a file whose path ends in .toml. Raises EdgeproofError."""
    if name.endswith(".toml"):
        return _reached(read_device(Path(name)), name)
    known = name.replace("_", "-")
    if known not in device_names():
        raise EdgeproofError(
            f"unknown device {name!r}: there are {', '.join([HOST, *device_names()])}; "
            "add a file to bench/devices/ or name one that ends in .toml"
        )
    path = DEVICES / f"{known}.toml"
    return _reached(read_device(path), str(path))


def _reached(device: Device, where: str) -> Device:
    """Return a device that can be measured on. Raises EdgeproofError for one that budgets alone know, by its [match]."""
    if not device.host and not device.loopback:
        raise EdgeproofError(
            f"{where}: has a [match] and no host: budgets know the machine by it, and it is measured on itself, without "
            "--device; give it a host to reach it over SSH"
        )
    return device


def read_device(path: Path) -> Device:
    """Read a device's file. Raises EdgeproofError that names the file and the key."""
    document = read_toml(path)
    match = document.pop("match", None)  # how budgets recognise this very machine as it: bench/device_match.py
    device = build(Device, document, str(path), name=path.stem)
    if path.stem == HOST:
        raise EdgeproofError(f"{path}: {HOST!r} is this machine: call the file something else")
    if bool(device.emulated) != is_emulated(device.name):
        raise EdgeproofError(
            f"{path}: key 'emulated': found {device.emulated!r}: emulated devices, and they alone, are called {PREFIX}NAME, "
            "so that their times are taken for no latencies"
        )
    if bool(device.host) == device.loopback and match is None:
        raise EdgeproofError(f"{path}: key 'host': found {device.host!r}, expected a name or address, or loopback = true")
    if device.host.startswith("-") or device.user.startswith("-"):
        raise EdgeproofError(f"{path}: key 'host' or 'user' begins with '-', which ssh would take for an option")
    if not device.python:
        raise EdgeproofError(f"{path}: key 'python': found nothing, expected a command such as [\"python3\"]")
    if device.target:
        try:
            find_target(device.target)
        except EdgeproofError as error:
            raise EdgeproofError(f"{path}: key 'target': {error}") from error
    return device
