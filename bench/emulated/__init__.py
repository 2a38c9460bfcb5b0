"""A Raspberry Pi without a Raspberry Pi: an ARM user space from Debian packages under QEMU user emulation.

What it answers (accuracy, self-test, memory, instruction counts) is real; its times are not latencies.
"""

NOT_A_LATENCY = "emulated, not a latency"
PREFIX = "emulated-"


def is_emulated(device: str) -> bool:
    """Say whether a row's device is an emulated one: none of its times may be judged, ranked or compared."""
    return device.startswith(PREFIX)
