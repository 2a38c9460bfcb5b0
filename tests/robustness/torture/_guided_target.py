"""A process that atheris feeds: python -m tests.robustness.torture._guided_target TARGET CORPUS [libFuzzer's options].

Any bytes must be read, or refused with an EdgeproofError. Anything else ends the process, and the input is kept.
"""

import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

from tests.support.packages import PACKAGES

with atheris.instrument_imports(include=list(PACKAGES)):
    from bench.budgets.rules import load_budgets
    from bench.remote.device_config import read_device
    from bench.results.store import load_results
    from convert.deployment.microcontroller.board import read_board
    from convert.deployment.target import read_target
    from convert.show import card_text
    from device.card import Card
    from device.errors import EdgeproofError
    from device.files import parse_json
    from device.formats.model_file import read_card
    from device.preprocessing.prepare import prepare, read_picture, run_steps

from PIL import Image

from tests.robustness.corpus.documents import BASELINE
from tests.robustness.corpus.models import good_card

FOLDER = Path(tempfile.mkdtemp(prefix="edgeproof-target-"))
MAX_PIXELS = 4_000_000  # larger ones are tried by the corpus


def tflite(data: bytes) -> None:
    """Read a model and its card."""
    path = _written("fuzzed.tflite", data)
    card = read_card(path)
    if card is not None:
        card_text(path, "tflite", card)


def card(data: bytes) -> None:
    """Read a card's JSON and prepare a picture as it says."""
    try:
        read = Card.from_json(parse_json(data))
    except (ValueError, RecursionError):  # what read_card makes of them a CardError
        return
    run_steps(Image.new("L", (30, 40), 9), read.preprocess)


def toml(data: bytes) -> None:
    """Read budgets, a device, a board and a target."""
    path = _written("fuzzed.toml", data)
    for read in (load_budgets, read_device, read_board, read_target):
        with suppress(EdgeproofError):
            read(path)


def results(data: bytes) -> None:
    """Read a bench.json; the samples beside it are the good one's."""
    path = _written("fuzzed.json", data)
    if not (samples := path.with_suffix(".npz")).exists():
        shutil.copy(BASELINE / "bench.npz", samples)
    load_results(path)


def picture(data: bytes) -> None:
    """Decode a picture and prepare it."""
    image = read_picture(io.BytesIO(data))
    if image.width * image.height <= MAX_PIXELS:
        prepare(image, Card.from_json(good_card()))


def _written(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in (tflite, card, toml, results, picture)}


def main() -> None:
    """Feed the target named by the first argument; libFuzzer ends the process."""
    target = TARGETS[sys.argv.pop(1)]

    def read_or_refused(data: bytes) -> None:
        with suppress(EdgeproofError):
            target(data)

    atheris.Setup(sys.argv, read_or_refused)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
