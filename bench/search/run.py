"""A search from its specification to the winner's bundle: trials, the three final trainings, the files, and what is said."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.search.budget_line import broken_in_full
from bench.search.engine import Allowance, Engine
from bench.search.figures import Measures, measures_for
from bench.search.final import check_target, finished
from bench.search.result import SearchResult
from bench.search.shown.progress import spec_line
from bench.search.shown.sentences import sentences
from bench.search.shown.table import terminal_table
from bench.search.shown.write import write_files
from bench.search.sizes import check_sizes
from bench.search.spec import Effort, SearchSpec
from bench.search.store import FILE, read_search
from bench.search.workers import pool_for
from common.lock import exclusive
from device.errors import EXIT_FAILED, EXIT_OK

Say = Callable[[str], None]


def run_search(spec: SearchSpec, folder: Path, effort: Effort, say: Say) -> int:
    """Search, train the winner in full, pack it, and say what was found. Return the exit code.

    Raises EdgeproofError, and KeyboardInterrupt after what is known was said; the search can go on then.
    """
    with exclusive(folder / FILE), ExitStack() as stack:
        say(spec_line(spec))
        before = _before(folder)
        check_target(effort.target)
        check_sizes(spec.model, spec.space)
        measures = stack.enter_context(measures_for(spec, say))
        with _told_if_interrupted(folder, say) as engines:
            result = _run_trials(spec, folder, effort, measures, engines, say)
            if result.winner is not None:
                known_final = before.final if before is not None and before.winner == result.winner else ()
                result = finished(spec, replace(result, final=known_final), folder, measures, effort, say)
        _tell(result, folder, say)
    return exit_code_of(result)


def exit_code_of(result: SearchResult) -> int:
    """Return 0 where there is a winner, and it keeps the budget when it is trained in full too."""
    return EXIT_FAILED if result.winner is None or broken_in_full(result) else EXIT_OK


def _run_trials(
    spec: SearchSpec, folder: Path, effort: Effort, measures: Measures, engines: list[Engine], say: Say
) -> SearchResult:
    """Run the trials; the engine goes to `engines`, for what is known when it is interrupted."""
    threads = max(1, len(os.sched_getaffinity(0)) // effort.jobs) if effort.dask is None else 0
    allowance = Allowance(effort.trials, effort.max_time_s, threads)
    with pool_for(effort.jobs, effort.dask) as pool:
        engine = Engine(spec, folder, pool, measures, allowance, say)
        engines.append(engine)
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
    engines: list[Engine] = []
    try:
        yield engines
    except KeyboardInterrupt:
        if engines:
            _tell(engines[0].result, folder, say)
            say("interrupted: the same command goes on from here")
        raise


def _tell(result: SearchResult, folder: Path, say: Say) -> None:
    for line in (*terminal_table(result), *(f"{line}." for line in sentences(result))):
        say(line)
    say(f"wrote {', '.join(map(str, write_files(folder, result)))}")
