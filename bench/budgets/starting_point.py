"""What `edgeproof init` writes into a project: budgets at today's figures, a baseline, a workflow, and edgeproof.toml."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.artifacts.find import Artifact, find_artifacts
from bench.budgets import baseline
from bench.budgets.figures import Case
from bench.budgets.kinds import KINDS, Kind
from bench.budgets.rules import load_budgets
from bench.results.integrity import load_sound_results
from bench.results.row import HOST, ResultRow
from bench.results.store import Results
from common.advice import command
from common.files import scratch_folder, sha256_of, write_bytes
from common.interval import ERROR
from common.paths import PROJECT, shown
from common.version import VERSION
from device.errors import EdgeproofError

BUDGETS, BASELINE, WORKFLOW = Path("budgets.toml"), Path("baseline"), Path(".github/workflows/edgeproof.yml")
ACTION = f"OWNER/edgeproof@v{VERSION}"
# Limits that hold on any machine. Memory alone differs a little from run to run
KEYS = ("max_size_kb", "max_peak_rss_mb", "min_top1", "max_top1_drop", "min_agreement")
MEMORY, MEMORY_MARGIN = "max_peak_rss_mb", 1.1
ACCURACY_LOST = "max_top1_regression"
REGRESSIONS = {"max_regression": 0.10, ACCURACY_LOST: 0.005}
DIGITS = 3
TEMPLATE = Path(__file__).with_name("workflow.yml")
HEADER = """# What this project's models must keep: `edgeproof bench check` compares what was measured with it, and
# `edgeproof bench gate` the present files with it and with the baseline. Written by `edgeproof init`: each limit is
# the far end of the 99 % interval of what was measured then, memory with a tenth more, so that the same files pass.
# Tighten what you promise to somebody.
"""


@dataclass(frozen=True)
class Written:
    """What was written."""

    files: tuple[Path, ...]
    rules: int
    artifacts: int


def write_starting_point(results_file: Path, action: str, data: Path | None = None) -> Written:
    """Write all four things into the working directory, or none. `data` are the test pictures of the workflow.

    Raises EdgeproofError where one of them is there already, where nothing was measured, and where `data` is missing.
    """
    targets = (PROJECT, BUDGETS, BASELINE, WORKFLOW)
    there = [str(path) for path in targets if path.exists()]
    if there:
        raise EdgeproofError(
            f"{', '.join(there)}: exists already and stays as it is: nothing was written; move it away, or edit it instead"
        )
    results = load_sound_results(results_file)
    rows = [row for row in results.rows if row.subject.device == HOST and row.subject.accelerator == "cpu"]
    paths = sorted({row.artifact.path for row in rows if _is_as_measured(row)})
    if not paths:
        raise EdgeproofError(
            f"{results_file}: no file that was measured is still as it was: measure again with `edgeproof bench run FILE...`"
        )
    kept = [row for row in rows if row.artifact.path in paths]
    budgets = HEADER + "".join(_rule(row, results) for row in kept)
    artifacts = find_artifacts([Path(path) for path in paths])
    _check_pictures(results_file, kept, artifacts, data)
    with scratch_folder() as scratch:  # the project's files are written once nothing can be refused any more
        (scratch / BUDGETS).write_text(budgets, encoding="utf-8")
        baseline.save(BASELINE, artifacts, results, load_budgets(scratch / BUDGETS))
    write_bytes(BUDGETS, budgets.encode())
    write_bytes(WORKFLOW, _workflow(action, paths, data).encode())
    write_bytes(PROJECT, f'budgets = "{BUDGETS}"\nbaseline = "{BASELINE}"\n'.encode())
    return Written(targets, len(kept), len(artifacts))


def _workflow(action: str, paths: Sequence[str], data: Path | None) -> str:
    """Return the workflow, with a line for each file: a path may hold spaces."""
    files = "".join(f"{' ' * 12}{_from_here(path)}\n" for path in paths)
    pictures = "" if data is None else f"{' ' * 10}data: {json.dumps(_from_here(data), ensure_ascii=False)}\n"
    return TEMPLATE.read_text(encoding="utf-8").replace("ACTION", action).replace("FILES\n", files + pictures)


def _from_here(path: str | Path) -> str:
    """Return a path that holds in a checkout of the project, too."""
    return shown(Path(path).absolute())


def _check_pictures(results_file: Path, rows: Sequence[ResultRow], artifacts: Sequence[Artifact], data: Path | None) -> None:
    """Raise EdgeproofError for pictures that are not there, or that must be named: the models do not name them."""
    if data is not None and not data.is_dir():
        raise EdgeproofError(f"--data {data}: no such folder, expected one folder a class with pictures in it")
    own = {str(found.path): found.card.provenance.get("dataset_sha256", {}) for found in artifacts}
    for row in rows if data is None else ():
        if row.accuracy is not None and row.accuracy.dataset_sha256 != own[row.artifact.path].get("test"):
            raise EdgeproofError(
                f"{results_file}: {row.artifact.path} was tested on other pictures than it was made with, which the "
                f"workflow must name: `{command('init', results_file)} --data FOLDER`"
            )


def _is_as_measured(row: ResultRow) -> bool:
    path = Path(row.artifact.path)
    return path.is_file() and sha256_of(path) == row.artifact.sha256


def _rule(row: ResultRow, results: Results) -> str:
    """Return the rule of one row, as text."""
    subject = row.subject
    selectors = {
        "model": subject.model_name,
        "variant": subject.variant,
        "format": subject.format,
        "runtime": subject.runtime,
        "device": subject.device,
        "accelerator": subject.accelerator,
        "threads": subject.threads,
    }
    limits = {key: _limit(KINDS[key], row, results) for key in KEYS}
    tested = row.accuracy is not None and row.accuracy.total
    regressions = {key: value for key, value in REGRESSIONS.items() if key != ACCURACY_LOST or tested}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in selectors.items()]
    lines += [f"{key} = {limit}" for key, limit in limits.items() if limit is not None]
    lines += [f"{key} = {value}  # against {BASELINE}/" for key, value in regressions.items()]
    return "\n[[budget]]\n" + "\n".join(lines) + "\n"


def _limit(kind: Kind, row: ResultRow, results: Results) -> str | None:
    """Return a limit that what was measured keeps with its whole interval; None where there is no such figure."""
    assert kind.figure is not None
    if kind.reference == row.subject.variant:
        return None
    measured = kind.figure(Case(row, results, ERROR)).interval
    if measured is None:
        return None
    if kind.at_most:
        limit = _rounded(measured.high * (MEMORY_MARGIN if kind.key == MEMORY else 1), up=True, share=kind.share)
    else:
        limit = _rounded(measured.low, up=False, share=kind.share)
    at_least_nothing = float(limit) == 0 and not kind.may_be_zero  # no limit at all, and refused in a file of budgets
    return None if at_least_nothing else limit


def _rounded(value: float, up: bool, share: bool) -> str:
    """Round outwards: shares to four decimals, other figures to three digits."""
    if value <= 0:
        return "0"
    decimals = 4 if share else DIGITS - 1 - math.floor(math.log10(value))
    scale = 10.0**decimals
    rounded = (math.ceil if up else math.floor)(value * scale) / scale
    return f"{rounded:.{max(decimals, 0)}f}"
