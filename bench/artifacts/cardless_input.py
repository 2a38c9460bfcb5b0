"""What a measuring process is told of a model without a card. It imports little, since each process imports it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CardlessInput:
    """What the options say of a model without a card, beside what the card that is made for it holds."""

    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)  # of inputs with free sides; "": the only input
    understood: str = ""  # a line for people: what was read from the file, and what the options say

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the shapes by the names of the inputs."""
        return {"shapes": {name: list(shape) for name, shape in self.shapes.items()}}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "CardlessInput":
        """Return what `to_json` gave."""
        return CardlessInput(document["shapes"])
