"""The least arena with which an interpreter works."""

from collections.abc import Callable

STEP_BYTES = 16  # an arena begins at a multiple of 16, and is divided in such steps


def least_arena(works: Callable[[int], bool], max_bytes: int) -> int:
    """Return the least multiple of STEP_BYTES with which `works` says True, given that it does so with `max_bytes`.

    Small arenas are tried first, doubling: the interpreter is never asked for much more than a board has.
    """
    high = STEP_BYTES * 64
    low = 0  # is known not to work
    while high < max_bytes and not works(high):
        low, high = high, 2 * high
    high = min(high, max_bytes)
    while high - low > STEP_BYTES:
        middle = (low + high) // (2 * STEP_BYTES) * STEP_BYTES
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
