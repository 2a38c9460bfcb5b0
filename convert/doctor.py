"""The quantization doctor: measures a model's quantization and artifact, and hands the figures to the checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert import calibrate, checks
from convert.checks import Finding
from convert.layer_error import LayerError, worst_first
from convert.paired import Paired
from convert.patient import UNDECIDED, Patient, Sample, answers, answers_of, calibrated, scales_of
from convert.ranges import halves, largest_change, read_ranges
from convert.run import TrainedModel
from convert.variant import Variant, find_variants
from convert.verify import QUANTIZED_MARGIN, Agreement
from device.classify import Card, EdgeproofError, read_card
from train.data import Split

MAX_DROP = 0.001  # of accuracy against float, as a fraction of one
LAYER_PICTURES = 50  # each gives a layer thousands of values: its figures stand still long before


@dataclass(frozen=True)
class Examination:
    """What was found of one artifact, or, with `written` false, of the one that would be written now."""

    variant: Variant
    path: Path
    written: bool
    layers: Sequence[LayerError]  # worst first
    findings: Sequence[Finding]
    notes: Sequence[str]


@dataclass(frozen=True)
class Diagnosis:
    """What was found of the calibration pictures, which all variants share, and of each artifact."""

    calibration_findings: Sequence[Finding]
    calibration_notes: Sequence[str]
    examinations: Sequence[Examination]

    @property
    def findings(self) -> list[Finding]:
        return [*self.calibration_findings, *(finding for one in self.examinations for finding in one.findings)]


def quantized_variants(name: str) -> tuple[Variant, ...]:
    """Return the variants that the doctor treats. Raises EdgeproofError for one that calibration does not make."""
    chosen = find_variants([name])
    if any(variant.name != "int8" for variant in chosen):
        raise EdgeproofError(
            f"--variant {name}: the doctor examines int8, int8.tflite and int8.onnx: nothing else is calibrated"
        )
    return chosen


def diagnose(
    patient: Patient, variants: Sequence[Variant], max_drop: float = MAX_DROP, say: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Examine the calibration pictures and each variant's artifact. Raises EdgeproofError for unusable files."""
    say("calibration pictures …")
    findings, notes = examine_calibration(patient.trained)
    examinations = []
    for variant in variants:
        say(f"{variant.key} …")
        examinations.append(examine(patient, variant, max_drop))
    return Diagnosis(findings, notes, examinations)


def examine_calibration(trained: TrainedModel) -> tuple[list[Finding], list[str]]:
    """Check the pictures that a conversion would calibrate with now."""
    calibration, dataset = trained.calibration, trained.dataset
    told = calibration.to_json()
    training = calibrate.choose(dataset.train, trained.steps, seed=calibration.seed + 1)
    findings = checks.check_classes(told["classes"], dataset.labels) if dataset.train.labelled else []
    findings += checks.check_values(calibration.pixels, training.pixels)
    parts = {"validation": dataset.val} | ({} if dataset.test is dataset.val else {"test": dataset.test})
    for part, split in parts.items():
        findings += checks.check_leak(calibration.pixels, part, part_hashes(trained, split))
    balance = "without labels"
    if dataset.train.labelled:
        least, most = min(told["classes"]), max(told["classes"])
        balance = f"{least if least == most else f'{least} to {most}'} of each class"
    compared = "compared with " + " and ".join(f"{len(split):,} {part} pictures" for part, split in parts.items())
    return findings, [
        f"{told['count']} pictures, {balance}, seed {told['seed']}, SHA-256 {told['sha256'][:12]}…; {compared}"
    ]


def part_hashes(trained: TrainedModel, split: Split) -> set[bytes]:
    """Return the digests of a part's prepared pictures, one at a time: they need not fit into memory."""
    return {checks.picture_hash(split.prepare(index, trained.steps)) for index in range(len(split))}


def examine(patient: Patient, variant: Variant, max_drop: float = MAX_DROP) -> Examination:
    """Examine a variant's artifact; where there is none, the one that would be written now."""
    trained = patient.trained
    path = trained.folder / f"{trained.name}.{variant.key}"
    quantizer = patient.quantizer(variant)
    now = quantizer.quantized()
    findings: list[Finding] = []
    if path.is_file():
        card = read_card(path)
        if card is None:
            raise EdgeproofError(f"{path}: has no card: convert it again with `python -m convert run`")
        findings += examine_card(trained, card)
        ranges = read_ranges(path)
        findings += checks.check_input_scale(ranges.input, float(patient.sample.pixels.max()))
        findings += checks.check_ranges(ranges.scales, scales_of(now, variant))
        found = answers(path, card, patient.sample.pixels)
    else:
        found = answers_of(now, trained, variant, patient.sample.pixels)
    compared, notes = _compare_answers(patient, variant, found, max_drop)
    findings += compared
    layers = worst_first(quantizer.layer_errors(patient.sample.pixels[:LAYER_PICTURES], patient.names))
    return Examination(variant, path, path.is_file(), layers, findings, notes)


