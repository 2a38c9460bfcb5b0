"""The quantization doctor's checks: pure functions from what was measured to findings. None is the healthy answer."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convert.paired import Paired, Verdict
from convert.ranges import InputScale, largest_change
from convert.variant import QUANTIZED_AGREEMENT, Variant
from convert.verify import FULL_SAMPLE, Agreement, agrees
from device.classify import Step, wilson_interval

CARD_FIELDS = ("count", "classes", "seed", "sha256")
SAME_RANGES = 0.25  # relative; a quantizer run again on the same pictures gives the same ranges to the last digits
LOST_BIT = 0.5  # relative: half of the range is one of the eight bits
REMAKE = "run `python -m convert run` again"


@dataclass(frozen=True)
class Finding:
    """Something that a healthy model does not have: what was found, what was expected, what to do."""

    name: str  # stable, for programs
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
    """Find an artifact that prepares pictures otherwise than training did."""
    found, expected = ([step.to_json() for step in steps] for steps in (artifact, training))
    if found == expected:
        return []
    return [Finding("preprocess", "error", f"its card prepares pictures by {found}", f"{expected}, as in training", REMAKE)]


def check_manifest(card: object, now: Mapping[str, Any]) -> list[Finding]:
    """Find calibration pictures, as the card tells of them, that are not those that the training part gives now."""
    if not isinstance(card, Mapping):
        return [Finding("manifest", "error", "its card does not say what it was calibrated with", f"{now}", REMAKE)]
    differing = [field for field in CARD_FIELDS if card.get(field) != now[field]]
    if not differing:
        return []
    found, expected = (", ".join(f"{field} {_short(of.get(field))}" for field in differing) for of in (card, now))
    todo = f"{REMAKE}; if it stays, the calibration code does not take what it should"
    return [Finding("manifest", "error", f"calibrated with {found}", f"{expected}, from the training part", todo)]


def _short(value: object) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) > 12 else str(value)


def check_classes(classes: Sequence[int], labels: Sequence[str]) -> list[Finding]:
    """Find calibration pictures that leave classes out: (classes,) counts, which may end early."""
    counts = dict(zip(labels, [*classes, *[0] * len(labels)], strict=False))
    missing = [label for label, count in counts.items() if count == 0]
    if not missing or sum(counts.values()) < len(labels):  # fewer pictures than classes cannot show all
        return []
    present = len(labels) - len(missing)
    only = f"only of class {next(label for label in labels if counts[label])!r}" if present == 1 else f"of {present} classes"
    found = f"the calibration pictures are {only}, without {', '.join(missing[:5])}{'…' if len(missing) > 5 else ''}"
    todo = "calibrate with pictures of every class: ranges of unseen classes are cut off"
    return [Finding("classes", "error" if present == 1 else "warning", found, f"all {len(labels)} classes", todo)]


def picture_hash(pixels: npt.NDArray[Any]) -> bytes:
    """Return a digest of one prepared picture (H, W, C)."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest()


def check_leak(calibration: Iterable[npt.NDArray[Any]], part: str, part_hashes: Collection[bytes]) -> list[Finding]:
    """Find calibration pictures (H, W, C) that are bit for bit among those of the validation or test part."""
    shared = sum(picture_hash(picture) in part_hashes for picture in calibration)
    if not shared:
        return []
    found = f"{shared} calibration pictures are bit-identical to pictures of the {part} part"
    todo = f"take them out of one of both: accuracy on the {part} part is no longer that on unseen pictures"
    return [Finding(f"leak-{part}", "error", found, "none", todo)]


def check_source_part(card: object, others: Mapping[str, str]) -> list[Finding]:
    """Find an artifact whose calibration hash is that of the same choice from another part: {part: hash}."""
    digest = card.get("sha256") if isinstance(card, Mapping) else None
    found = [part for part, other in others.items() if other == digest]
    todo = f"{REMAKE} from training pictures: its accuracy on the {'/'.join(found)} part is not that on unseen pictures"
    told = f"its calibration pictures are those that the {'/'.join(found)} part gives"
    return [Finding(f"leak-{found[0]}", "error", told, "pictures of the training part", todo)] if found else []


def check_values(calibration: npt.NDArray[Any], training: npt.NDArray[Any]) -> list[Finding]:
    """Find calibration tensors whose values span another range than training's, both (N, H, W, C)."""
    (low, high), (least, most) = ((float(of.min()), float(of.max())) for of in (calibration, training))
    span = most - least
    if abs(low - least) <= SAME_RANGES * span and abs(high - most) <= SAME_RANGES * span:
        return []
    found, expected = f"calibration values lie in {low:g}..{high:g}", f"{least:g}..{most:g}, as in training"
    todo = "calibrate with pixels as `prepare` gives them: scaling is the graph's own first layer"
    return [Finding("scaling", "error", found, expected, todo)]


