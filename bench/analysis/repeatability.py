"""Whether `bench run` calls the right latencies valid: `make repeatability`.

Of rows that two runs call valid, the p50s agree within 5 % or within the 95 % interval of their ratio, whichever is
wider. Rows that were disturbed on purpose are not valid.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bench.results.integrity import load_verified_results
from bench.results.store import Results, latencies_ns
from bench.results.validity import KNOWN_WITHIN
from bench.stats.ratios import Ratio, ratio
from common.cli import run_cli
from common.interval import Interval, of_share
from common.verdict import EXIT_CODES, Verdict, judge, overall
from device.errors import EdgeproofError

PROMISED = 0.95  # of the rows that are called valid, and of those that were disturbed
VALID_PROMISED = 0.90  # of all rows, on a quiet machine


@dataclass(frozen=True)
class Repeated:
    """A row in both runs. `doubt` is the reason why one of the runs marks it as not valid."""

    key: str
    ratio: Ratio
    doubt: str | None

    @property
    def agrees(self) -> bool:
        """Say whether the two p50s agree within 5 %, or as far as their intervals show."""
        near = 1 / (1 + KNOWN_WITHIN) <= self.ratio.value <= 1 + KNOWN_WITHIN
        return near or not self.ratio.distinguishable


@dataclass(frozen=True)
class Share:
    """How many of some rows are as they should be."""

    what: str
    right: int
    rows: int
    promised: float

    @property
    def verdict(self) -> Verdict:
        """Return PASS where the promised share is reached, FAIL where so few are right that chance cannot explain it."""
        if not self.rows:
            return Verdict.INCONCLUSIVE
        if judge(Interval.exact(self.right / self.rows), self.promised, at_most=False) is Verdict.PASS:
            return Verdict.PASS
        return judge(of_share(self.right, self.rows), self.promised, at_most=False)

    @property
    def line(self) -> str:
        """Return the share for people."""
        if not self.rows:
            return f"{self.what}: there is no such row"
        share = of_share(self.right, self.rows)
        found = f"{100 * self.right / self.rows:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"
        promised = f"promised {100 * self.promised:.0f} %: {self.verdict.value}"
        return f"{self.what}: {self.right} of {self.rows}, {found}, {promised}"


def repeated_rows(first: Results, second: Results) -> Iterator[Repeated]:
    """Yield the rows that both runs have, with two processes or more, in the order of the first run."""
    others = {row.subject.key: row for row in second.rows}
    for row in first.rows:
        key = row.subject.key
        other = others.get(key)
        if other is None or min(row.latency.processes, other.latency.processes) < 2:
            continue
        yield Repeated(
            key,
            ratio(latencies_ns(second, other), latencies_ns(first, row)),
            row.latency.why_invalid or other.latency.why_invalid,
        )


def shares(rows: Sequence[Repeated], disturbed: Mapping[str, Results]) -> list[Share]:
    """Return the shares that are promised; of disturbed runs, by name, how many rows are called invalid."""
    valid = [row for row in rows if row.doubt is None]
    found = [
        Share("rows that both runs call valid", len(valid), len(rows), VALID_PROMISED),
        Share("of these, rows that agree", sum(row.agrees for row in valid), len(valid), PROMISED),
    ]
    for name, results in disturbed.items():
        invalid = sum(not row.latency.valid for row in results.rows)
        found.append(Share(f"disturbed rows of {name} that are called invalid", invalid, len(results.rows), PROMISED))
    return found


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--disturbed", multiple=True, type=click.Path(path_type=Path), help="A run that was disturbed on purpose.")
def main(first: Path, second: Path, disturbed: tuple[Path, ...]) -> int:
    """Print each row's ratio of p50s, SECOND over FIRST, and how often a row that is called valid agrees."""
    rows = list(repeated_rows(load_verified_results(first), load_verified_results(second)))
    if not rows:
        raise EdgeproofError(f"{first}, {second}: no row is in both with two processes: measure both in the same way")
    for row in rows:
        doubt = f"  ({row.doubt})" if row.doubt else ""
        mark = " " if row.agrees else "!"
        click.echo(f"{mark} {row.ratio.value:6.3f} [{row.ratio.low:.3f}, {row.ratio.high:.3f}]  {row.key}{doubt}")
    present = {str(path): load_verified_results(path) for path in disturbed if path.exists()}
    for path in disturbed:
        if str(path) not in present:
            click.echo(f"SKIPPED: {path}: this machine could not be disturbed so")
    found = shares(rows, present)
    for share in found:
        click.echo(share.line)
    return EXIT_CODES[overall(share.verdict for share in found)]


if __name__ == "__main__":
    run_cli(main, "bench.analysis.repeatability")
