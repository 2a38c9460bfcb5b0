"""Whether two runs of one machine agree as closely as each of them says: `make repeatability`.

A row agrees where the 95 % interval of its ratio of p50s, from both runs' own processes, holds 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from bench.ratio import Ratio, ratio
from bench.results import Results, latencies_ns, load_results, subject_of
from device.classify import EXIT_FAILED, EXIT_OK, EdgeproofError, wilson_interval
from train.cli import run_cli

PROMISED = 0.95  # of rows, on an idle machine
EXIT_INCONCLUSIVE = 3


@dataclass(frozen=True)
class Repeated:
    """A row in both runs. `doubt` is why one of them says itself that it is not valid."""

    key: str
    ratio: Ratio
    doubt: str | None


def repeated_rows(first: Results, second: Results) -> Iterator[Repeated]:
    """Yield the rows that both runs have with two processes or more, in the order of the first."""
    others = {subject_of(row).key: row for row in second.rows}
    for row in first.rows:
        key = subject_of(row).key
        other = others.get(key)
        if other is None or min(row["latency"]["processes"], other["latency"]["processes"]) < 2:
            continue
        yield Repeated(
            key,
            ratio(latencies_ns(second, other), latencies_ns(first, row)),
            row["latency"]["why_invalid"] or other["latency"]["why_invalid"],
        )


def verdict(agreeing: int, rows: int) -> str:
    """Return "PASS" where the promised share agrees, "FAIL" where so few do that chance cannot explain it."""
    if agreeing / rows >= PROMISED:
        return "PASS"
    return "FAIL" if wilson_interval(agreeing, rows)[1] < PROMISED else "INCONCLUSIVE"


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def main(first: Path, second: Path) -> int:
    """Print each row's ratio of p50s, SECOND over FIRST, and the share of rows whose interval holds 1."""
    rows = list(repeated_rows(load_results(first), load_results(second)))
    if not rows:
        raise EdgeproofError(f"{first}, {second}: no row is in both with two processes: measure both alike")
    for row in rows:
        mark = "!" if row.ratio.distinguishable else " "
        doubt = f"  ({row.doubt})" if row.doubt else ""
        click.echo(f"{mark} {row.ratio.value:6.3f} [{row.ratio.low:.3f}, {row.ratio.high:.3f}]  {row.key}{doubt}")
    agreeing = sum(not row.ratio.distinguishable for row in rows)
    low, high = wilson_interval(agreeing, len(rows))
    word = verdict(agreeing, len(rows))
    doubtful = sum(row.doubt is not None for row in rows)
    click.echo(
        f"{agreeing} of {len(rows)} rows agree within their own intervals: {100 * agreeing / len(rows):.1f} % "
        f"[{100 * low:.1f}, {100 * high:.1f}], promised {100 * PROMISED:.0f} % on an idle machine: {word}"
    )
    if doubtful:
        click.echo(f"{doubtful} of them are not valid by their own account: is this machine idle? `python -m bench doctor`")
    return {"PASS": EXIT_OK, "FAIL": EXIT_FAILED, "INCONCLUSIVE": EXIT_INCONCLUSIVE}[word]


if __name__ == "__main__":
    run_cli(main, "bench.repeatability")
