"""Words that go with numbers."""

import pytest

from common.words import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (10_000, "10,000 rows")])
def test_one_thing_is_not_several(number: int, text: str) -> None:
    assert counted(number, "row") == text
