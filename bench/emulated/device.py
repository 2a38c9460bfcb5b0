"""Which devices can be emulated: the files of bench/devices/ that have a table [emulated]."""

from dataclasses import dataclass
from pathlib import Path

from bench.emulated import PREFIX
from convert.target import Target, find_target
from convert.typed_toml import build, read_toml
from device.classify import EdgeproofError

DEVICES = Path(__file__).parent.parent / "devices"


@dataclass(frozen=True)
class EmulatedDevice:
    """A board as QEMU and the files that a runtime reads of a machine are told of it."""

    name: str  # the file's name
    board: str
    target: Target  # what its user space is
    core: str  # QEMU's name of the processor
    part: str  # MIDR's part number, as /proc/cpuinfo has it
    features: str  # as /proc/cpuinfo has them
    max_khz: int
    l1_instruction_kb: int
    l1_data_kb: int
    l2_kb: int

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
    for key, kind in (("target", str), ("emulated", dict)):
        if not isinstance(document.get(key), kind):
            found = "nothing" if key not in document else repr(document[key])
            raise EdgeproofError(f"{path}: key {key!r}: found {found}, expected {'a name' if kind is str else 'a table'}")
    target = find_target(document["target"])
    if target.architecture not in ("aarch64", "armv7l"):
        raise EdgeproofError(f"{path}: key 'target': {target.name} is {target.architecture or 'no machine'}, expected ARM")
    return build(EmulatedDevice, document["emulated"], f"{path}: [emulated]", name=path.stem, target=target)


def of_core(core: str) -> EmulatedDevice:
    """Return the device that has a core. Raises EdgeproofError that lists the cores."""
    devices = [find_emulated(name) for name in emulated_names()]
    for device in devices:
        if device.core == core:
            return device
    raise EdgeproofError(f"unknown core {core!r}: there are {', '.join(device.core for device in devices)} and host")
