"""The quantization doctor's checks: pure functions from measurements to findings. A healthy model has no finding."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from common.interval import of_share
from common.paired_accuracy import Paired
from common.verdict import Verdict, judge
from convert.doctor.ranges import InputScale, largest_change
from convert.variants import QUANTIZED, Variant
from convert.verification.verify import Agreement, agrees, judged_share
from device.card import Step

CARD_FIELDS = ("count", "classes", "seed", "sha256")
SAME_RANGES = 0.25  # relative; a second quantization with the same pictures gives nearly equal ranges
LOST_BIT = 0.5  # relative: half of the range is one of eight bits
REMAKE = "run `edgeproof convert run` again"


@dataclass(frozen=True)
class Finding:
    """A problem of a model: what was found, what was expected, what to do."""

    name: str  # does not change, so that programs can use it
    severity: Literal["error", "warning"]
    found: str
    expected: str
    todo: str


def check_source(card_sha256: object, keras_sha256: str) -> list[Finding]:
    """Find an artifact that was made from another training run."""
    if card_sha256 == keras_sha256:
        return []
    found, expected = (
        f"it was made from a model with SHA-256 {str(card_sha256)[:12]}…",
        f"{keras_sha256[:12]}…, this model's",
    )
    return [Finding("source", "error", found, expected, REMAKE)]


def check_preprocess(artifact: Sequence[Step], training: Sequence[Step]) -> list[Finding]:
    """Find an artifact that prepares pictures differently from training."""
    found, expected = ([step.to_json() for step in steps] for steps in (artifact, training))
    if found == expected:
        return []
    return [Finding("preprocess", "error", f"its card prepares pictures by {found}", f"{expected}, as in training", REMAKE)]


def check_manifest(card: object, now: Mapping[str, Any]) -> list[Finding]:
    """Find a card that names other calibration pictures than those that the training part gives now."""
    if not isinstance(card, Mapping):
        return [Finding("manifest", "error", "its card does not say what it was calibrated with", f"{now}", REMAKE)]
    differing = [field for field in CARD_FIELDS if card.get(field) != now[field]]
    if not differing:
        return []
    found, expected = (", ".join(f"{field} {_short(of.get(field))}" for field in differing) for of in (card, now))
    todo = f"{REMAKE}; if the finding stays, the calibration code chooses the wrong pictures"
    return [Finding("manifest", "error", f"calibrated with {found}", f"{expected}, from the training part", todo)]


def _short(value: object) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) > 12 else str(value)


def check_classes(classes: Sequence[int], labels: Sequence[str]) -> list[Finding]:
    """Find calibration pictures without some classes, given the number of pictures of each class; absent numbers are 0."""
    counts = dict(zip(labels, [*classes, *[0] * len(labels)], strict=False))
    missing = [label for label, count in counts.items() if count == 0]
    if not missing or sum(counts.values()) < len(labels):  # fewer pictures than classes cannot cover all
        return []
    present = len(labels) - len(missing)
    only = f"only of class {next(label for label in labels if counts[label])!r}" if present == 1 else f"of {present} classes"
    found = f"the calibration pictures are {only}, without {', '.join(missing[:5])}{'…' if len(missing) > 5 else ''}"
    todo = "calibrate with pictures of every class: values of other classes are clipped"
    return [Finding("classes", "error" if present == 1 else "warning", found, f"all {len(labels)} classes", todo)]


def picture_hash(pixels: npt.NDArray[Any]) -> bytes:
    """Return a digest of one prepared picture (H, W, C)."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest()


def check_leak(calibration: Iterable[npt.NDArray[Any]], part: str, part_hashes: Collection[bytes]) -> list[Finding]:
    """Find calibration pictures (H, W, C) that are identical to pictures of the validation or test part."""
    shared = sum(picture_hash(picture) in part_hashes for picture in calibration)
    if not shared:
        return []
    found = f"{shared} calibration pictures are bit-identical to pictures of the {part} part"
    todo = f"remove them from one of the two: the accuracy on the {part} part is no longer that on unseen pictures"
    return [Finding(f"leak-{part}", "error", found, "none", todo)]


def check_source_part(card: object, others: Mapping[str, str]) -> list[Finding]:
    """Find an artifact that was calibrated with another part, given {part: hash} of the other parts."""
    digest = card.get("sha256") if isinstance(card, Mapping) else None
    found = [part for part, other in others.items() if other == digest]
    todo = f"{REMAKE} from training pictures: its accuracy on the {'/'.join(found)} part means nothing"
    text = f"its calibration pictures are from the {'/'.join(found)} part"
    return [Finding(f"leak-{found[0]}", "error", text, "pictures of the training part", todo)] if found else []


def check_values(calibration: npt.NDArray[Any], training: npt.NDArray[Any]) -> list[Finding]:
    """Find calibration pictures with another range of values than the training pictures, both (N, H, W, C)."""
    (low, high), (least, most) = ((float(of.min()), float(of.max())) for of in (calibration, training))
    span = most - least
    if abs(low - least) <= SAME_RANGES * span and abs(high - most) <= SAME_RANGES * span:
        return []
    found, expected = f"calibration values are in {low:g}..{high:g}", f"{least:g}..{most:g}, as in training"
    todo = "calibrate with pixels as `prepare` gives them: scaling is the graph's own first layer"
    return [Finding("scaling", "error", found, expected, todo)]


