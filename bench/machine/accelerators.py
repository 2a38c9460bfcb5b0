"""Which accelerators this machine has, as its Vulkan and CUDA drivers say, through ctypes.

Drivers may crash, hang or print, so they are asked in a separate process: `python -m bench.machine.accelerators API`.
"""

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache

from common.paths import PROGRAM
from common.python_process import module_command

TIMEOUT_S = 60
SOFTWARE = "gpu-software"  # the accelerator of a row that ran on a Vulkan device made of software

VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO = 1
VK_PHYSICAL_DEVICE_TYPE_CPU = 4
VK_NAME_OFFSET = 20  # VkPhysicalDeviceProperties: apiVersion, driverVersion, vendorID, deviceID, deviceType, deviceName
VK_PROPERTIES_BYTES = 4_096  # 824 are used


@dataclass(frozen=True)
class Accelerator:
    """An accelerator. `software`: a CPU emulates it; its answers are real, its times mean nothing."""

    api: str  # "vulkan" or "cuda"
    name: str
    software: bool

    @property
    def accelerator(self) -> str:
        """Return the value of a row's `accelerator`."""
        return SOFTWARE if self.software else "gpu"


@dataclass(frozen=True)
class Probe:
    """The answer of an API's driver: its devices, or why there are none and what to do."""

    devices: tuple[Accelerator, ...]
    problem: str | None


@lru_cache
def probe(api: str) -> Probe:
    """Ask the driver of "vulkan" or "cuda" for its devices. It never raises: a failure of the driver is returned as text."""
    command = module_command("bench.machine.accelerators", api)
    try:
        answer = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        document = json.loads(answer.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Probe((), f"the {api} driver did not answer within {TIMEOUT_S} s: look at the kernel's log (dmesg)")
    except (ValueError, IndexError):
        return Probe((), f"asking the {api} driver failed (exit code {answer.returncode}): reinstall the driver")
    return Probe(tuple(Accelerator(**device) for device in document["devices"]), document["problem"])


def ask(api: str) -> Probe:
    """Ask the driver in this process. Raises KeyError for an unknown API."""
    load, install, enumerate_devices = {
        "vulkan": ("libvulkan.so.1", "install the Vulkan loader (Debian: libvulkan1) and the GPU's driver", _vulkan_devices),
        "cuda": ("libcuda.so.1", "it comes with NVIDIA's driver, which needs an NVIDIA GPU", _cuda_devices),
    }[api]
    try:
        library = ctypes.CDLL(load)
    except OSError:
        return Probe((), f"{load} is not here: {install}")
    try:
        devices = tuple(enumerate_devices(library))
    except DriverRefused as error:
        return Probe((), str(error))
    return Probe(devices, None if devices else f"{load} is here and lists no device: install the GPU's driver")


class DriverRefused(Exception):
    """A call of the driver failed; the message says which one and what to do."""


class _InstanceCreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo without layers and extensions."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


def _vulkan_devices(vulkan: ctypes.CDLL) -> Iterator[Accelerator]:
    instance = ctypes.c_void_p()
    create = _InstanceCreateInfo(type=VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO)
    result = vulkan.vkCreateInstance(ctypes.byref(create), None, ctypes.byref(instance))
    if result != 0:
        raise DriverRefused(f"no Vulkan driver could be used (vkCreateInstance: {result}): install the GPU's Vulkan driver")
    count = ctypes.c_uint32()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    for handle in handles:
        properties = ctypes.create_string_buffer(VK_PROPERTIES_BYTES)
        vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), properties)
        kind = int.from_bytes(properties.raw[16:20], "little")
        name = properties.raw[VK_NAME_OFFSET : VK_NAME_OFFSET + 256].split(b"\0")[0].decode(errors="replace")
        yield Accelerator("vulkan", name, kind == VK_PHYSICAL_DEVICE_TYPE_CPU)


def _cuda_devices(cuda: ctypes.CDLL) -> Iterator[Accelerator]:
    result = cuda.cuInit(0)
    if result != 0:
        raise DriverRefused(f"the NVIDIA driver refuses (cuInit: {result}): look at `nvidia-smi`")
    count = ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    for number in range(count.value):
        name = ctypes.create_string_buffer(256)
        cuda.cuDeviceGetName(name, len(name), number)
        yield Accelerator("cuda", name.value.decode(errors="replace"), software=False)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(ask(sys.argv[1]))) + "\n")
