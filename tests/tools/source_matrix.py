"""Every source format × every variant × every runtime that claims it: converts and answers rightly, or is refused.

`python -m tests.tools.source_matrix docs/own-models.md` converts an example of each source to each variant, answers its
pictures in each runtime, and writes the table between the marks of that page. Ends with 1 where something is neither right
nor refused in one line; the page then stays as it is.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.runtimes import find_accelerator, find_runtime, runtimes_by_default
from common.files import write_bytes
from convert.child import LOGGED, Child, Workplace
from convert.importing.add_card import CardOptions, add_card
from convert.importing.import_model import import_model
from convert.importing.import_options import ImportOptions
from convert.pipeline import convert_model
from convert.trained_model import NO_TFLITE, name_of
from convert.variants import GIVEN, VARIANTS, Variant
from device.errors import EdgeproofError, RuntimeMissing
from device.formats.model_file import read_card
from device.preprocessing.prepare import prepare, read_picture
from tests.support.models.imported_models import COLOURS, Paint, write_paint
from tests.support.models.source_examples import EXAMPLES, Example

BEGIN, END = "<!-- written by make matrix -->", "<!-- end of what make matrix wrote -->"
MADE = tuple(variant for variant in VARIANTS if not variant.by_doctor)
NAMES = {"litert": "LiteRT", "tflite_runtime": "tflite-runtime", "onnxruntime": "onnxruntime"}


@dataclass
class Cell:
    """What became of one source in one variant: right answers by runtime, and refusals by whom."""

    source: str
    variant: str  # as "int8.onnx"
    right: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # reasons, each one line
    wrong: list[str] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        """Say whether it answers rightly somewhere or is refused in one line, and nowhere answers wrongly.

        A library that crashed, or raised what nobody foresaw, has refused nothing.
        """
        foreseen = all("\n" not in reason and LOGGED not in reason for reason in self.refused)
        return not self.wrong and bool(self.right or self.refused) and foreseen


class Runtimes(ExitStack):
    """A process for each runtime: tflite-runtime fails in one that holds TensorFlow, and no user has them in one."""

    def __init__(self) -> None:
        super().__init__()
        self._children: dict[str, Child] = {}

    def child(self, name: str) -> Child:
        """Return the process of a runtime, started when it is first asked for."""
        if name not in self._children:
            self._children[name] = self.enter_context(Child(_nothing))
        return self._children[name]


def cells(example: Example, paint: Paint, folder: Path, variants: Sequence[Variant] = MADE) -> list[Cell]:
    """Take an example in and convert it in `folder`/build, and answer its pictures in every runtime that is here."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        path = example.build(folder)
        with Runtimes() as runtimes:
            if example.converted:
                return list(_given(example, path, paint, runtimes))
            return list(_made(example, path, paint, runtimes, variants))
    finally:
        os.chdir(before)


def _given(example: Example, path: Path, paint: Paint, runtimes: Runtimes) -> Iterator[Cell]:
    cell = Cell(example.name, f"{GIVEN}.tflite")
    labels = None if example.labelled else paint.labels
    with Child(_nothing) as child:
        file = child.run(_taken, CardOptions(path, labels, example.range, name="paint"))
    _answer(cell, file, paint, runtimes)
    yield cell


def _made(example: Example, path: Path, paint: Paint, runtimes: Runtimes, variants: Sequence[Variant]) -> Iterator[Cell]:
    refused: list[str] = []
    labels = None if example.labelled else paint.labels
    told = ImportOptions(path, labels, paint.classes, input_range=example.range, size=example.size, name="paint")
    with Child(_nothing) as child:
        model = child.run(_imported, told)
        made = {artifact.variant.key: artifact.path for artifact in convert_model(child, model, variants, refused.append)}
    for variant in variants:
        cell = Cell(example.name, variant.key)
        if variant.key in made:
            _answer(cell, made[variant.key], paint, runtimes)
        else:
            beginning = f"{model.parent / name_of(model)}.{variant.key}: "
            said = [line.removeprefix(beginning) for line in refused if line.startswith(beginning)]
            cell.refused += [line.removesuffix(": not written") for line in said] or [NO_TFLITE]
        yield cell


