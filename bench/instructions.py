"""What was counted: instructions of each phase of a run. A count, never a time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median_low
from typing import Any

CANNOT_SEE = "instructions, not time: memory, caches, clocks and what an instruction costs are not seen"


@dataclass(frozen=True)
class Instructions:
    """Instructions that one process executed in user space, phase by phase, with one thread."""

    core: str  # QEMU's name of the processor, or "host"
    counter: str  # what counted, with its version
    user_space_sha256: str | None  # of what an emulated device is made of; only equal ones can be compared
    # From the process's first instruction to before the runtime's import: Python, numpy, Pillow, the card. The one figure
    # that trembles, by some hundred instructions of half a billion: Python's start looks at clock and process id.
    start: int
    import_runtime: int
    load: int
    first_inference: int
    steady_inference: int  # the median of `inferences`
    steady_range: tuple[int, int]  # least and most
    inferences: int
    dot_products: int | None  # SDOT and UDOT of one steady inference; None where the counter does not tell

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "steady_range": list(self.steady_range), "cannot_see": CANNOT_SEE}


def of_marks(
    totals: Sequence[int], core: str, counter: str, user_space_sha256: str | None, dots: Sequence[int] | None = None
) -> Instructions:
    """Derive the phases from the totals at the marks of bench/marked.py, START first, one a steady inference at the end.

    `dots` are the totals of dot products at the same marks. Raises ValueError where marks are missing.
    """
    if len(totals) < 6:
        raise ValueError(f"{len(totals)} marks, at least 6 are needed")
    start, imported, loaded, ready, first, *_ = totals
    steady = [after - before for before, after in pairwise(totals[4:])]
    steady_dots = None if dots is None else [after - before for before, after in pairwise(dots[4:])]
    return Instructions(
        core=core,
        counter=counter,
        user_space_sha256=user_space_sha256,
        start=start,
        import_runtime=imported - start,
        load=loaded - imported,
        first_inference=first - ready,
        steady_inference=median_low(steady),
        steady_range=(min(steady), max(steady)),
        inferences=len(steady),
        dot_products=None if steady_dots is None else median_low(steady_dots),
    )
