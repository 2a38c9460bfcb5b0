"""Which devices can be emulated: the files bench/devices/emulated-*.toml."""

from dataclasses import dataclass
from pathlib import Path

from bench.emulated import PREFIX
from convert.target import Target, find_target
from convert.typed_toml import build, read_toml
from device.classify import EdgeproofError

CORES = Path(__file__).with_name("cores.toml")
DEVICES = Path(__file__).parent.parent / "devices"


class NotHere(EdgeproofError):
    """Something that emulating or counting needs is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Core:
    """A processor as QEMU is told of it, and the files that a runtime reads of a machine."""

    name: str  # QEMU's
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
    target: Target  # what its user space is
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
    return sorted(path.stem for path in DEVICES.glob(f"{PREFIX}*.toml"))


def find_emulated(name: str) -> EmulatedDevice:
    """Return the device of that name. Raises EdgeproofError that lists those there are."""
    if name not in emulated_names():
        raise EdgeproofError(f"unknown emulated device {name!r}: there are {', '.join(emulated_names())}")
    return read_emulated(DEVICES / f"{name}.toml")


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
