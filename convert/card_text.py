"""A card in words, for `python -m convert show`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.variant import VARIANTS
from device.classify import Card, CardError, printable, wilson_interval
from train.files import sha256_of

LABELS_SHOWN = 12
HASH_SHOWN = 12  # digits: enough to tell files apart by eye; --json prints all


def card_text(path: Path, file_format: str, card: Card) -> str:
    """Return what a file says of itself, a line a subject; what its card does not hold is left out.

    Raises CardError where a part of the card is not of the form that it should have.
    """
    try:
        lines = list(_lines(path, file_format, card))
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise CardError(
            f"{path}: a part of its card is damaged ({error!r}): --json shows it all; convert it again"
        ) from error
    shown: list[str] = []
    for number, (subject, text) in enumerate(lines):
        heading = "" if number and lines[number - 1][0] == subject else subject
        shown.append(f"{heading:<9} {printable(text)}")
    return "\n".join(shown)


def _lines(path: Path, file_format: str, card: Card) -> Iterator[tuple[str, str]]:
    """Yield subject and text of each line."""
    document = card.document
    yield from [
        ("file", f"{path}, {path.stat().st_size / 1000:,.0f} kB, SHA-256 {sha256_of(path)}"),
        ("model", f"{card.model}, variant {card.variant}{_good_for(card.variant, file_format)}"),
        ("takes", _input(document["input"])),
        ("steps", ", then ".join(_step(step) for step in document["preprocess"]) or "none"),
        ("answers", f"{len(card.labels)} labels: {_shortened(card.labels)}"),
        *(("accuracy", line) for line in _accuracy(document.get("accuracy", {}))),
        *(("needs", line) for line in _needs(document)),
        *(("float", line) for line in _float_layers(document.get("float_layers", []))),
        *(("proof", line) for line in _proof(document)),
        *(("made", line) for line in _provenance(document.get("provenance", {}))),
    ]


def _good_for(variant: str, file_format: str) -> str:
    for row in VARIANTS:
        if (row.name, row.format) == (variant, file_format):
            return f": {row.promise}; good for {row.good_for}"
    return ""


def _input(shape: Mapping[str, Any]) -> str:
    colours = {1: "gray", 3: "RGB"}.get(shape["channels"], f"{shape['channels']} channels")
    return f"a picture of {shape['height']} × {shape['width']} pixels, {colours}, {shape.get('pixels', '0..255')}"


def _step(step: Sequence[Any]) -> str:
    parameters = step[1] if len(step) > 1 else {}
    inside = ", ".join(f"{name} {value}" for name, value in parameters.items())
    return f"{step[0]} ({inside})" if inside else str(step[0])


def _shortened(labels: Sequence[str]) -> str:
    more = len(labels) - LABELS_SHOWN
    return ", ".join(labels[:LABELS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _accuracy(accuracy: Mapping[str, Any]) -> Iterator[str]:
    if "keras_test" in accuracy:
        correct, total = accuracy["keras_test"]["correct"], accuracy["keras_test"]["total"]
        low, high = wilson_interval(correct, total)
        interval = f"95 % interval {100 * low:.2f} to {100 * high:.2f} %"
        yield f"{100 * correct / total:.2f} % of {total:,} test pictures as the Keras model ({interval})"
    if "validation_agreement" in accuracy:
        agreement = accuracy["validation_agreement"]
        yield f"answers {agreement['agree']:,} of {agreement['total']:,} validation pictures as the Keras model does"


def _needs(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("min_runtime"):
        yield f"a TFLite runtime of {document['min_runtime']} or newer (`convert check` knows the devices)"
    session = document.get("session") or {}
    for setting, values in session.items():
        yield f"a session with {setting} = {', '.join(values)}: for speed, applied by classify.py and the bench"


def _float_layers(layers: Sequence[str]) -> Iterator[str]:
    if layers:
        yield f"left in float: {', '.join(layers)}"


def _proof(document: Mapping[str, Any]) -> Iterator[str]:
    golden, tolerance = document.get("golden", []), document.get("golden_tolerance", {})
    if golden:
        made_with = f"{tolerance.get('runtime')} {tolerance.get('runtime_version')}"
        yield f"{len(golden)} golden pictures, scores within {tolerance.get('scores')}, made with {made_with} (--self-test)"
    if "model_sha256" in document:
        yield f"the model's own bytes: SHA-256 {document['model_sha256']}"


def _provenance(provenance: Mapping[str, Any]) -> Iterator[str]:
    how = [f"{name} {provenance[name]}" for name in ("recipe", "seed", "weights") if provenance.get(name) is not None]
    if how:
        yield "by " + ", ".join(how)
    if provenance.get("dataset"):
        dataset, counts = provenance["dataset"], provenance.get("dataset_count", {})
        parts = ", ".join(f"{part} {count:,}" for part, count in counts.items())
        yield f"from {dataset.get('path') or dataset.get('name')}: {parts}"
    if "calibration" in provenance:
        calibration = provenance["calibration"]
        sha256 = calibration["sha256"][:HASH_SHOWN]
        yield f"calibrated with {calibration['count']:,} training pictures, seed {calibration['seed']}, SHA-256 {sha256}…"
    if "source_sha256" in provenance:
        yield f"from the Keras file with SHA-256 {provenance['source_sha256'][:HASH_SHOWN]}…"
    if "tools" in provenance:
        yield "with " + ", ".join(f"{tool} {version}" for tool, version in provenance["tools"].items())
