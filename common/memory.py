"""How a process handles the memory that it frees."""

from device.process import M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD, tune_malloc

KEEPING = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0, M_ARENA_MAX: 1}


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for what it allocates next.

    glibc gives blocks of over 32 MB back to the system, which hands them out again page by page. In a network's large
    tensors that is half of the time on a virtual machine (docs/figures.md). Call it before other threads start. Without
    glibc it does nothing.
    """
    tune_malloc(KEEPING)
