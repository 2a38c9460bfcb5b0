"""The interpreter's package."""
