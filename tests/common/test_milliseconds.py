"""A time has one form wherever it is shown."""

import pytest

from common.milliseconds import milliseconds


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.03, "0.0300"), (1.43, "1.43"), (8.98, "8.98"), (102.5, "102"), (1234.5, "1,234")],
)
def test_a_time_has_three_significant_digits(value: float | None, shown: str) -> None:
    assert milliseconds(value) == shown