def _imported(workplace: Workplace, told: ImportOptions) -> Path:
    return import_model(told, workplace.say)


def _taken(workplace: Workplace, told: CardOptions) -> Path:
    return add_card(told, workplace.say).path


def _nothing(_line: str) -> None:
    pass


def _answer(cell: Cell, artifact: Path, paint: Paint, runtimes: Runtimes) -> None:
    """Answer the pictures in every runtime that claims the format and is here."""
    wanted, files = zip(*_pictures(paint), strict=True)
    for name in runtimes_by_default():
        if artifact.suffix[1:] not in find_runtime(name).FORMATS:
            continue
        shown = NAMES.get(name, name)
        try:
            find_accelerator(name)
            answers = runtimes.child(name).run(_labels, name, artifact.resolve(), files)
        except RuntimeMissing:
            continue  # what is absent is neither
        except EdgeproofError as error:
            cell.refused.append(f"{shown}: {str(error).split(': ', 1)[-1]}")
            continue
        wrong = [f"{shown}: {label} is {found}" for label, found in zip(wanted, answers, strict=True) if found != label]
        cell.wrong += wrong
        cell.right += [] if wrong else [shown]


def _pictures(paint: Paint) -> list[tuple[str, Path]]:
    return [(label, file.resolve()) for label in COLOURS for file in sorted((paint.classes / label).iterdir())]


def _labels(_workplace: Workplace, name: str, artifact: Path, files: Sequence[Path]) -> list[str]:
    """Answer picture files in a runtime. Raises RuntimeMissing where it is not here."""
    runtime, card = find_runtime(name), read_card(artifact)
    assert card is not None
    runtime.import_library()
    session = runtime.open_session(artifact, card, 1)
    tensors = [session.tensor(prepare(read_picture(file), card)) for file in files]
    return [card.labels[int(np.argmax(session.scores(session.infer(tensor))))] for tensor in tensors]


# ---- the table ------------------------------------------------------------------------------------------------------


def table(found: Sequence[Cell]) -> str:
    """Return a Markdown table, a line a source and a column a variant, and under it the reasons of what is refused."""
    keys = [
        key for key in [*(variant.key for variant in MADE), f"{GIVEN}.tflite"] if any(one.variant == key for one in found)
    ]
    reasons: list[str] = []
    lines = ["| source | " + " | ".join(f"`{key}`" for key in keys) + " |", "| --- |" + " --- |" * len(keys)]
    for source in dict.fromkeys(one.source for one in found):
        of = {one.variant: one for one in found if one.source == source}
        lines.append(f"| {source} | " + " | ".join(_cell(of.get(key), reasons) for key in keys) + " |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes]) if notes else "\n".join(lines)


def _cell(cell: Cell | None, reasons: list[str]) -> str:
    if cell is None:
        return ""
    for reason in cell.refused:
        if reason not in reasons:
            reasons.append(reason)
    parts = [", ".join(cell.right)] if cell.right else []
    parts += [f"refused ({reasons.index(reason) + 1})" for reason in cell.refused]
    parts += ["**wrong**"] if cell.wrong else []
    return "; ".join(parts)


def put_between_marks(page: Path, text: str) -> None:
    """Write the table between the marks of a page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    write_bytes(page, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}".encode())


def main(page: Path, say: Callable[[str], None] = print) -> int:
    """Fill the matrix and write it into a page."""
    found: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        (Path(name) / "paint").mkdir()
        paint = write_paint(Path(name) / "paint")
        for number, example in enumerate(EXAMPLES):
            found += cells(example, paint, Path(name) / str(number))
            here = [one for one in found if one.source == example.name]
            say(f"{example.name}: {sum(one.passes for one in here)} of {len(here)} variants as they should be")
    failed = [one for one in found if not one.passes]
    if not failed:
        put_between_marks(page, table(found))
    for one in failed:
        say(f"{one.source}, {one.variant}: {'; '.join(one.wrong or one.refused) or 'neither answered nor refused'}")
    right = sum(len(one.right) for one in found)
    say(f"{len(found)} pairs of source and variant, {right} times right in a runtime, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
