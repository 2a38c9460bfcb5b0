"""A search from its question to the winner's bundle: trials, the three final trainings, the files, and what is said."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.search.budget_line import broken_in_full
from bench.search.engine import Allowance, Engine
from bench.search.figures import Measures, measures_for
from bench.search.final import check_target, finished
from bench.search.question import Effort, Question
from bench.search.result import SearchResult
from bench.search.shown.sentences import sentences
from bench.search.shown.table import terminal_table
from bench.search.shown.write import write_files
from bench.search.sizes import check_sizes
from bench.search.store import FILE, read_search
from bench.search.told import question_line
from bench.search.workers import pool_for
from common.lock import exclusive
from device.errors import EXIT_FAILED, EXIT_OK

Say = Callable[[str], None]


def run_search(question: Question, folder: Path, effort: Effort, say: Say) -> int:
    """Search, train the winner in full, pack it, and say what was found. Return the exit code.

    Raises EdgeproofError, and KeyboardInterrupt after what is known was said; the search can go on then.
    """
    with exclusive(folder / FILE), ExitStack() as stack:
        say(question_line(question))
        before = _before(folder)
        check_target(effort.target)
        check_sizes(question.model, question.space)
        measures = stack.enter_context(measures_for(question, say))
        with _told_if_interrupted(folder, say) as known:
            result = _tried(question, folder, effort, measures, known, say)
            if result.winner is not None:
                known_final = before.final if before is not None and before.winner == result.winner else ()
                result = finished(question, replace(result, final=known_final), folder, measures, effort, say)
        _tell(result, folder, say)
    return exit_code_of(result)


def exit_code_of(result: SearchResult) -> int:
    """Return 0 where there is a winner, and it keeps the budget when it is trained in full too."""
    return EXIT_FAILED if result.winner is None or broken_in_full(result) else EXIT_OK


def _tried(
    question: Question, folder: Path, effort: Effort, measures: Measures, known: list[Engine], say: Say
) -> SearchResult:
    """Run the trials; the engine goes to `known`, for what is known when it is interrupted."""
    threads = max(1, len(os.sched_getaffinity(0)) // effort.jobs) if effort.dask is None else 0
    allowance = Allowance(effort.trials, effort.max_time_s, threads)
    with pool_for(effort.jobs, effort.dask) as pool:
        engine = Engine(question, folder, pool, measures, allowance, say)
        known.append(engine)
        result = engine.run()
        minutes = f"{engine.spent_s / 60:.1f} min, with {engine.cpu_s / 60:.1f} min of processor time"
        say(f"{len(result.trials)} trials in {minutes}")
        return result


def _before(folder: Path) -> SearchResult | None:
    """Return what an earlier run of the search found; None where there was none."""
    return read_search(folder) if (folder / FILE).is_file() else None


@contextmanager
def _told_if_interrupted(folder: Path, say: Say) -> Iterator[list[Engine]]:
    """Say and write what is known when Ctrl-C ends the search, and how it goes on."""
    known: list[Engine] = []
    try:
        yield known
    except KeyboardInterrupt:
        if known:
            _tell(known[0].result, folder, say)
            say("interrupted: the same command goes on from here")
        raise


def _tell(result: SearchResult, folder: Path, say: Say) -> None:
    for line in (*terminal_table(result), *(f"{line}." for line in sentences(result))):
        say(line)
    say(f"wrote {', '.join(map(str, write_files(folder, result)))}")
