"""Counting the instructions of artifacts on emulated cores and on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.artifacts import Found
from bench.emulated.device import emulated_names, find_emulated, of_core
from bench.host_count import count_here
from bench.instructions import CANNOT_SEE, Instructions
from bench.measurement import Skipped, Subject
from bench.phases import Phases, Refused
from bench.rehearse import Outcome, Say, instructions_text, rehearse, runtimes_of, subject_on
from device.classify import EdgeproofError
from train.files import sha256_of

HOST = "host"
PICTURES = 20  # that a counted row is tried on, for its accuracy


@dataclass
class Counted:
    """What was counted: rows of emulated devices, and the counts of rows that this machine has measured."""

    emulated: Outcome = field(default_factory=Outcome)
    here: list[tuple[Subject, str, Instructions]] = field(default_factory=list)  # with the artifact's hash
    skipped: list[Skipped] = field(default_factory=list)
    failed_here: bool = False

    @property
    def crashed(self) -> bool:
        return self.emulated.crashed or self.failed_here


def count_all(artifacts: Sequence[Found], cores: str, runtimes: Sequence[str], say: Say) -> Counted:
    """Count each artifact in each runtime on the cores of a list "cortex-a72,host" (every emulated one and host for "all").

    Raises EdgeproofError for an unknown core.
    """
    every = [find_emulated(name).core.name for name in emulated_names()]
    asked = [*every, HOST] if cores == "all" else [name.strip() for name in cores.split(",") if name.strip()]
    devices = [of_core(core) for core in dict.fromkeys(asked) if core != HOST]
    counted = Counted()
    if devices:
        counted.emulated = rehearse(artifacts, devices, runtimes, PICTURES, say, count=True, compare=False)
    if HOST in asked:
        for found in artifacts:
            for runtime in runtimes_of(found, runtimes):
                _count_here(found, runtime, counted, say)
    return counted


def _count_here(found: Found, runtime: str, counted: Counted, say: Say) -> None:
    subject = subject_on(found, runtime, HOST)
    try:
        instructions = count_here(Phases(found.path, runtime))
    except EdgeproofError as error:
        counted.failed_here |= not isinstance(error, Refused)
        counted.skipped.append(Skipped(subject, str(error)))
        say(f"  {subject.key}: skipped: {error}")
        return
    counted.here.append((subject, sha256_of(found.path), instructions))
    say(f"  {subject.key}: {instructions_text(instructions)}")


def counts_table(counted: Counted) -> list[str]:
    """Return a line for each count, in millions, columns aligned, and what a count cannot see."""
    rows = [(rehearsal.subject, rehearsal.measurement.instructions) for rehearsal in counted.emulated.rehearsals]
    rows += [(subject, instructions) for subject, _, instructions in counted.here]
    cells = [["", "core", "steady M", "dot products M", "first M", "load M", "import M", "counter"]]
    for subject, instructions in rows:
        if instructions is None:
            continue
        dots = "–" if instructions.dot_products is None else f"{instructions.dot_products / 1e6:.3f}"
        phases = (instructions.first_inference, instructions.load, instructions.import_runtime)
        millions = [f"{number / 1e6:.3f}" for number in (instructions.steady_inference, *phases)]
        name = f"{subject.model} {subject.variant}.{subject.format} {subject.runtime}"
        cells.append([name, instructions.core, millions[0], dots, *millions[1:], instructions.counter])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    aligned = [
        "  ".join(f"{cell:{'>' if 2 <= column <= 6 else '<'}{widths[column]}}" for column, cell in enumerate(row))
        for row in cells
    ]
    return [*(line.rstrip() for line in aligned), CANNOT_SEE]
