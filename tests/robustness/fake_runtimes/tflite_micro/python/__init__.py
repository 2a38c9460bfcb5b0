"""A folder of the wheel."""
