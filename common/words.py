"""Words that go with numbers."""


def counted(number: int, what: str) -> str:
    """Return "1 row", "2 rows"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
