"""Counts in sentences: "1 picture", "2,000 pictures"."""


def counted(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun; `more` is the plural where it is not made by an s."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"