def check_input_scale(found: InputScale | None, most: float) -> list[Finding]:
    """Find a quantized input that does not take the pixels 0..`most` as they are. None: the input is not quantized."""
    if found is None:
        return []
    low, high = found.limits
    if low >= -SAME_RANGES * most and most * (1 - SAME_RANGES) <= high <= 255 * (1 + SAME_RANGES):
        return []
    text = f"its input has scale {found.scale:.6g} and zero point {found.zero_point}: it holds {low:.4g}..{high:.4g}"
    todo = f"it was calibrated with pixels of another scale: {REMAKE} with pixels 0..255"
    return [Finding("scaling", "error", text, "scale 1 and zero point 0: pixels 0..255", todo)]


def check_ranges(found: Mapping[str, float], expected: Mapping[str, float]) -> list[Finding]:
    """Find an artifact whose activation scales, by tensor, differ from those that the training pictures give."""
    change = largest_change(found, expected)
    if change is None or change.relative <= SAME_RANGES:
        return []
    text = f"tensor {change.tensor} has scale {change.first:.4g}"
    severity: Literal["error", "warning"] = "error" if change.relative > LOST_BIT else "warning"
    return [Finding("ranges", severity, text, f"{change.second:.4g}, as calibrated with training pictures", REMAKE)]


def check_collapse(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], labels: Sequence[str]) -> list[Finding]:
    """Find a model that answers nearly always the same class, given answers and labels (N,).

    That is: the whole interval of the class's share of the answers is above the middle between its true share and 1.
    """
    counts = np.bincount(answers, minlength=len(labels))
    top = int(counts.argmax())
    true_share = float((truth == top).mean())
    if judge(of_share(int(counts[top]), len(answers)), (1 + true_share) / 2, at_most=True) is not Verdict.FAIL:
        return []
    found = f"{counts[top]} of {len(answers)} validation pictures are answered {labels[top]!r}"
    todo = "if the float model answers well, look at the findings about calibration and at the worst layer"
    return [Finding("collapse", "error", found, f"about {true_share:.0%}, the share of that class", todo)]


def check_accuracy(paired: Paired, max_drop: float) -> list[Finding]:
    """Find a drop of accuracy against float whose whole 99 % interval is above `max_drop`."""
    if paired.verdict(max_drop) is not Verdict.FAIL:
        return []
    found = f"{100 * paired.drop:.2f} points less accurate than float ({interval_text(paired)})"
    todo = "leave the worst layers in float: `edgeproof convert doctor MODEL --fix`"
    return [Finding("accuracy", "error", found, f"at most {100 * max_drop:g}", todo)]


def interval_text(paired: Paired) -> str:
    """Return the 99 % interval of a drop as text, in points."""
    judged = paired.judged_drop().scaled(100)
    return f"99 % interval {judged.low:.2f} to {judged.high:.2f}"


def check_agreement(variant: Variant, with_float: Agreement) -> list[Finding]:
    """Find an artifact that answers differently from float, rightly or wrongly, more often than its variant allows."""
    if agrees(variant, with_float):
        return []
    found = f"{with_float.agree} of {with_float.total} validation pictures are answered as float answers them"
    todo = (
        "leave the worst layers in float (`--fix`), or train longer: if two scores are close, one step of int8 may swap them"
    )
    return [Finding("agreement", "error", found, f"at least {variant.min_agreement:.0%}, as {variant.key} promises", todo)]


def check_correction(recorded: bool, before: Agreement, after: Agreement) -> list[Finding]:
    """Find an artifact that bias correction would improve. `recorded`: the card has the field, so it was tried already."""
    if recorded or after.differing >= before.differing:
        return []
    found = f"its biases are not corrected: {before.differing:,} of {before.total:,} answered differently from float"
    return [Finding("bias-correction", "warning", found, f"{after.differing:,} with bias correction", REMAKE)]


def check_stability(
    agreement: Agreement, with_float: Agreement, first: Mapping[str, float], second: Mapping[str, float]
) -> list[Finding]:
    """Find calibration that depends on the choice of pictures, from two models that are each calibrated with one half.

    Ranges by minimum and maximum always differ a little. There is a finding if a range loses one of eight bits. There is
    also one if the whole 99 % interval of the agreement of the two models is below the promise and below the agreement of
    int8 with float.
    """
    findings = []
    todo = "calibrate with more pictures (CALIBRATION_COUNT in convert/calibration.py)"
    expected = min(QUANTIZED.min_agreement, with_float.share)
    if judge(judged_share(agreement), expected, at_most=False) is Verdict.FAIL:
        found = f"models calibrated with each half agree on {agreement.agree} of {agreement.total} validation pictures"
        findings.append(Finding("stability", "warning", found, f"at least {expected:.1%}", todo))
    change = largest_change(first, second)
    if change is not None and change.relative > LOST_BIT:
        found = f"tensor {change.tensor} has scale {change.first:.4g} from one half and {change.second:.4g} from the other"
        findings.append(Finding("stability", "warning", found, "less than a factor of two between them", todo))
    return findings
