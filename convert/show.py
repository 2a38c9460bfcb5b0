"""A card as text, for `edgeproof convert show`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.advice import command
from common.files import sha256_of
from convert.variants import variant_of
from device.card import Card
from device.errors import CardError
from device.formats.model_file import model_size_bytes
from device.safe_text import printable
from device.scoring import wilson_interval

LABELS_SHOWN = 12
HASH_SHOWN = 12  # digits: enough to see that two files differ; --json prints all


def how_to_get_a_card(path: Path) -> str:
    """Say how a file without a card gets one: a `.tflite` is converted already, so it is used as it is."""
    if path.suffix.lower() == ".tflite":
        return f"`{command('convert', 'card', path)}` adds one and changes nothing else"
    return f"`{command('convert', 'inspect', path)}` says what it is and what `convert run` needs to convert it"


def card_text(path: Path, file_format: str, card: Card) -> str:
    """Return a file's card as text, one line for each subject. A field that the card does not have gets no line.

    Raises CardError if a field of the card has the wrong form.
    """
    try:
        lines = list(_lines(path, file_format, card))
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise CardError(
            f"{path}: a field of its card is damaged ({error!r}): --json shows the whole card; convert the model again"
        ) from error
    shown: list[str] = []
    for number, (subject, text) in enumerate(lines):
        heading = "" if number and lines[number - 1][0] == subject else subject
        shown.append(f"{heading:<9} {printable(text)}")
    return "\n".join(shown)


def _lines(path: Path, file_format: str, card: Card) -> Iterator[tuple[str, str]]:
    """Yield the subject and the text of each line."""
    document = card.document
    yield from [
        ("file", f"{path}, {model_size_bytes(path) / 1000:,.0f} kB, SHA-256 {sha256_of(path)}"),
        ("model", f"{card.model}, variant {card.variant}{_good_for(card.variant, file_format)}"),
        ("takes", _input(document["input"])),
        ("steps", ", then ".join(_step(step) for step in document["preprocess"]) or "none"),
        ("answers", f"{len(card.labels)} labels: {_shortened(card.labels)}"),
        *(("accuracy", line) for line in _accuracy(document.get("accuracy", {}), _source(document))),
        *(("unsure", line) for line in _unsure(card)),
        *(("needs", line) for line in _needs(document)),
        *(("float", line) for line in _float_layers(document.get("float_layers", []))),
        *(("biases", line) for line in _bias_correction(document.get("bias_correction", {}))),
        *(("proof", line) for line in _proof(document)),
        *(("made", line) for line in _provenance(document.get("provenance") or {}, _source(document))),
    ]


def _good_for(variant: str, file_format: str) -> str:
    row = variant_of(variant, file_format)
    return "" if row is None else f": {row.promise}; good for {row.good_for}"


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


def _source(document: Mapping[str, Any]) -> str:
    """Return the kind of model that an artifact was made from, as text."""
    imported = (document.get("provenance") or {}).get("source") or {}
    return "ONNX" if imported.get("format") == "onnx_file" else "Keras"


def _accuracy(accuracy: Mapping[str, Any], source: str) -> Iterator[str]:
    if "keras_test" in accuracy:
        correct, total = accuracy["keras_test"]["correct"], accuracy["keras_test"]["total"]
        low, high = wilson_interval(correct, total)
        interval = f"95 % interval {100 * low:.2f} to {100 * high:.2f} %"
        yield f"{100 * correct / total:.2f} % of {total:,} test pictures as the {source} model ({interval})"
    if "validation_agreement" in accuracy:
        agreement = accuracy["validation_agreement"]
        share = f"{agreement['agree']:,} of {agreement['total']:,} validation pictures"
        yield f"gives the same answer as the {source} model on {share}"


def _unsure(card: Card) -> Iterator[str]:
    if card.min_score:
        yield f"an answer with a score below {card.min_score:g} (--min-score changes it)"


def _needs(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("min_runtime"):
        yield f"a TFLite runtime of {document['min_runtime']} or newer (`convert check` lists the devices)"
    session = document.get("session") or {}
    for setting, values in session.items():
        why = "for speed, or against a crash"
        yield f"a session with {setting} = {', '.join(values)}, as classify.py and `bench run` open it: {why}"


def _bias_correction(correction: Mapping[str, Any]) -> Iterator[str]:
    """Say what bias correction changed, or why it was not done."""
    if "reason" in correction:
        yield f"not corrected: {correction['reason']}"
    elif correction:
        before, after = correction["otherwise_before"], correction["otherwise_after"]
        done = f"corrected in {correction['layers']} layers" if correction["kept"] else "correction not kept"
        of = f"{correction['validation_pictures']:,} validation pictures"
        yield f"{done}: {before:,} of {of} answered differently from float without it, {after:,} with it"


def _float_layers(layers: Sequence[str]) -> Iterator[str]:
    if layers:
        yield f"left in float: {', '.join(layers)}"


def _proof(document: Mapping[str, Any]) -> Iterator[str]:
    golden, tolerance = document.get("golden", []), document.get("golden_tolerance", {})
    if golden:
        made_with = f"{tolerance.get('runtime')} {tolerance.get('runtime_version')}"
        yield f"{len(golden)} golden pictures, scores within {tolerance.get('scores')}, made with {made_with} (--self-test)"
    if "model_sha256" in document:
        yield f"the model without its card: SHA-256 {document['model_sha256']}"


def _provenance(provenance: Mapping[str, Any], source: str) -> Iterator[str]:
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
        yield f"from the {source} file with SHA-256 {provenance['source_sha256'][:HASH_SHOWN]}…"
    imported = provenance.get("source") or {}
    if "file" in imported:
        sha256 = f"SHA-256 {imported['sha256'][:HASH_SHOWN]}…"
        yield f"imported from {imported['file']}, {sha256}{_checked(imported.get('checked'))}"
    if "tools" in provenance:
        yield "with " + ", ".join(f"{tool} {version}" for tool, version in provenance["tools"].items())


def _checked(checked: Mapping[str, Any] | None) -> str:
    """Say how closely the imported model answered as the original file did."""
    if not checked:
        return ""
    same = f"{checked['agree']} of {checked['pictures']} pictures"
    return f", answered {same} as {checked['framework']} does, scores to {checked['worst']:.1g}"