def check_input_scale(found: InputScale | None, most: float) -> list[Finding]:
    """Find a quantized input that does not hold pixels 0..`most` one to one. None: the input is not quantized."""
    if found is None:
        return []
    low, high = found.limits
    if low >= -SAME_RANGES * most and most * (1 - SAME_RANGES) <= high <= 255 * (1 + SAME_RANGES):
        return []
    told = f"its input has scale {found.scale:.6g} and zero point {found.zero_point}: it holds {low:.4g}..{high:.4g}"
    todo = f"it was calibrated with pixels of another scale: {REMAKE} with pixels 0..255"
    return [Finding("scaling", "error", told, "scale 1 and zero point 0: pixels 0..255", todo)]


def check_ranges(found: Mapping[str, float], expected: Mapping[str, float]) -> list[Finding]:
    """Find an artifact whose activation scales are not those that the training pictures give, by tensor."""
    change = largest_change(found, expected)
    if change is None or change.relative <= SAME_RANGES:
        return []
    told = f"tensor {change.tensor} has scale {change.first:.4g}"
    severity: Literal["error", "warning"] = "error" if change.relative > LOST_BIT else "warning"
    return [Finding("ranges", severity, told, f"{change.second:.4g}, as calibrated with training pictures", REMAKE)]


def check_collapse(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], labels: Sequence[str]) -> list[Finding]:
    """Find a model that answers (nearly) one class, from answers and labels (N,).

    Collapsed is one that is over halfway from the class's true share to all, by the whole 95 % interval.
    """
    counts = np.bincount(answers, minlength=len(labels))
    top = int(counts.argmax())
    true_share = float((truth == top).mean())
    if wilson_interval(int(counts[top]), len(answers))[0] <= (1 + true_share) / 2:
        return []
    found = f"{counts[top]} of {len(answers)} validation pictures are answered {labels[top]!r}"
    todo = "where the float model answers well, look at the findings on calibration and at the worst layer"
    return [Finding("collapse", "error", found, f"about {true_share:.0%}, as many as there are", todo)]


def check_accuracy(paired: Paired, max_drop: float) -> list[Finding]:
    """Find a drop against float that is beyond `max_drop` by its whole 95 % interval."""
    if paired.verdict(max_drop) is not Verdict.EXCEEDS:
        return []
    low, high = (100 * border for border in paired.interval())
    found = f"{100 * paired.drop:.2f} points less accurate than float (95 % interval {low:.2f} to {high:.2f})"
    todo = "leave the worst layers in float: `python -m convert doctor MODEL --fix`"
    return [Finding("accuracy", "error", found, f"at most {100 * max_drop:g}", todo)]


def check_agreement(variant: Variant, with_float: Agreement) -> list[Finding]:
    """Find an artifact that answers otherwise than float more often than its variant allows: right or wrong."""
    if agrees(variant, with_float):
        return []
    found = f"{with_float.agree} of {with_float.total} validation pictures are answered as in float"
    todo = "leave the worst layers in float (`--fix`), or train longer: close scores change sides at a step of int8"
    return [Finding("agreement", "error", found, f"at least {variant.min_agreement:.0%}, as {variant.key} promises", todo)]


def check_stability(
    agreement: Agreement, with_float: Agreement, first: Mapping[str, float], second: Mapping[str, float]
) -> list[Finding]:
    """Find calibration that depends on which pictures it sees: two models, each calibrated with one half.

    Ranges by minimum and maximum always differ somewhat; what counts is that one of eight bits is lost, or that answers
    differ: by the whole 95 % interval, and more than int8 and float do, for which calibration is not to blame.
    """
    findings = []
    todo = "calibrate with more pictures (CALIBRATION_COUNT in convert/calibrate.py)"
    sure = agreement.share if agreement.total >= FULL_SAMPLE else wilson_interval(agreement.agree, agreement.total)[1]
    expected = min(QUANTIZED_AGREEMENT, with_float.share)
    if sure < expected:
        found = f"models calibrated with each half agree on {agreement.agree} of {agreement.total} validation pictures"
        findings.append(Finding("stability", "warning", found, f"at least {expected:.1%}", todo))
    change = largest_change(first, second)
    if change is not None and change.relative > LOST_BIT:
        found = f"tensor {change.tensor} has scale {change.first:.4g} from one half and {change.second:.4g} from the other"
        findings.append(Finding("stability", "warning", found, "less than a factor of two between them", todo))
    return findings
