"""Counting the instructions of artifacts on emulated cores and on this machine."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from bench.measure.host_counter import count_here
from bench.measure.phases import Phases
from bench.remote.emulation.device import EmulatedDevice, NotHere, emulated_names, find_emulated, of_core
from bench.remote.emulation.run_phases import run_emulated
from bench.results.instruction_counts import CANNOT_SEE, Instructions
from bench.results.measurement import NS_PER_MS, AnswerCounts, Measurement
from bench.results.outcome import RowRefused
from bench.results.row import HOST, ArtifactFile, Skipped, Startup, Subject
from bench.results.samples import Samples
from bench.runtimes import find_runtime, runtimes_by_default
from common.files import sha256_of
from common.tables import table_lines
from device.errors import EdgeproofError
from device.formats.model_file import model_size_bytes
from train.data.dataset import NO_LABEL, DataReference, stratified_order
from train.data.open_dataset import open_dataset

Say = Callable[[str], None]  # takes a line for people
PICTURES = 20  # test pictures that a counted row answers, for its accuracy

COLUMNS = ("row", "core", "steady M", "dot products M", "first M", "load M", "import M", "counter")
LEFT_OUT_FIRST = ("counter", "import M", "load M")


@dataclass
class Counted:
    """What was counted: rows of emulated devices, and the counts of rows that this machine has measured."""

    emulated: list[Measurement] = field(default_factory=list)
    here: list[tuple[Subject, str, Instructions]] = field(default_factory=list)  # with the artifact's hash
    skipped: list[Skipped] = field(default_factory=list)  # on emulated devices
    failed: bool = False


@dataclass(frozen=True)
class _TestPictures:
    path: Path  # .npy, (N, H, W, C), uint8
    labels: npt.NDArray[np.int64] | None  # None: the pictures have none, so that no accuracy is known
    sha256: str


def count_all(artifacts: Sequence[Artifact], cores: str, runtimes: Sequence[str], say: Say) -> Counted:
    """Count each artifact in each runtime on the cores of a list "cortex-a72,host" (every emulated one and host for "all").

    A row that cannot be counted is skipped with its reason. Raises EdgeproofError for an unknown core or runtime.
    """
    every = [find_emulated(name).core.name for name in emulated_names()]
    requested = [*every, HOST] if cores == "all" else [name.strip() for name in cores.split(",") if name.strip()]
    devices = [of_core(core) for core in dict.fromkeys(requested) if core != HOST]
    for name in runtimes:
        find_runtime(name)
    counted = Counted()
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        for found in artifacts if devices else ():
            test = _test_pictures(found, Path(folder))
            for runtime in _runtimes_of(found, runtimes):
                for device in devices:
                    _count_emulated(found, _subject(found, runtime, device.name), device, test, counted, say)
    if HOST in requested:
        for found in artifacts:
            for runtime in _runtimes_of(found, runtimes):
                _count_here(found, runtime, counted, say)
    return counted


def _count_emulated(
    found: Artifact, subject: Subject, device: EmulatedDevice, test: _TestPictures, counted: Counted, say: Say
) -> None:
    try:
        measured = _measured(found, subject, device, test)
    except EdgeproofError as error:
        counted.failed |= not isinstance(error, (RowRefused, NotHere))
        counted.skipped.append(Skipped(subject, str(error)))
        say(f"  {subject.key}: skipped: {error}")
        return
    counted.emulated.append(measured)
    answers, instructions = measured.answers, measured.instructions
    assert instructions is not None
    right = f"{answers.correct} of {answers.total} right" if answers.total else "pictures without labels"
    say(f"  {subject.key}: {right}, {_instructions_text(instructions)}")


def _measured(found: Artifact, subject: Subject, device: EmulatedDevice, test: _TestPictures) -> Measurement:
    result, instructions = run_emulated(Phases(found.path, subject.runtime, pictures=test.path), device)
    answers = np.array(result["predictions"] if test.labels is not None else [], np.uint16)
    right = int((answers == test.labels).sum()) if len(answers) else 0
    return Measurement(
        subject=subject,
        artifact=ArtifactFile(str(found.path), sha256_of(found.path), model_size_bytes(found.path)),
        runtime_version=str(result["runtime_version"]),
        answers=AnswerCounts(right, len(answers), None, len(answers), test.sha256),
        startup=Startup(*(ns / NS_PER_MS for ns in result["startup_ns"])),
        warmup_calls=0,
        peak_rss_bytes=result["peak_rss_bytes"],
        samples=Samples((np.array(result["latency_ns"], np.int64),), answers),
        instructions=instructions,
    )


def _count_here(found: Artifact, runtime: str, counted: Counted, say: Say) -> None:
    subject = _subject(found, runtime, HOST)
    try:
        instructions = count_here(Phases(found.path, runtime))
    except EdgeproofError as error:
        counted.failed |= not isinstance(error, RowRefused)
        say(f"  {subject.key}: skipped: {error}")
        return
    counted.here.append((subject, sha256_of(found.path), instructions))
    say(f"  {subject.key}: {_instructions_text(instructions)}")


def _subject(found: Artifact, runtime: str, device: str) -> Subject:
    card = found.card
    return Subject(card.model, found.name, card.variant, found.format, runtime, device, "cpu", 1)


def _runtimes_of(found: Artifact, requested: Sequence[str]) -> list[str]:
    """Return the runtimes that open an artifact, of those requested or of those measured by default."""
    names = requested or runtimes_by_default()
    return [name for name in names if found.format in find_runtime(name).FORMATS and name != "keras"]


def _test_pictures(found: Artifact, folder: Path) -> _TestPictures:
    """Prepare the first test pictures of an artifact's data set, stratified by class."""
    reference: Any = found.card.provenance.get("dataset")
    if reference is None:
        raise EdgeproofError(f"{found.path}: its card names no data set: convert it again")
    test = open_dataset(DataReference.from_json(reference)).test
    order = stratified_order(test.labels, seed=0)[:PICTURES]
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    unusable: dict[int, str] = {}
    np.save(path, test.prepared(found.card.preprocess, order, unusable))
    labels = test.labels[order]
    labels[list(unusable)] = NO_LABEL  # counts as answered wrongly
    return _TestPictures(path, labels if test.labelled else None, test.sha256)


def _instructions_text(counted: Instructions) -> str:
    """Return the counts in millions."""
    dots = "" if counted.dot_products is None else f" ({counted.dot_products:,} dot products)"
    return (
        f"{counted.steady_inference / 1e6:.3f} M instructions an inference{dots}, "
        f"first {counted.first_inference / 1e6:.3f}, "
        f"load {counted.load / 1e6:.1f}, import {counted.import_runtime / 1e6:.1f}"
    )


def counts_table(counted: Counted) -> list[str]:
    """Return the table of counts, in millions, and a line on what a count leaves out."""
    rows = [(measured.subject, measured.instructions) for measured in counted.emulated]
    rows += [(subject, instructions) for subject, _, instructions in counted.here]
    cells = []
    for subject, instructions in rows:
        if instructions is None:
            continue
        dots = "–" if instructions.dot_products is None else f"{instructions.dot_products / 1e6:.3f}"
        phases = (instructions.first_inference, instructions.load, instructions.import_runtime)
        millions = [f"{number / 1e6:.3f}" for number in (instructions.steady_inference, *phases)]
        name = f"{subject.model} {subject.variant}.{subject.format} {subject.runtime}"
        cells.append([name, instructions.core, millions[0], dots, *millions[1:], instructions.counter])
    return [*table_lines(COLUMNS, cells, LEFT_OUT_FIRST), CANNOT_SEE]
