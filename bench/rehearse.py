"""A rehearsal: an artifact on an emulated device against the same artifact here. Everything but the time."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.artifacts import Found, find_artifacts
from bench.emulated import NOT_A_LATENCY
from bench.emulated.device import EmulatedDevice, NotHere
from bench.instructions import Instructions
from bench.measurement import NS_PER_MS, Accuracy, Artifact, Measurement, Samples, Skipped, Startup, Subject
from bench.phases import Phases, Ran, Refused, run_emulated, run_here
from bench.runtimes import find_runtime, runtime_names
from device.classify import EdgeproofError, top_k
from train.data import DataReference, open_dataset, stratified_order
from train.files import sha256_of

Say = Callable[[str], None]  # takes a line for people

STEP = 1 / 256  # of a quantized score
ACROSS_RUNTIMES = 0.04
REHEARSED = ("int8", "float32")  # variants that stand for the others
ROUNDING = 1e-6  # two float32 of one step


@dataclass(frozen=True)
class Rehearsal:
    """One artifact in one runtime on one emulated device: what it brought, and where it left what it does here."""

    subject: Subject
    measurement: Measurement
    deviations: tuple[str, ...]  # "" of them: it answers there as here
    worst_score: float | None  # the largest difference of a golden picture's score


@dataclass
class Outcome:
    """What was rehearsed or counted."""

    rehearsals: list[Rehearsal] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    crashed: bool = False

    @property
    def failed(self) -> bool:
        return self.crashed or any(rehearsal.deviations for rehearsal in self.rehearsals)

    @property
    def summary(self) -> str:
        """Say in a line how many rows answer as this machine does."""
        good = sum(not rehearsal.deviations for rehearsal in self.rehearsals)
        verdict = "FAIL" if self.failed else "PASS"
        return (
            f"{verdict}: {good} of {len(self.rehearsals)} rows answer as here, {len(self.skipped)} skipped; {NOT_A_LATENCY}"
        )


def rehearse(
    artifacts: Sequence[Found],
    devices: Sequence[EmulatedDevice],
    runtimes: Sequence[str],
    pictures: int,
    say: Say,
    count: bool = False,
    compare: bool = True,
) -> Outcome:
    """Run each artifact in each runtime on each device: golden pictures, `pictures` test pictures, memory.

    With `count` the instructions too, with `compare` against this machine. What cannot be is skipped with its reason.
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        for found in artifacts:
            test = _test_pictures(found, pictures, Path(name))
            for runtime in runtimes_of(found, runtimes):
                here = _here(found, runtime, test.path, say) if compare else None
                for device in devices:
                    subject = subject_on(found, runtime, device.name)
                    try:
                        rehearsal = _one(found, subject, device, test, here, count)
                    except Refused as refusal:
                        outcome.skipped.append(Skipped(subject, str(refusal)))
                        say(f"  {subject.key}: skipped: {refusal}")
                        continue
                    except NotHere as absent:  # a device asked for is missed; a count is only not had
                        outcome.skipped.append(Skipped(subject, str(absent)))
                        outcome.crashed |= not count
                        say(f"  {subject.key}: skipped: {absent}")
                        continue
                    except EdgeproofError as error:
                        outcome.skipped.append(Skipped(subject, str(error)))
                        outcome.crashed = True
                        say(f"  {subject.key}: FAIL: {error}")
                        continue
                    outcome.rehearsals.append(rehearsal)
                    say(f"  {subject.key}: {verdict_text(rehearsal)}")
    return outcome


def rehearsed_artifacts(files: Sequence[Path]) -> list[Found]:
    """Return the named artifacts, or the int8 and float32 ones of build/. Raises EdgeproofError for one that is none."""
    found = find_artifacts(files)
    if files:
        wrong = [artifact.path for artifact in found if artifact.format == "keras"]
        if wrong:
            raise EdgeproofError(f"{wrong[0]}: Keras runs on no device: name a .tflite or .onnx file")
        return found
    return [artifact for artifact in found if artifact.format != "keras" and artifact.card.variant in REHEARSED]


def subject_on(found: Found, runtime: str, device: str) -> Subject:
    """Name the row of an artifact in a runtime on a device."""
    card = found.card
    return Subject(card.model, found.name, card.variant, found.format, runtime, device, "cpu", 1)


def verdict_text(rehearsal: Rehearsal) -> str:
    """Say in one line how a rehearsal ended."""
    measurement = rehearsal.measurement
    accuracy = measurement.accuracy
    words = [f"{accuracy.correct} of {accuracy.total} right"] if accuracy.total else []
    if accuracy.agree_with_reference is not None:
        words.append(f"{accuracy.agree_with_reference} of {accuracy.reference_total} as here")
    if rehearsal.worst_score is not None:
        words.append(f"golden scores within {rehearsal.worst_score:.2g}")
    words.append(f"{measurement.peak_rss_bytes / 1e6:.0f} MB")
    if measurement.instructions is not None:
        words.append(instructions_text(measurement.instructions))
    compared = "PASS: " if rehearsal.worst_score is not None else ""
    return ("FAIL: " + "; ".join(rehearsal.deviations) + ": " if rehearsal.deviations else compared) + ", ".join(words)


