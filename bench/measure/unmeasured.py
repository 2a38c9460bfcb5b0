"""What a run was asked for and did not measure: a step of CI must not pass without a figure."""

from collections.abc import Sequence
from pathlib import Path

from bench.results.measurement import Measurement


def unmeasured(named: Sequence[Path], measured: Sequence[Measurement]) -> list[str]:
    """Return a line for each named file that was measured in no runtime, and one where no row was measured at all."""
    found = {row.artifact.path for row in measured}
    missed = [path for path in dict.fromkeys(named) if str(path) not in found]
    if not missed and not measured:
        return [f"no row was measured: {REASONS}"]
    return [f"{path}: was measured in no runtime: {REASONS}" for path in missed]


REASONS = "each skipped row says why"