def _compare_answers(
    patient: Patient, variant: Variant, found: npt.NDArray[np.int64], max_drop: float
) -> tuple[list[Finding], list[str]]:
    """Hold an artifact's answers to the sample (N,) against Keras's and the truth."""
    sample = patient.sample
    if not sample.counts.any():
        return [], [f"{UNDECIDED.format(len(found))}: answers are not compared, they change at any rounding"]
    with_float = sample.agreement(found)
    findings = checks.check_agreement(variant, with_float)
    unstable, notes = _examine_stability(patient, variant, with_float)
    if not sample.counts.all():
        told = f"{with_float.total} of {len(found)} pictures count, those that Keras decides by {QUANTIZED_MARGIN:g}"
        notes.insert(0, f"for answers that are the same {told}")
    findings += unstable
    findings += checks.check_collapse(found, sample.truth, patient.trained.card.labels)
    paired = sample.paired(found)
    findings += checks.check_accuracy(paired, max_drop)
    notes.append(describe_accuracy(sample, found, paired))
    return findings, notes


def examine_card(trained: TrainedModel, card: Card) -> list[Finding]:
    """Hold what an artifact's card says of its making against what the model and data set say now."""
    provenance = card.document.get("provenance", {})
    told, now = provenance.get("calibration"), trained.calibration.to_json()
    findings = checks.check_source(provenance.get("source_sha256"), trained.common["provenance"]["source_sha256"])
    findings += checks.check_preprocess(card.preprocess, trained.steps)
    findings += checks.check_manifest(told, now)
    if isinstance(told, Mapping):
        if trained.dataset.train.labelled:
            findings += checks.check_classes(told.get("classes", now["classes"]), trained.card.labels)
        if told.get("sha256") != now["sha256"]:
            findings += checks.check_source_part(told, _hashes_of_other_parts(trained, told))
    return findings


def _hashes_of_other_parts(trained: TrainedModel, told: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash that the same choice would have from the validation and the test part."""
    count, seed = (value if isinstance(value := told.get(name), int) else 0 for name in ("count", "seed"))
    parts = {"validation": trained.dataset.val, "test": trained.dataset.test}
    return {part: calibrate.choose(split, trained.steps, count, seed).to_json()["sha256"] for part, split in parts.items()}


def _examine_stability(patient: Patient, variant: Variant, with_float: Agreement) -> tuple[list[Finding], list[str]]:
    """Calibrate with each half of the pictures and compare; `with_float` is how the model calibrated with all agrees."""
    trained = patient.trained
    models = [calibrated(trained, variant, half).quantized() for half in halves(trained.calibration)]
    first, second = (scales_of(model, variant) for model in models)
    one, other = (answers_of(model, trained, variant, patient.sample.pixels) for model in models)
    agreement = patient.sample.agreement(one, other)
    change = largest_change(first, second)
    widest = ""
    if change:
        widest = f"; a range differs by up to {change.relative:.0%} ({patient.names.readable(change.tensor, heavy=True)})"
    note = f"calibrated with each half: {agreement.agree} of {agreement.total} pictures answered alike{widest}"
    return checks.check_stability(agreement, with_float, first, second), [note]


def describe_accuracy(sample: Sample, found: npt.NDArray[np.int64], paired: Paired) -> str:
    """Return one line on the accuracy against float."""
    low, high = paired.interval()
    if not sample.labelled:
        agreement = sample.agreement(found)
        return (
            f"validation, without labels: int8 answers {agreement.agree} of {agreement.total} decided pictures as float does"
        )
    right = [int((of == sample.truth).sum()) for of in (sample.keras, found)]
    drop = f"a drop of {100 * paired.drop:.2f} points (95 % interval {100 * low:.2f} to {100 * high:.2f})"
    return f"validation: float answers {right[0]} of {len(found)} rightly, int8 {right[1]}: {drop}"
