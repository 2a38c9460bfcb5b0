"""A limit: a kind of budget with its value, and where it was set."""

from dataclasses import dataclass

from bench.budgets.figures import OtherVariant
from bench.budgets.kinds import Kind


@dataclass(frozen=True)
class Place:
    """Where a limit was set: a line of a file, or an option of a command (line 0)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Limit:
    """One budget, from a rule or from an option."""

    kind: Kind
    value: float
    place: Place
    other: OtherVariant | None = None  # of a relative kind

    @property
    def name(self) -> str:
        """Return the name of the budget: of two with the same name, the narrower counts."""
        key = self.kind.key
        return f"{key} {self.other.percentile} to {self.other.variant}" if self.other else key

    @property
    def compared_variant(self) -> str | None:
        """Return the variant that a row is compared with, where its figure is a comparison."""
        return self.other.variant if self.other else self.kind.reference
