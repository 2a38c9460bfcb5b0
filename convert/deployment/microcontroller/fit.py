"""Whether a model fits on a board: its bytes in the flash, its arena in the RAM. The rest of a program is not counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from common.advice import command
from common.interval import Interval
from common.micro_figures import DEVICE, MeasuredFigures, MicroFigures, how_to_set_up
from common.verdict import Verdict, judge, overall
from convert.deployment.microcontroller.board import Board
from convert.deployment.neighbours import other_variants
from device.card import Card
from device.errors import EdgeproofError
from device.formats.model_file import model_format, read_card, read_model_bytes, split_card

NOT_COUNTED = (
    "Arenas: the least on a 64-bit host, with the reference kernels; other kernels may need more. The interpreter's own "
    "code and the rest of the program are not counted."
)
WORDS = {Verdict.PASS: "fits", Verdict.FAIL: "does not fit", Verdict.INCONCLUSIVE: "not known"}


@dataclass(frozen=True)
class Fit:
    """Whether a file fits on a board, by how much, and what is known of its arena."""

    path: Path
    board: Board
    verdict: Verdict
    reasons: tuple[str, ...]  # one for the flash, one for the arena; or why it does not run at all
    figures: MicroFigures | None = None  # None: its arena is not measured
    instead: tuple[str, ...] = ()  # names of the model's other variants beside the file that fit

    def __str__(self) -> str:
        said = f"{WORDS[self.verdict]}: {'; '.join(self.reasons)}"
        if self.verdict is Verdict.PASS:
            return said
        if self.instead:
            return f"{said}: {', '.join(self.instead)} would fit"
        return said if self.verdict is Verdict.INCONCLUSIVE else f"{said}: no other variant beside it is shown to fit"


def fit(path: Path, board: Board, measured: MeasuredFigures) -> Fit:
    """Judge a `.tflite`, by its own bytes and its measured arena. Raises ModelError or CardError for a damaged file."""
    found = _judged(path, board, measured)
    if found.verdict is Verdict.PASS:
        return found
    instead = tuple(_variants_that_fit(path, board, measured))
    return Fit(path, board, found.verdict, found.reasons, found.figures, instead)


def _judged(path: Path, board: Board, measured: MeasuredFigures) -> Fit:
    data = read_model_bytes(path)
    card = read_card(path)  # a card of another model is an error now, not only on the board
    if model_format(path, data) != "tflite":
        return Fit(path, board, Verdict.FAIL, ("TensorFlow Lite for Microcontrollers reads .tflite files alone",))
    own = split_card(path, data)[0]
    figures = measured.by_model.get(sha256(own).hexdigest())
    flash = Interval.exact(len(own))
    verdicts = [judge(flash, board.flash_bytes, at_most=True)]
    reasons = [_part("model", verdicts[0], flash, board.flash_bytes, "flash")]
    if figures is None:
        verdicts.append(Verdict.INCONCLUSIVE)
        reasons.append(_how_to_measure(path, card, measured))
    else:
        arena = figures.arena_on_32_bits
        verdicts.append(judge(arena, board.arena_limit_bytes, at_most=True))
        reasons.append(_part("arena", verdicts[1], arena, board.arena_limit_bytes, board.ram_text))
    verdict = overall(verdicts)
    if verdict is Verdict.FAIL:  # what fits, or is not known, decides nothing any more
        reasons = [reason for one, reason in zip(verdicts, reasons, strict=True) if one is Verdict.FAIL]
    return Fit(path, board, verdict, tuple(reasons), figures)


def _part(what: str, verdict: Verdict, needed: Interval, there: int, where: str) -> str:
    """Return "arena 31.6 kB of 270.3 kB RAM, 238.8 kB left", or by how much it is too large."""
    text = f"{what} {_kb(needed.value)} of {_kb(there)} {where}"
    if verdict is Verdict.PASS:
        return f"{text}, {_kb(there - needed.high)} left"
    if verdict is Verdict.FAIL:
        return f"{text}, {_kb(needed.value - there)} too much"
    return f"{text} on a 64-bit host, at least {_kb(needed.low)} on the board: only the board can tell"


def _how_to_measure(path: Path, card: Card | None, measured: MeasuredFigures) -> str:
    name = None if card is None else card.document.get("name")
    refused = card and measured.refused.get((card.model, name, card.variant))
    if refused:
        return f"its arena is not measured ({refused})"
    how = command("bench", "run", "--device", DEVICE, path)
    return f"its arena is not measured: `{how}` measures it; it needs the interpreter: {how_to_set_up()}"


def _kb(size_bytes: float) -> str:
    return f"{size_bytes / 1000:,.1f} kB"


def _variants_that_fit(path: Path, board: Board, measured: MeasuredFigures) -> Iterator[str]:
    """Yield the names of the files MODEL.OTHER_VARIANT.tflite beside MODEL.VARIANT.FORMAT that are shown to fit."""
    for other in other_variants(path):
        try:
            if _judged(other, board, measured).verdict is Verdict.PASS:
                yield other.name
        except EdgeproofError:  # a damaged file is not suggested
            continue
