"""One form of a time for tables, reports and progress."""

UNKNOWN = "–"


def milliseconds(value: float | None) -> str:
    """Format milliseconds with three significant digits, or a dash where there is no figure."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")
