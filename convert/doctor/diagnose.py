"""The quantization doctor: measures a model's quantization and artifact, and passes the figures to the checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.paired_accuracy import Paired
from convert import calibration as calibrate
from convert.bias_correction.arithmetic import Uncorrectable
from convert.bias_correction.choice import correct, reason_for_none
from convert.doctor import checks
from convert.doctor.checks import Finding
from convert.doctor.examined_model import UNDECIDED, ExaminedModel, Sample, answers, answers_of, calibrated, scales_of
from convert.doctor.layer_error import LayerError, Quantized, worst_first
from convert.doctor.ranges import halves, largest_change, read_ranges
from convert.trained_model import TrainedModel
from convert.variants import QUANTIZED, Variant, find_variants
from convert.verification.verify import Agreement
from device.card import Card
from device.errors import EdgeproofError
from device.formats.model_file import read_card
from train.data.dataset import Split

LAYER_PICTURES = 50  # each gives thousands of values of a layer: fewer pictures would be enough for stable figures


@dataclass(frozen=True)
class Examination:
    """The findings about one artifact. With `written` false, it is the artifact that a conversion would write now."""

    variant: Variant
    path: Path
    written: bool
    layers: Sequence[LayerError]  # worst first
    findings: Sequence[Finding]
    notes: Sequence[str]


@dataclass(frozen=True)
class Diagnosis:
    """The findings about the calibration pictures, which all variants share, and about each artifact."""

    calibration_findings: Sequence[Finding]
    calibration_notes: Sequence[str]
    examinations: Sequence[Examination]

    @property
    def findings(self) -> list[Finding]:
        """Return all findings: those about the calibration pictures first, then each artifact's."""
        return [*self.calibration_findings, *(finding for one in self.examinations for finding in one.findings)]


def quantized_variants(name: str) -> tuple[Variant, ...]:
    """Return the variants that the doctor examines. Raises EdgeproofError for any other variant."""
    chosen = find_variants([name])
    if any(variant.name != "int8" for variant in chosen):
        raise EdgeproofError(f"--variant {name}: expected int8, int8.tflite or int8.onnx: the doctor examines nothing else")
    return chosen


def examine_calibration(trained: TrainedModel) -> tuple[list[Finding], list[str]]:
    """Check the pictures that a conversion would calibrate with now."""
    calibration, dataset = trained.calibration, trained.dataset
    drawn = calibration.to_json()
    training = calibrate.choose(dataset.train, trained.steps, seed=calibration.seed + 1)
    findings = checks.check_classes(drawn["classes"], dataset.labels) if dataset.train.labelled else []
    findings += checks.check_values(calibration.pixels, training.pixels)
    parts = {"validation": dataset.val} | ({} if dataset.test is dataset.val else {"test": dataset.test})
    for part, split in parts.items():
        findings += checks.check_leak(calibration.pixels, part, part_hashes(trained, split))
    balance = "without labels"
    if dataset.train.labelled:
        least, most = min(drawn["classes"]), max(drawn["classes"])
        balance = f"{least if least == most else f'{least} to {most}'} of each class"
    compared = "compared with " + " and ".join(f"{len(split):,} {part} pictures" for part, split in parts.items())
    return findings, [
        f"{drawn['count']} pictures, {balance}, seed {drawn['seed']}, SHA-256 {drawn['sha256'][:12]}…; {compared}"
    ]


def part_hashes(trained: TrainedModel, split: Split) -> set[bytes]:
    """Return the digests of a part's prepared pictures. One is prepared at a time: all of them may not fit into memory."""
    return {checks.picture_hash(split.prepare(index, trained.steps)) for index in range(len(split))}


def examine(examined: ExaminedModel, variant: Variant, max_drop: float) -> Examination:
    """Examine a variant's artifact; if there is none, the artifact that a conversion would write now."""
    trained = examined.trained
    path = trained.folder / f"{trained.name}.{variant.key}"
    quantizer = examined.quantizer(variant)
    plain = quantizer.quantized()
    correction = examine_correction(examined, variant, plain)
    findings: list[Finding] = []
    if path.is_file():
        card = read_card(path)
        if card is None:
            raise EdgeproofError(f"{path}: has no card: convert it again with `edgeproof convert run`")
        findings += examine_card(trained, card)
        findings += checks.check_correction("bias_correction" in card.document, correction.before, correction.after)
        ranges = read_ranges(path)
        findings += checks.check_input_scale(ranges.input, float(examined.sample.pixels.max()))
        findings += checks.check_ranges(ranges.scales, scales_of(plain, variant))
        found = answers(path, card, examined.sample.pixels)
    else:
        found = correction.answers
    compared, notes = _compare_answers(examined, variant, found, max_drop)
    findings += compared
    pixels = examined.sample.pixels[:LAYER_PICTURES]
    layers = worst_first(quantizer.layer_errors(pixels, examined.names, correction.data))
    return Examination(variant, path, path.is_file(), layers, findings, [correction.note, *notes])


@dataclass(frozen=True)
class ExaminedCorrection:
    """The corrected model, its effect on the sample, and the answers (N,) of what a conversion would write now."""

    data: bytes
    before: Agreement
    after: Agreement
    answers: npt.NDArray[np.int64]
    note: str


