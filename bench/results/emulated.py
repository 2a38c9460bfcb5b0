"""Which times are no latencies: those of an emulated device, and of a GPU that is emulated in software.

Accuracy, self-test, memory and instruction counts on them are real. Only this module decides the difference.
"""

NOT_A_LATENCY = "emulated, not a latency"
SOFTWARE_ACCELERATOR = "a software device, not a latency"
PREFIX = "emulated-"


def is_emulated(device: str) -> bool:
    """Say whether a device of that name is an emulated one."""
    return device.startswith(PREFIX)


def why_no_latency(device: str, accelerator: str) -> str | None:
    """Say why times on a device may not be judged, ranked, compared or shown as latencies; None where they may."""
    if is_emulated(device):
        return NOT_A_LATENCY
    return SOFTWARE_ACCELERATOR if "software" in accelerator else None
