"""Which times are no latencies: of an emulated device, of a microcontroller's interpreter, of a GPU emulated in software.

Accuracy, self-test, memory, arenas and instruction counts on them are real. Only this module decides the difference.
"""

NOT_A_LATENCY = "emulated, not a latency"
HOSTS_TIME = "a host's time, not a microcontroller's"
SOFTWARE_ACCELERATOR = "a software device, not a latency"
PREFIX = "emulated-"
MICRO_PREFIX = "tflite-micro"


def is_emulated(device: str) -> bool:
    """Say whether a device of that name is an emulated one."""
    return device.startswith(PREFIX)


def is_interpreter(device: str) -> bool:
    """Say whether a device of that name is a microcontroller's interpreter, which runs on a host."""
    return device.startswith(MICRO_PREFIX)


def why_no_latency(device: str, accelerator: str) -> str | None:
    """Say why times on a device may not be judged, ranked, compared or shown as latencies; None where they may."""
    if is_emulated(device):
        return NOT_A_LATENCY
    if is_interpreter(device):
        return HOSTS_TIME
    return SOFTWARE_ACCELERATOR if "software" in accelerator else None