def instructions_text(counted: Instructions) -> str:
    """Say the counts in millions."""
    dots = "" if counted.dot_products is None else f" ({counted.dot_products:,} dot products)"
    return (
        f"{counted.steady_inference / 1e6:.3f} M instructions an inference{dots}, "
        f"first {counted.first_inference / 1e6:.3f}, "
        f"load {counted.load / 1e6:.1f}, import {counted.import_runtime / 1e6:.1f}"
    )


@dataclass(frozen=True)
class _TestPictures:
    path: Path | None  # .npy, (N, H, W, C), uint8
    labels: npt.NDArray[np.int64]
    sha256: str


def _test_pictures(found: Found, count: int, folder: Path) -> _TestPictures:
    """Prepare the first `count` test pictures of an artifact's data set, stratified by class."""
    reference: Any = found.card.document.get("provenance", {}).get("dataset")
    if reference is None:
        raise EdgeproofError(f"{found.path}: its card names no data set: convert it again")
    test = open_dataset(DataReference.from_json(reference)).test
    order = stratified_order(test.labels, seed=0)[:count]
    if not len(order):
        return _TestPictures(None, np.empty(0, np.int64), test.sha256)
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    unusable: dict[int, str] = {}
    np.save(path, test.prepared(found.card.preprocess, order, unusable))
    labels = test.labels[order]
    labels[list(unusable)] = -1  # counts as answered wrongly
    return _TestPictures(path, labels, test.sha256)


def runtimes_of(found: Found, asked: Sequence[str]) -> list[str]:
    """Return the runtimes that an artifact is run in, of those asked for or of all."""
    for name in asked:
        find_runtime(name)
    return [name for name in asked or runtime_names() if found.format in find_runtime(name).FORMATS and name != "keras"]


def _here(found: Found, runtime: str, pictures: Path | None, say: Say) -> Ran | None:
    try:
        return run_here(Phases(found.path, runtime, inferences=1, golden=True, pictures=pictures))
    except EdgeproofError as error:
        say(f"  {found.path.name} in {runtime} does not run here, so nothing is compared: {error}")
        return None


def _one(
    found: Found, subject: Subject, device: EmulatedDevice, test: _TestPictures, here: Ran | None, count: bool
) -> Rehearsal:
    golden = here is not None
    ran = run_emulated(Phases(found.path, subject.runtime, golden=golden, pictures=test.path), device, count)
    answers = np.array(ran.result.get("predictions", []), np.uint16)
    reference = None if here is None else np.array(here.result.get("predictions", []), np.uint16)
    measurement = Measurement(
        subject=subject,
        artifact=Artifact(str(found.path), sha256_of(found.path), found.path.stat().st_size),
        runtime_version=str(ran.result["runtime_version"]),
        accuracy=Accuracy(
            correct=int((answers == test.labels).sum()),
            total=len(answers),
            agree_with_reference=None if reference is None else int((answers == reference).sum()),
            reference_total=len(answers),
            dataset_sha256=test.sha256,
        ),
        startup=Startup(*(ns / NS_PER_MS for ns in ran.result["startup_ns"])),
        warmup_calls=0,
        peak_rss_bytes=int(ran.result["peak_rss_bytes"]),
        samples=Samples((np.array(ran.result.get("latency_ns", []), np.int64),), answers),
        instructions=ran.instructions,
    )
    found_wrong = () if here is None else deviations(found, ran.result, here.result)
    return Rehearsal(
        subject, measurement, tuple(found_wrong), None if here is None else worst_difference(ran.result, here.result)
    )


def deviations(found: Found, there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Say where a device leaves what this machine answers for the golden pictures, and what the self-test there found.

    The pictures whose margin is clear: the same top class, scores within 0.04. Full-integer models in the same LiteRT:
    scores of every picture within one step. (Near the decision border mobilenet_v2's int8 changed its class between x86
    and ARM at margins of up to 0.2 in tflite-runtime and onnxruntime.)
    """
    wrong = [f"self-test: {check}" for check in there["failed_checks"]]
    own = _is_quantized(found) and here["runtime_version"] == there["runtime_version"] and _in_litert(here, there)
    for number, entry in enumerate(found.card.document.get("golden") or []):
        mine, its = (np.array(result["golden_scores"][number], np.float32) for result in (here, there))
        best, its_best = top_k(mine, 1)[0], top_k(its, 1)[0]
        if best != its_best and entry["clear"]:
            wrong.append(f"golden[{number}]: {found.card.labels[its_best]} there, {found.card.labels[best]} here")
        worst = float(np.abs(mine - its).max())
        limit = STEP + ROUNDING if own else ACROSS_RUNTIMES
        if worst > limit and (own or entry["clear"]):
            wrong.append(f"golden[{number}]: scores differ by {worst:.2g}, allowed {limit:.2g}")
    return wrong


def _is_quantized(found: Found) -> bool:
    return found.card.variant.startswith("int8") and found.format == "tflite"


def _in_litert(*results: dict[str, Any]) -> bool:
    return all(result.get("runtime") == "litert" for result in results)


def worst_difference(there: dict[str, Any], here: dict[str, Any]) -> float:
    """Return the largest difference of a golden picture's score between two machines."""
    pairs = zip(there["golden_scores"], here["golden_scores"], strict=True)
    return max((float(np.abs(np.subtract(its, mine)).max()) for its, mine in pairs), default=0.0)
