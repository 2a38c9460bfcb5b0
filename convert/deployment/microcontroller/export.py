"""`convert export`: a folder with what a microcontroller's project needs of a model."""

from dataclasses import dataclass
from pathlib import Path

from common.files import replacing_folder
from common.micro_figures import MeasuredFigures
from common.tables import markdown_text
from common.verdict import EXIT_INCONCLUSIVE, Verdict
from convert.deployment.microcontroller.board import Board
from convert.deployment.microcontroller.compiling import compiled_here
from convert.deployment.microcontroller.fit import Fit, fit
from convert.deployment.microcontroller.golden_vectors import card_with_golden_pictures, golden_vectors
from convert.deployment.microcontroller.sources import COMPILED, MAIN, Model, source_files
from device.card import Card
from device.errors import CheckFailed, EdgeproofError
from device.formats.model_file import read_model_bytes, split_card
from device.safe_text import printable

ARENA_OF = "the least on a 64-bit host with the reference kernels (other kernels may need more)"


class NotMeasured(EdgeproofError):
    """The arena of a model is not known, so no export of it could run. The command ends with 3."""

    exit_code = EXIT_INCONCLUSIVE


@dataclass(frozen=True)
class Exported:
    """A written folder."""

    folder: Path
    fit: Fit
    compiler: str | None  # with its options; None: there is none here

    @property
    def line(self) -> str:
        """Return a line for people."""
        compiled = f"{', '.join(COMPILED)} with {self.compiler}" if self.compiler else "nothing: no C compiler is here"
        return f"{self.folder}: {self.fit}; compiled here: {compiled}; not compiled here: {MAIN.name}, operations.h"


def write_export(artifact: Path, board: Board, folder: Path, measured: MeasuredFigures) -> Exported:
    """Write an artifact's folder for a board: all of it or nothing.

    Raises CheckFailed where it does not fit, NotMeasured where its arena is not known, EdgeproofError where the folder
    exists or cannot be written, or the artifact has no card with golden pictures.
    """
    if folder.exists() or folder.is_symlink():
        raise EdgeproofError(f"{folder}: exists already and stays as it is: remove it, or write elsewhere with --output DIR")
    if printable(artifact.name) != artifact.name:
        raise EdgeproofError(f"{artifact}: its name holds control characters: rename it")
    found = fit(artifact, board, measured)
    if found.verdict is Verdict.FAIL:
        raise CheckFailed(f"{artifact}: {board.name}: {found}")
    if found.figures is None:
        raise NotMeasured(f"{artifact}: {board.name}: {found}")
    card = card_with_golden_pictures(artifact)
    own = split_card(artifact, read_model_bytes(artifact))[0]
    model = Model(board, card, own, found.figures, golden_vectors(artifact))
    try:
        files = source_files(model)
    except EdgeproofError as error:
        raise type(error)(f"{artifact}: {error}") from error
    with replacing_folder(folder) as new:
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        compiler = compiled_here(new, COMPILED)
        (new / "README.md").write_text(_readme(model, compiler), encoding="utf-8")
    return Exported(folder, found, compiler)


def _readme(model: Model, compiler: str | None) -> str:
    """Return ten lines for the person who builds it."""
    figures, golden, interpreter = model.figures, model.golden, markdown_text(model.figures.interpreter)
    outputs = golden.outputs
    compiled = f"`{'` and `'.join(COMPILED)}` were compiled with `{compiler}`" if compiler else "nothing was compiled"
    same = f"{figures.equal:,} of {figures.compared:,} pictures"
    test = f"`golden.c`, for the test alone, takes {golden.inputs.values.nbytes + outputs.values.nbytes:,} more"
    score = f"score = (value − {outputs.zero_point}) × {outputs.scale:.9g}" if outputs.scale else "a value is a score"
    lines = (
        f"# {markdown_text(model.title)} ({model.board.core})",
        "",
        f"Flash: {len(model.own):,} bytes for the array in `model.c`, whose SHA-256 is the card's, {model.sha256}; {test}.",
        f"RAM: an arena of {figures.arena_bytes:,} bytes, {ARENA_OF}; the interpreter's own code is not counted.",
        "Build: add all files to a project with TensorFlow Lite for Microcontrollers; `operations.h` names what it links.",
        f"Test: `main.cc` answers {golden.pictures} golden pictures and prints PASS if all outputs are as expected.",
        f"Input: {golden.inputs.values.dtype}, {_shape(model.card)}; a picture is prepared by: {_steps(model.card)}.",
        f"Output: {outputs.values.dtype}, {outputs.values.shape[1]} values; {score}; the labels are in `model.c`.",
        f"Shown here: {interpreter} answered {same} as LiteRT's reference kernels, bit for bit; {compiled}.",
        "Not shown here: `main.cc` and `operations.h` were not compiled, and nothing ran on a board.",
    )
    return "".join(f"{line}\n" for line in lines)


def _shape(card: Card) -> str:
    return f"{card.height}×{card.width}×{card.channels}"


def _steps(card: Card) -> str:
    return ", ".join(step.name for step in card.preprocess) or "as it is"
