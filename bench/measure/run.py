"""A bench run: every artifact in every runtime that can open it; first accuracy, then latency without other work."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.artifacts.evaluation_pictures import PictureStore
from bench.artifacts.find import Artifact
from bench.machine.accelerators import SOFTWARE
from bench.machine.memory import available_memory_bytes
from bench.measure.extras import measure_extras
from bench.measure.rounds import MIN_ROUNDS, Rounds, groups_of, see_where_it_ran
from bench.measure.row import ACCURACY_SIZES, Extras, HostRow, Mode, Say, guarded, startup_of, subject_for
from bench.measure.worker_pool import Workers
from bench.results.evaluation_set import EvaluationSet, collect
from bench.results.measurement import REFERENCES, AnswerCounts, Measurement
from bench.results.row import ANY, HOST, ArtifactFile, Skipped, Subject
from bench.results.samples import Samples
from bench.runtimes import Accelerated, OpensCardless, check_installed, find_accelerator, find_runtime, runtimes_by_default
from common.counts import counted
from common.files import scratch_folder, sha256_of
from common.progress import task_progress
from device.errors import EdgeproofError, RuntimeMissing
from device.formats.model_file import model_size_bytes

ACCURACY_AT_A_TIME = 2


@dataclass(frozen=True)
class Outcome:
    """The result of a run. An interrupted one has the rows that were finished by then."""

    measured: list[Measurement]
    skipped: list[Skipped]
    crashed: bool
    evaluation_sets: list[EvaluationSet]
    interrupted: bool = False


def run(
    artifacts: Sequence[Artifact],
    runtimes: Sequence[str],
    mode: Mode,
    threads: Sequence[int],
    say: Say,
    data: Path | None = None,
    seed: int = 0,
    extras: Extras | None = None,
) -> Outcome:
    """Measure each artifact in each of the runtimes (by default all that open its format), at each thread count.

    Accuracy is over the test part of the artifact's own data set, or over a folder of class folders, `data`. Ctrl-C ends
    the run and keeps the rows that are finished.
    """
    extras = extras or Extras()
    present, absent = sort_out(runtimes, {found.format for found in artifacts}, threads[0])
    for skip in absent if runtimes else ():  # else nobody asked for it, and the last lines say it
        say(f"  {skip.subject.runtime}: skipped: {skip.reason}")
    with scratch_folder() as scratch:
        workers = Workers(scratch, extras.max_memory_bytes or available_memory_bytes() // ACCURACY_AT_A_TIME)
        rows = _rows(artifacts, present, threads, PictureStore(scratch, data, say))
        _check_that_files_open(rows, absent, runtimes, say)
        interrupted = not _measure_all(rows, workers, mode, seed, extras, say)
        finished = finished_rows(rows, MIN_ROUNDS if interrupted else mode.processes)
        evaluation_sets = _evaluation_sets(finished)
    if interrupted:
        say(_interrupted_text(len(finished), len(rows)))
    measured = [_finish(row, rows) for row in finished]
    skipped = [*absent, *(Skipped(row.subject, row.reason) for row in rows if row.reason is not None)]
    asked_in_vain = bool(runtimes and absent)  # asked for by name and not there: exit code 1
    return Outcome(measured, skipped, asked_in_vain or any(row.crashed for row in rows), evaluation_sets, interrupted)


def _measure_all(rows: Sequence[HostRow], workers: Workers, mode: Mode, seed: int, extras: Extras, say: Say) -> bool:
    """Measure the rows and their extras, then stop the workers. Return False where Ctrl-C ended it before."""
    try:
        _measure(rows, workers, mode, seed, say)
        measure_extras(rows, workers, mode, extras, say)
    except KeyboardInterrupt:
        return False
    finally:
        workers.stop()
    return True


def _interrupted_text(finished: int, total: int) -> str:
    kept = "finished and kept" if finished else "finished: nothing is written"
    return f"interrupted: {finished} of {counted(total, 'row')} {'is' if total == 1 else 'are'} {kept}"


def finished_rows(rows: Sequence[HostRow], rounds: int) -> list[HostRow]:
    """Return the rows that were measured in at least so many rounds, also where some of these are left out."""
    return [row for row in rows if row.reason is None and row.rounds_measured >= rounds]


def sort_out(requested: Sequence[str], formats: set[str], threads: int) -> tuple[list[str], list[Skipped]]:
    """Return the runtimes to run, and a skipped row for each that is not installed or whose accelerator is missing.

    A software device is used only if its runtime is requested by name. Raises EdgeproofError for an unknown one.
    """
    present: list[str] = []
    absent: list[Skipped] = []
    for name in requested or runtimes_by_default():
        opened = sorted(find_runtime(name).FORMATS & formats)
        processor = "gpu" if isinstance(find_runtime(name), Accelerated) else "cpu"
        try:
            if opened and processor == "cpu":
                check_installed(name)
            device = find_accelerator(name) if opened else None
            if device is not None and device.accelerator == SOFTWARE and name not in requested:
                raise RuntimeMissing(f"the only GPU is {device.name}, which is software: `--runtime {name}` uses it")
            present.append(name)
        except RuntimeMissing as missing:
            absent.append(Skipped(Subject(ANY, None, ANY, opened[0], name, HOST, processor, threads), str(missing)))
    return present, absent


def _rows(
    artifacts: Sequence[Artifact], runtimes: Sequence[str], threads: Sequence[int], pictures: PictureStore
) -> list[HostRow]:
    """Return the rows of a run. Raises EdgeproofError where two files would be the same row."""
    rows = [
        HostRow(found=found, subject=subject_for(found, runtime, count), pictures=pictures.of(found))
        for found in artifacts
        for runtime in runtimes
        if _opens(runtime, found)
        for count in threads
    ]
    seen: dict[str, Path] = {}
    for row in rows:
        other = seen.setdefault(row.subject.key, row.found.path)
        if other != row.found.path:
            raise EdgeproofError(f"{row.found.path}, {other}: both would be the row {row.subject.key}: rename one of them")
    return list({row.subject.key: row for row in rows}.values())  # a file that is named twice is measured once


def _check_that_files_open(rows: Sequence[HostRow], absent: Sequence[Skipped], runtimes: Sequence[str], say: Say) -> None:
    """Say which runtimes open none of the files. Raises EdgeproofError where that leaves no row, not even a skipped one."""
    if not rows and not absent:
        raise EdgeproofError(f"none of the runtimes {', '.join(runtimes)} opens any of the given files")
    for name in _without_rows(runtimes, [*rows, *absent]):
        say(f"  {name}: opens none of the given files: it has no row")


def _without_rows(runtimes: Sequence[str], found: Sequence[HostRow | Skipped]) -> list[str]:
    """Return the runtimes that were asked for by name, and have neither a row nor a reason why not."""
    known = {one.subject.runtime for one in found}
    return [name for name in dict.fromkeys(runtimes) if name not in known]


def _opens(name: str, found: Artifact) -> bool:
    runtime = find_runtime(name)
    return found.format in runtime.FORMATS and (found.cardless is None or isinstance(runtime, OpensCardless))


def _measure(rows: Sequence[HostRow], workers: Workers, mode: Mode, seed: int, say: Say) -> None:
    """Run accuracy, two rows at a time, then latency in rounds, in which one process computes at a time."""
    firsts: dict[tuple[Path, str], HostRow] = {}
    for row in rows:
        firsts.setdefault((row.found.path, row.subject.runtime), row)
    with_pictures = [row for row in firsts.values() if row.pictures is not None]
    # Large files are the slow ones: first, so that the last row does not run alone for long
    with_pictures.sort(key=lambda row: row.found.path.stat().st_size, reverse=True)
    say(f"accuracy of {counted(len(with_pictures), 'row')}, {ACCURACY_AT_A_TIME} at a time")
    pool = ThreadPoolExecutor(ACCURACY_AT_A_TIME)
    try:
        answered = pool.map(lambda row: guarded(row, lambda: _measure_accuracy(row, workers, mode, say), say), with_pictures)
        with task_progress("answering test pictures: rows", len(with_pictures)) as advance:
            for _ in answered:
                advance(1)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for row in rows:  # the other thread counts: answers do not depend on them
        first = firsts[row.found.path, row.subject.runtime]
        row.predictions, row.top_scores, row.accuracy_threads = first.predictions, first.top_scores, first.subject.threads
        row.reason, row.crashed = first.reason, first.crashed
    going = [row for row in rows if row.reason is None]
    groups, models = len(groups_of(going)), len({row.subject.model_name for row in going})
    each = f" of each of {groups} {'models' if groups == models else 'groups'}" if groups > 1 else ""
    say(f"latency of {counted(len(going), 'row')} in {mode.processes} rounds{each}: rows take turns, in fresh processes")
    Rounds(workers, mode, random.Random(seed), say).measure(going)


def _measure_accuracy(row: HostRow, workers: Workers, mode: Mode, say: Say) -> None:
    assert row.pictures is not None
    total = len(row.pictures.labels)
    sizes = tuple(size for size in ACCURACY_SIZES if size < total)
    with workers.result_of(row.job("accuracy", sizes=(total, *sizes), limit_s=mode.accuracy_limit_s)) as result:
        row.predictions = result["predictions"]
        row.top_scores = result.get("top_scores", None)
        see_where_it_ran(row, result)
    correct = int((row.predictions == row.pictures.labels[: len(row.predictions)]).sum())
    limit = f", only the first {len(row.predictions):,}: all would take over {mode.accuracy_limit_s:.0f} s of CPU time"
    cut = "" if len(row.predictions) == total else limit
    say(f"  {row.subject.key}: {correct:,} of {len(row.predictions):,} right{cut}")


def _finish(row: HostRow, rows: Sequence[HostRow]) -> Measurement:
    path = row.found.path
    return Measurement(
        subject=row.subject,
        artifact=ArtifactFile(str(path), sha256_of(path), model_size_bytes(path)),
        runtime_version=row.runtime_version,
        answers=_answer_counts(row, rows),
        startup=startup_of(row.startups_ns),
        warmup_calls=row.warmup_calls,
        peak_rss_bytes=row.peak_rss_bytes,
        samples=Samples(
            tuple(row.latencies_ns),
            row.predictions,
            np.concatenate(row.paths_ns),
            row.top_scores,
            tuple(row.turn_queries),
        ),
        conditions=tuple(row.conditions),
        accelerator_name=row.accelerator_name,
        loadgen=row.loadgen,
        rounds_left_out=row.rounds_left_out,
    )


def _evaluation_sets(rows: Sequence[HostRow]) -> list[EvaluationSet]:
    """Collect the evaluation set of each model while its prepared pictures still exist."""
    groups: dict[tuple[str, str], list[HostRow]] = {}
    for row in rows:
        if row.pictures is not None:
            groups.setdefault((row.subject.model_name, row.pictures.sha256), []).append(row)
    return [_evaluation_set_of(model, same) for (model, _), same in groups.items()]


def _evaluation_set_of(model: str, rows: Sequence[HostRow]) -> EvaluationSet:
    test, labels = rows[0].pictures, rows[0].found.card.labels
    assert test is not None
    pixels = np.load(test.path, mmap_mode="r", allow_pickle=False)
    return collect(model, test.sha256, test.labels, labels, pixels, [row.predictions for row in rows])


def _answer_counts(row: HostRow, rows: Sequence[HostRow]) -> AnswerCounts:
    """Count right answers, and answers equal to the reference's, on the pictures that both have answered."""
    if row.pictures is None:
        return AnswerCounts(0, 0)
    reference = _reference(row, rows)
    common = 0 if reference is None else min(len(reference), len(row.predictions))
    agree = None if reference is None else int((reference[:common] == row.predictions[:common]).sum())
    correct = int((row.predictions == row.pictures.labels[: len(row.predictions)]).sum())
    return AnswerCounts(correct, len(row.predictions), agree, common, row.pictures.sha256, row.accuracy_threads)


def _reference(row: HostRow, rows: Sequence[HostRow]) -> npt.NDArray[np.uint16] | None:
    for other in rows:
        same_model = (other.subject.model, other.subject.name) == (row.subject.model, row.subject.name)
        if same_model and other.subject.runtime in REFERENCES and len(other.predictions):
            return other.predictions
    return None
