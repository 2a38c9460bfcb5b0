"""How a process handles the memory that it frees."""

import ctypes
import sys

# mallopt's parameters and their values, of glibc's malloc.h: see mallopt(3)
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
KEEPING = ((TRIM_THRESHOLD, 2**31 - 1), (MMAP_MAX, 0), (ARENA_MAX, 1))


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for what it allocates next.

    glibc gives blocks of over 32 MB back to the system, which hands them out again page by page. In a network's large
    tensors that is half of the time on a virtual machine (docs/figures.md). Call it before other threads start. Without
    glibc it does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in KEEPING:
            mallopt(parameter, value)