def examine_correction(examined: ExaminedModel, variant: Variant, plain: Quantized) -> ExaminedCorrection:
    """Correct a quantized model's biases, and answer the sample with and without the correction."""
    trained, sample = examined.trained, examined.sample
    without = answers_of(plain, trained, variant, sample.pixels)
    before = sample.agreement(without)
    try:
        correction = correct(trained, variant, plain.data, trained.calibration.pixels)
    except Uncorrectable as error:
        return ExaminedCorrection(plain.data, before, before, without, f"no bias correction: {error}")
    if not correction.layers:
        note = f"no bias correction: {reason_for_none(correction)}"
        return ExaminedCorrection(plain.data, before, before, without, note)
    corrected = answers_of(replace(plain, data=correction.data), trained, variant, sample.pixels)
    after = sample.agreement(corrected)
    note = (
        f"bias correction of {len(correction.layers)} layers: {before.differing:,} of {before.total:,} pictures answered "
        f"differently from float before, {after.differing:,} after"
    )
    answers_now = corrected if after.differing < before.differing else without
    return ExaminedCorrection(correction.data, before, after, answers_now, note)


def _compare_answers(
    examined: ExaminedModel, variant: Variant, found: npt.NDArray[np.int64], max_drop: float
) -> tuple[list[Finding], list[str]]:
    """Compare an artifact's answers to the sample (N,) with Keras's and with the truth."""
    sample = examined.sample
    by = examined.trained.reference
    if not sample.counts.any():
        return [], [f"{UNDECIDED.format(by, len(found))}: answers are not compared, because rounding changes them"]
    with_float = sample.agreement(found)
    findings = checks.check_agreement(variant, with_float)
    unstable, notes = _examine_stability(examined, variant, with_float)
    if not sample.counts.all():
        counted = f"{with_float.total} of {len(found)} pictures count: those that {by} decides by {QUANTIZED.margin:g}"
        notes.insert(0, f"for agreement, {counted}")
    findings += unstable
    findings += checks.check_collapse(found, sample.truth, examined.trained.card.labels)
    paired = sample.paired(found)
    findings += checks.check_accuracy(paired, max_drop)
    notes.append(describe_accuracy(sample, found, paired))
    return findings, notes


def examine_card(trained: TrainedModel, card: Card) -> list[Finding]:
    """Compare an artifact's card with the present model and data set."""
    provenance = card.provenance
    recorded, now = provenance.get("calibration"), trained.calibration.to_json()
    findings = checks.check_source(provenance.get("source_sha256"), trained.common["provenance"]["source_sha256"])
    findings += checks.check_preprocess(card.preprocess, trained.steps)
    findings += checks.check_manifest(recorded, now)
    if isinstance(recorded, Mapping):
        if trained.dataset.train.labelled:
            findings += checks.check_classes(recorded.get("classes", now["classes"]), trained.card.labels)
        if recorded.get("sha256") != now["sha256"]:
            findings += checks.check_source_part(recorded, _hashes_of_other_parts(trained, recorded))
    return findings


def _hashes_of_other_parts(trained: TrainedModel, recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of pictures chosen in the same way from the validation part and from the test part."""
    count, seed = (value if isinstance(value := recorded.get(name), int) else 0 for name in ("count", "seed"))
    parts = {"validation": trained.dataset.val, "test": trained.dataset.test}
    return {part: calibrate.choose(split, trained.steps, count, seed).to_json()["sha256"] for part, split in parts.items()}


def _examine_stability(examined: ExaminedModel, variant: Variant, with_float: Agreement) -> tuple[list[Finding], list[str]]:
    """Calibrate with each half of the pictures and compare; `with_float` is the agreement with all pictures."""
    trained = examined.trained
    models = [calibrated(trained, variant, half).quantized() for half in halves(trained.calibration)]
    first, second = (scales_of(model, variant) for model in models)
    one, other = (answers_of(model, trained, variant, examined.sample.pixels) for model in models)
    agreement = examined.sample.agreement(one, other)
    change = largest_change(first, second)
    widest = ""
    if change:
        widest = f"; a range differs by up to {change.relative:.0%} ({examined.names.readable(change.tensor, heavy=True)})"
    note = f"calibrated with each half: {agreement.agree} of {agreement.total} pictures have the same answer{widest}"
    return checks.check_stability(agreement, with_float, first, second), [note]


def describe_sample(pictures: int) -> str:
    """Return what a number of pictures can show: the smallest loss that they show, and the smallest that they exclude."""
    ruled_out = Paired(0, 0, pictures).judged_drop().high
    lost = next((count for count in range(1, pictures + 1) if Paired(count, 0, pictures).distinguishable), pictures)
    return (
        f"{pictures:,} validation pictures can show a loss of at least {lost} answers ({100 * lost / pictures:.2g} points), "
        f"and that int8 loses at most {100 * ruled_out:.2g} points if no answer changes"
    )


def describe_accuracy(sample: Sample, found: npt.NDArray[np.int64], paired: Paired) -> str:
    """Return a line about the accuracy against float."""
    if not sample.labelled:
        agreement = sample.agreement(found)
        return (
            f"validation, without labels: int8 answers {agreement.agree} of {agreement.total} decided pictures as float does"
        )
    right = [int((of == sample.truth).sum()) for of in (sample.keras, found)]
    drop = f"a drop of {100 * paired.drop:.2f} points ({checks.interval_text(paired)})"
    return f"validation: float answers {right[0]} of {len(found)} correctly, int8 {right[1]}: {drop}"
