"""The card: what a model file says of itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from device.errors import CardError
from device.outputs import ACTIVATIONS
from device.pictures.steps import STEPS, check_parameters
from device.safe_text import is_control

CARD_SCHEMA = 1


@dataclass(frozen=True)
class Step:
    """One named preprocessing step with its parameters, as in the card's `preprocess` list."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> list[Any]:
        """Return `["name"]` or `["name", {parameters}]`."""
        return [self.name, dict(self.parameters)] if self.parameters else [self.name]

    @staticmethod
    def from_json(entry: object) -> Step:
        """Read `["name"]` or `["name", {parameters}]`. Raises CardError for an unknown step or parameter."""
        if not (isinstance(entry, list) and 1 <= len(entry) <= 2 and isinstance(entry[0], str)):
            raise CardError(f"card field preprocess: found {entry!r}, expected [name] or [name, {{parameters}}]")
        name, parameters = entry[0], entry[1] if len(entry) == 2 else {}
        if name not in STEPS:
            known = ", ".join(sorted(STEPS))
            raise CardError(
                f"card field preprocess: unknown step {name!r}; this classify.py knows {known}: take a newer classify.py"
            )
        if not isinstance(parameters, dict):
            raise CardError(f"card field preprocess: the parameters of step {name!r} are not an object: {parameters!r}")
        check_parameters(name, parameters)
        return Step(name, parameters)


@dataclass(frozen=True)
class Card:
    """What a model file says of itself. `document` is the whole card as it was read, with `model_sha256`."""

    model: str
    variant: str
    labels: tuple[str, ...]
    height: int
    width: int
    channels: int
    preprocess: tuple[Step, ...]
    document: Mapping[str, Any]

    @property
    def activation(self) -> Optional[str]:
        """Return what the outputs are, of ACTIVATIONS; None: probabilities, one a label."""
        output: Mapping[str, Any] = self.document.get("output") or {}
        activation: Optional[str] = output.get("activation")
        return activation

    @property
    def min_score(self) -> float:
        """Return the score, 0..1, below which the model's answer is "unsure"; 0: none."""
        return float(self.document.get("min_score") or 0)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Return where the model comes from, as the card says it; {}: it says nothing."""
        provenance: Mapping[str, Any] = self.document.get("provenance") or {}
        return provenance

    @property
    def test_sha256(self) -> str:
        """Return the hash of the test pictures that the model was made with. Raises CardError where the card lacks it."""
        hashes = self.provenance.get("dataset_sha256")
        found = hashes.get("test") if isinstance(hashes, dict) else None
        if not isinstance(found, str):
            raise CardError(f"card field provenance.dataset_sha256.test: {found!r}, expected a hash: convert it again")
        return found

    @staticmethod
    def from_json(document: object) -> Card:
        """Check the fields that this file needs. Raises CardError that names the field."""
        if not isinstance(document, dict):
            raise CardError(f"the card is not a JSON object but {type(document).__name__}")
        schema = _card_field(document, "schema", int)
        if not 1 <= schema <= CARD_SCHEMA:
            raise CardError(
                f"card field schema: this classify.py reads cards up to schema {CARD_SCHEMA}, the card has {schema}: "
                f"take a classify.py that reads schema {schema}"
            )
        labels = _card_field(document, "labels", list)
        if not labels or not all(isinstance(label, str) for label in labels):
            raise CardError("card field labels: expected a list of at least one string")
        for number, label in enumerate(labels):
            _check_text(f"labels[{number}]", label)
        if isinstance(document.get("name"), str):
            check_name("name", document["name"])
        shape = _card_field(document, "input", dict)
        sides = [_card_field(shape, name, int, "input.") for name in ("height", "width", "channels")]
        if min(sides) < 1 or max(sides) > 8192 or sides[2] not in (1, 3):
            raise CardError(f"card field input: impossible height, width, channels {sides}")
        if shape.get("pixels") != "0..255":
            raise CardError(f"card field input.pixels: found {shape.get('pixels')!r}, expected '0..255'")
        _check_optional_fields(document)
        return Card(
            model=check_name("model", _card_field(document, "model", str)),
            variant=check_name("variant", _card_field(document, "variant", str)),
            labels=tuple(labels),
            height=sides[0],
            width=sides[1],
            channels=sides[2],
            preprocess=tuple(Step.from_json(entry) for entry in _card_field(document, "preprocess", list)),
            document=document,
        )


OPTIONAL_FIELDS = {
    "name": str,
    "golden": list,
    "golden_tolerance": dict,
    "accuracy": dict,
    "session": dict,
    "min_runtime": str,
    "provenance": dict,
    "output": dict,
}


def _check_optional_fields(document: dict[str, Any]) -> None:
    for name, kind in OPTIONAL_FIELDS.items():
        if document.get(name) is not None:
            _card_field(document, name, kind)
    _check_golden_fields(document.get("golden") or [])
    activation = (document.get("output") or {}).get("activation")
    if activation is not None and activation not in ACTIVATIONS:
        raise CardError(f"card field output.activation: found {activation!r}, expected {', '.join(ACTIVATIONS)}")
    least = document.get("min_score")
    if least is not None and (isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least <= 1):
        raise CardError(f"card field min_score: found {least!r}, expected a number between 0 and 1")
    for name, values in (document.get("session") or {}).items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise CardError(f"card field session.{name}: found {values!r}, expected a list of strings")


def _check_golden_fields(golden: Sequence[Any]) -> None:
    for number, entry in enumerate(golden):
        if not isinstance(entry, dict) or not isinstance(entry.get("png"), str):
            raise CardError(f"card field golden[{number}]: expected an object with a picture, png")
        try:
            base64.b64decode(entry["png"], validate=True)
        except ValueError as error:
            raise CardError(f"card field golden[{number}].png: is no base64: {error}") from error


def _card_field(document: Mapping[str, Any], name: str, kind: type, prefix: str = "") -> Any:
    value = document.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = "nothing" if name not in document else type(value).__name__
        raise CardError(f"card field {prefix}{name}: found {found}, expected {kind.__name__}")
    return value


def _check_text(field: str, text: str) -> str:
    """Return text. Raises CardError for one that holds control characters."""
    if any(map(is_control, text)):
        raise CardError(f"card field {field}: {text[:40]!r} holds control characters: remove them")
    return text


def check_name(field: str, text: str) -> str:
    """Return a name. Raises CardError for one that is no file name, or that leads to another folder."""
    if not text or text.startswith(".") or "/" in text or "\\" in text:
        raise CardError(f"card field {field}: found {text[:40]!r}, expected a name without slashes and a leading dot")
    return _check_text(field, text)


@dataclass(frozen=True)
class CardlessOptions:
    """What the options say of a model without a card."""

    labels: Optional[Path] = None
    input_range: Optional[str] = None
    fit: Optional[str] = None

    @property
    def names(self) -> list[str]:
        """Return the options that were given, except --labels: a card holds what they say."""
        named = {"--input-range": self.input_range, "--fit": self.fit}
        return [name for name, value in named.items() if value is not None]
