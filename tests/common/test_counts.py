"""A count and its noun agree."""

import pytest

from common.counts import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures"), (10_000, "10,000 pictures")]
)
def test_one_is_singular_and_everything_else_plural(count: int, text: str) -> None:
    assert counted(count, "picture") == text


def test_another_plural_is_given() -> None:
    assert (counted(1, "query", "queries"), counted(3, "query", "queries")) == ("1 query", "3 queries")
