"""Instruction counts of each phase of a run. A count is not a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from common.json_record import Record

CANNOT_SEE = "instructions, not time: a count leaves out memory, caches, clocks and the cost of an instruction"


@dataclass(frozen=True)
class Instructions(Record):
    """Instructions that one process executed in user space, phase by phase, with one thread."""

    core: str  # QEMU's name of the processor, or "host"
    counter: str  # the counting program, with its version
    user_space_sha256: str | None  # of the parts of an emulated device; only equal ones can be compared
    # From the process's first instruction to the runtime's import: Python, numpy, Pillow, the card. The only figure
    # that varies, by some hundred instructions of half a billion, since Python's start reads clock and process id.
    start: int
    import_runtime: int
    load: int
    first_inference: int
    steady_inference: int  # the median of `inferences`
    steady_range: tuple[int, int]  # least and most
    inferences: int
    dot_products: int | None  # SDOT and UDOT of one steady inference; None where the counter cannot say
    cannot_see: str = CANNOT_SEE


def of_marks(
    totals: Sequence[int], core: str, counter: str, user_space_sha256: str | None, dots: Sequence[int] | None = None
) -> Instructions:
    """Derive the phases from the totals at phase_worker.py's marks, START first, one for each steady inference last.

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
