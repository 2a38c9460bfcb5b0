"""Which devices can be emulated: the device files emulated-*.toml."""

from dataclasses import dataclass
from pathlib import Path

from bench.results.emulated import PREFIX
from common.project import device_files
from common.toml_config import build, read_toml
from convert.deployment.target import Target, find_target
from device.errors import EdgeproofError

CORES = Path(__file__).with_name("cores.toml")


class NotHere(EdgeproofError):
    """Something that emulation or counting needs is missing on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Core:
    """A processor: its name in QEMU, and what the runtimes read about it in the system's files."""

    name: str  # in QEMU
    part: str  # MIDR's part number, as /proc/cpuinfo has it
    features: str  # as /proc/cpuinfo has them
    max_khz: int
    l1_instruction_kb: int
    l1_data_kb: int
    l2_kb: int


@dataclass(frozen=True)
class EmulatedDevice:
    """A board that is emulated."""

    name: str  # the file's name
    description: str
    target: Target  # of its user space
    core: Core

    @property
    def qemu(self) -> str:
        """Return the name of the emulator's command."""
        return "qemu-aarch64" if self.target.bits == 64 else "qemu-arm"

    @property
    def debian(self) -> str:
        """Return Debian's name of the architecture."""
        return "arm64" if self.target.bits == 64 else "armhf"


def emulated_names() -> list[str]:
    """Return the names of the devices that can be emulated."""
    return [name for name in device_files() if name.startswith(PREFIX)]


def find_emulated(name: str) -> EmulatedDevice:
    """Return the device of that name. Raises EdgeproofError that lists those there are."""
    if name not in emulated_names():
        raise EdgeproofError(f"unknown emulated device {name!r}: there are {', '.join(emulated_names())}")
    return read_emulated(device_files()[name])


def read_emulated(path: Path) -> EmulatedDevice:
    """Read a device's file. Raises EdgeproofError that names the file and the key."""
    document = read_toml(path)
    for key in ("description", "target", "emulated"):
        if not isinstance(document.get(key), str):
            found = "nothing" if key not in document else repr(document[key])
            raise EdgeproofError(f"{path}: key {key!r}: found {found}, expected a string")
    target = find_target(document["target"])
    if target.architecture not in ("aarch64", "armv7l"):
        raise EdgeproofError(f"{path}: key 'target': {target.name} is {target.architecture or 'no machine'}, expected ARM")
    return EmulatedDevice(path.stem, document["description"], target, find_core(document["emulated"], str(path)))


def find_core(name: str, where: str) -> Core:
    """Return the core of that name. Raises EdgeproofError that names `where` and lists those there are."""
    tables = read_toml(CORES)
    if name not in tables:
        raise EdgeproofError(
            f"{where}: key 'emulated': unknown core {name!r}: there are {', '.join(tables)} in {CORES.name}"
        )
    return build(Core, tables[name], f"{CORES}: [{name}]", name=name)


def of_core(core: str) -> EmulatedDevice:
    """Return the device that has a core. Raises EdgeproofError that lists the cores."""
    devices = [find_emulated(name) for name in emulated_names()]
    for device in devices:
        if device.core.name == core:
            return device
    raise EdgeproofError(f"unknown core {core!r}: there are {', '.join(device.core.name for device in devices)} and host")
