"""Artifacts of an earlier model whose name an imported one gets: they would stand beside the card of another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.variants import VARIANTS
from device.errors import EdgeproofError
from device.formats.model_file import read_card

OF_CARD = ("labels", "input", "preprocess")
OF_RANGE = ("scale", "offset", "order")  # not its name: it may be given as 0..1 or in a file


def remove_others(folder: Path, card: Mapping[str, Any]) -> list[str]:
    """Remove the artifacts in build/NAME that were made of another model than `card` describes; return their names.

    What a card cannot be read of is not known to be of another model, and stays.
    """
    removed = []
    for variant in VARIANTS:
        path = folder / f"{folder.name}.{variant.key}"
        found = _card_of(path)
        if found is not None and _answering(found) != _answering(card):
            path.unlink()
            removed.append(path.name)
    return removed


def _card_of(path: Path) -> Mapping[str, Any] | None:
    try:
        card = read_card(path) if path.is_file() else None
    except EdgeproofError:
        return None
    return None if card is None else card.document


def _answering(card: Mapping[str, Any]) -> list[Any]:
    """Return what a model's answers follow from: the same source, imported again in the same way, gives the same."""
    source = card.get("provenance", {}).get("source") or {}
    taken = source.get("input_range") or {}
    return [source.get("sha256"), *map(taken.get, OF_RANGE), *map(card.get, OF_CARD)]
