"""The devices that can be measured: one TOML file for each, built in or elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from bench.remote.ssh import Address
from bench.results.emulated import MICRO_PREFIX, PREFIX, is_emulated, is_interpreter
from bench.results.row import HOST
from common.paths import PROJECT
from common.project import device_files
from common.toml_config import build, read_toml
from convert.deployment.target import find_target
from device.errors import EdgeproofError

BROWSER_PICTURES = 1_000  # its answers are compared with native ones, which answer all
EMULATED_PICTURES = 100  # an emulated inference takes about twenty times as long, one in reference kernels too
INTERPRETER = "tflite_micro"  # the name of the only one, and of the runtime of its rows
INTERPRETERS = ("", INTERPRETER)


@dataclass(frozen=True)
class Device:
    """How to reach a device and what to use there.

    In python, folder and packages, `{build}` is the working directory's build/, and `{program}` the folder of the program.
    """

    name: str
    description: str
    host: str = ""  # a name or address, or a Host of ~/.ssh/config
    user: str = ""
    port: int = 22
    key: str = ""  # the path of a private key; empty: those that ssh offers by itself
    known_hosts: str = ""  # empty: the user's own
    python: tuple[str, ...] = ("python3",)  # the command that starts Python there
    target: str = ""  # a name of convert/targets/, for its system_packages
    folder: str = ".cache/edgeproof"  # for all files on the device, relative to its home folder
    ready: bool = False  # python has numpy, Pillow and the runtimes: no virtual environment is made
    loopback: bool = False  # the device is on this machine: the run starts an SSH server for it
    emulated: str = ""  # the core of an emulated device; its times are no latencies
    interpreter: str = ""  # of a microcontroller, on this machine: `python` has it; its times are no latencies

    browser: tuple[str, ...] = ()  # names of the browser, on this machine: the first that is there
    packages: str = "{program}/.venv-web/node_modules"  # the npm packages with a browser's runtimes

    @property
    def times_count(self) -> bool:
        """Say whether its times are latencies; of an emulated device or an interpreter only the answers count."""
        return not self.emulated and not self.interpreter

    @property
    def max_pictures(self) -> int | None:
        """Return how many test pictures a row answers by default; None: as many as there is time for."""
        usual = None if self.times_count else EMULATED_PICTURES
        return BROWSER_PICTURES if self.browser else usual

    @property
    def address(self) -> Address:
        """Return where and as whom SSH reaches the device."""
        return Address(self.name, self.host, self.user, self.port, self.key, self.known_hosts)

    @property
    def system_packages(self) -> tuple[str, ...]:
        """Return the Debian packages that replace missing wheels."""
        return find_target(self.target).system_packages if self.target else ()


def find_devices(text: str) -> list[str]:
    """Split "pi4,pi5". Raises EdgeproofError for a name twice or none at all; find_device looks each up."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise EdgeproofError(f"--device {text!r}: expected names such as pi4,pi5, each once")
    return names


def find_device(name: str) -> Device:
    """Return the device of that name, or of a file whose path ends in .toml. Raises EdgeproofError."""
    if name.endswith(".toml"):
        return _reached(read_device(Path(name)), name)
    files = device_files()
    path = files.get(name) or files.get(name.replace("_", "-"))
    if path is None:
        raise EdgeproofError(
            f"unknown device {name!r}: there are {', '.join([HOST, *files])}; name a file that ends in .toml, or a folder "
            f'of such files by devices = "DIR" in {PROJECT}'
        )
    return _reached(read_device(path), str(path))


def _reached(device: Device, where: str) -> Device:
    """Return a device that can be measured on. Raises EdgeproofError for one that only budgets know, by its [match]."""
    if not (device.host or device.loopback or device.interpreter or device.browser):
        raise EdgeproofError(
            f"{where}: has a [match] and no host: budgets recognise the machine by it, and it is measured on itself, "
            "without --device; add a host to reach it over SSH"
        )
    return device


def read_device(path: Path) -> Device:
    """Read a device's file. Raises EdgeproofError that names the file and the key."""
    document = read_toml(path)
    match = document.pop("match", None)  # how budgets recognise this machine: bench/budgets/device_match.py
    device = build(Device, document, str(path), name=path.stem)
    if path.stem == HOST:
        raise EdgeproofError(f"{path}: {HOST!r} is this machine: give the file another name")
    if bool(device.emulated) != is_emulated(device.name):
        raise EdgeproofError(
            f"{path}: key 'emulated': found {device.emulated!r}: emulated devices must be named {PREFIX}NAME, "
            "and no other device may be: their times are not latencies"
        )
    if device.interpreter not in INTERPRETERS or bool(device.interpreter) != is_interpreter(device.name):
        raise EdgeproofError(
            f"{path}: key 'interpreter': found {device.interpreter!r}: devices named {MICRO_PREFIX}NAME have "
            f'interpreter = "{INTERPRETER}", and no other device may: their times are not latencies'
        )
    ways = [bool(device.host), device.loopback, bool(device.interpreter), bool(device.browser)]  # to reach it
    if sum(ways) != 1 and match is None:
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
