"""How the quantized files of a model answer the test pictures, compared with files of a conversion without bias correction.

Run `python -m convert.doctor.quality MODEL...`, or `make quantization-quality`. It is a benchmark, not a test: it uses the
test pictures, and no choice depends on them. "int8.tflite" is the artifact in build/. "plain int8.tflite" is the same
conversion without bias correction.
"""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from common.cli import run_cli
from common.interval import Interval, of_share
from common.native_lines import filtered
from common.outputs import refuse_overwriting
from common.paired_accuracy import Paired
from common.tables import table_lines
from convert.formats import to_onnx, to_tflite
from convert.trained_model import TrainedModel, keras_path
from convert.variants import Variant, find_variants
from device.card import Card
from device.errors import EdgeproofError, RuntimeMissing
from device.formats.model_file import read_card
from device.open_model import open_session
from train.data.dataset import Pixels
from train.fitting.predict import probabilities

OLD_RUNTIME = "tflite_runtime"  # over ten times slower with int8 on x86, so it answers only OLD_PICTURES
OLD_PICTURES = 1_000
COLUMNS = ("model", "file", "runtime", "pictures", "different", "of 10,000 [99 %]", "points lost [99 %]")
LEFT_OUT_FIRST = ("pictures",)

Answers = npt.NDArray[np.int64]  # (N,)


@dataclass(frozen=True)
class Quality:
    """How one file's answers to the test pictures compare with Keras's."""

    model: str
    file: str  # "int8.tflite", or "plain int8.tflite"
    runtime: str
    differing: int  # pictures that Keras answers differently
    paired: Paired

    @property
    def share(self) -> Interval:
        """Return the share of pictures that are answered differently from Keras, with its interval."""
        return of_share(self.differing, int(self.paired.total))

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the percentage points lost with their 99 % interval."""
        lost = self.paired.judged_drop()
        return {
            "model": self.model,
            "file": self.file,
            "runtime": self.runtime,
            "pictures": int(self.paired.total),
            "otherwise": self.differing,
            "points_lost": round(100 * lost.value, 4),
            "points_lost_ci99": [round(100 * lost.low, 4), round(100 * lost.high, 4)],
        }


def qualities(trained: TrainedModel) -> Iterator[Quality]:
    """Yield the quality of each calibrated artifact that conversion makes by default, and of its plain conversion.

    Raises EdgeproofError for a missing artifact.
    """
    split, name = trained.dataset.test, trained.folder.name
    pixels = split.prepared(trained.steps)
    keras = probabilities(trained.network, pixels).argmax(axis=1)
    for variant in find_variants([]):
        if not variant.calibrated or variant.format not in trained.formats:
            continue
        path = trained.folder / f"{trained.name}.{variant.key}"
        card = read_card(path) if path.is_file() else None
        if card is None:
            raise EdgeproofError(f"{path}: no such artifact: convert it with `edgeproof convert run {name}`")

        def quality(file: str, runtime: str, found: Answers) -> Quality:
            count = len(found)
            differing = int((found != keras[:count]).sum())
            return Quality(name, file, runtime, differing, Paired.of(keras[:count], found, split.labels[:count]))

        with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
            plain = Path(folder) / f"plain.{variant.format}"
            plain.write_bytes(_plain(trained, variant))
            yield quality(f"plain {variant.key}", *_answers(plain, card, pixels))
        yield quality(variant.key, *_answers(path, card, pixels))
        if variant.format == "tflite":
            try:
                yield quality(variant.key, *_alone(path, card, pixels[:OLD_PICTURES], OLD_RUNTIME))
            except RuntimeMissing:
                continue


def _plain(trained: TrainedModel, variant: Variant) -> bytes:
    if variant.format == "onnx":
        return to_onnx.convert(variant, trained.onnx, lambda: trained.calibration).data
    return to_tflite.convert(trained.tflite_source, variant)


def _answers(path: Path, card: Card, pixels: Pixels, runtime: str | None = None) -> tuple[str, Answers]:
    """Answer prepared pictures (N, H, W, C) as a device does; return the runtime's name too."""
    session = open_session(path, card, 1, runtime)
    found = [int(session.scores(session.infer(session.tensor(picture))).argmax()) for picture in pixels]
    return session.runtime, np.array(found, np.int64)


def _alone(path: Path, card: Card, pixels: Pixels, runtime: str) -> tuple[str, Answers]:
    """Do the same in a new process, because two TFLite runtimes in one process break each other."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_answers, path, card, pixels, runtime).result()


def cells(one: Quality) -> tuple[str, ...]:
    """Return a table row, with the columns of COLUMNS."""
    share, lost = one.share.scaled(10_000), one.paired.judged_drop().scaled(100)
    return (
        one.model,
        one.file,
        one.runtime,
        f"{one.paired.total:,.0f}",
        str(one.differing),
        f"{share.value:.0f} [{share.low:.0f}, {share.high:.0f}]",
        f"{lost.value:.2f} [{lost.low:.2f}, {lost.high:.2f}]",
    )


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--json", "document", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures as JSON too.")
@filtered()
def main(models: tuple[str, ...], document: Path | None) -> None:
    """Compare the int8 files of each MODEL, and those of a plain conversion, with float on the test pictures."""
    refuse_overwriting({"--json": document}, map(keras_path, models))
    found: list[Quality] = []
    for model in models:
        with closing(TrainedModel(keras_path(model))) as trained:
            found += qualities(trained)
    for line in table_lines(COLUMNS, [cells(one) for one in found], LEFT_OUT_FIRST):
        click.echo(line)
    if document is not None:
        document.write_text(json.dumps([one.to_json() for one in found], indent=1) + "\n")


if __name__ == "__main__":
    run_cli(main, "convert")
