"""The ways in which the measurement of a row can fail."""

from device.errors import EdgeproofError


class RowRefused(EdgeproofError):
    """A row that cannot be measured: the runtime is missing or refuses the model, or there is no counter. It is skipped."""


class RowCrashed(EdgeproofError):
    """A row whose process crashed, or gave an invalid answer."""
