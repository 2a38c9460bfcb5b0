"""The least arena: found by asking, never much above what is needed."""

import pytest

from bench.remote.microcontroller.arena import STEP_BYTES, least_arena

MAX_BYTES = 256 << 20


@pytest.mark.parametrize("needed", [16, 1_008, 1_024, 1_040, 20_784, 31_552, 430_512, 8_123_408, MAX_BYTES])
def test_the_least_multiple_of_16_that_works_is_found(needed: int) -> None:
    asked: list[int] = []

    def works(size: int) -> bool:
        asked.append(size)
        return size >= needed

    assert least_arena(works, MAX_BYTES) == needed
    assert all(size % STEP_BYTES == 0 for size in asked)
    assert max(asked, default=0) <= max(1_024, 2 * needed)
    assert len(asked) <= 45


def test_a_need_between_two_steps_is_rounded_up() -> None:
    assert least_arena(lambda size: size >= 31_537, MAX_BYTES) == 31_552
