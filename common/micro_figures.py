"""What a microcontroller's interpreter needs of a model file: `bench` measures it, `convert` judges and exports with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import read_document, reading_together
from common.interval import Interval
from common.json_record import Damaged, Defect, Record
from common.paths import PROGRAM, RESULTS
from device.errors import EdgeproofError

RESULTS_SCHEMA = 1  # of bench.json
KEY = "microcontroller"  # of a row that has figures
DEVICE = "tflite-micro"  # the device that measures them: bench/devices/tflite-micro.toml


def how_to_set_up() -> str:
    """Return how the interpreter's environment is made, for a message."""
    own = "an environment of Python 3.11 with tflite-micro and a device file of your own make it (docs/microcontroller.md)"
    return "`make setup-micro` makes it" if (PROGRAM / "Makefile").exists() else own


@dataclass(frozen=True, kw_only=True)
class MicroFigures(Record):
    """The figures of one model in TensorFlow Lite for Microcontrollers' interpreter, with its reference kernels."""

    interpreter: str  # with its version
    model_sha256: str  # of the model's own bytes, as the card says it
    flash_bytes: int  # of the model's own bytes: the card stays behind
    arena_bytes: int  # the least arena that works on a 64-bit host
    tensor_bytes: int = 0  # of it: tensors and scratch memory, as large on 32 bits; 0: not known
    operations: tuple[str, ...]  # names of the schema, such as "CONV_2D"
    compared: int  # answers that were compared with those of LiteRT's reference kernels
    equal: int  # of these: equal in every bit

    @property
    def arena_on_32_bits(self) -> Interval:
        """Return the arena in bytes, with its borders on a 32-bit processor with the same kernels.

        What is not a tensor there are structures of pointers and numbers: each is at least half as large, and never larger.
        """
        low = self.tensor_bytes + (self.arena_bytes - self.tensor_bytes) / 2
        return Interval(self.arena_bytes, low, self.arena_bytes)

    def defects(self) -> Iterator[Defect]:
        """Yield impossible sizes and counts."""
        if not 0 <= self.tensor_bytes <= self.arena_bytes or not self.arena_bytes:
            yield Defect("arena_bytes", self.arena_bytes, "more than 0, and at least tensor_bytes")
        if self.flash_bytes <= 0:
            yield Defect("flash_bytes", self.flash_bytes, "more than 0")
        if not 0 <= self.equal <= self.compared:
            yield Defect("equal", self.equal, "at most `compared`")


@dataclass(frozen=True)
class MeasuredFigures:
    """The figures that a bench.json holds, and why rows on that device were skipped."""

    by_model: dict[str, MicroFigures]  # by model_sha256
    refused: dict[tuple[str, str | None, str], str]  # the reason, by model, name and variant

    @staticmethod
    def read(named: Path | None) -> "MeasuredFigures":
        """Read a named bench.json, or that of build/: where there is none, nothing is measured.

        Raises EdgeproofError for a damaged one, and for a named one that is not there.
        """
        if named is None and not RESULTS.exists():
            return MeasuredFigures({}, {})
        results = named or RESULTS
        with reading_together(results.parent):
            document = read_document(results, RESULTS_SCHEMA, "measure again")
        try:
            found = [
                MicroFigures.from_json(row[KEY], f"measurements[{place}].{KEY}")
                for place, row in enumerate(_objects(document, "measurements"))
                if row.get(KEY) is not None
            ]
        except Damaged as damage:
            raise EdgeproofError(
                f"{results}: damaged: {damage}: restore the file, or remove it and measure again"
            ) from damage
        refused = {
            _names(row): str(row.get("reason")) for row in _objects(document, "skipped") if row.get("device") == DEVICE
        }
        return MeasuredFigures({figures.model_sha256: figures for figures in found}, refused)


def _names(row: dict[str, Any]) -> tuple[str, str | None, str]:
    name = row.get("name")
    return str(row.get("model")), None if name is None else str(name), str(row.get("variant"))


def _objects(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects of a list; what is none of them is `bench`'s to refuse."""
    found = document.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
