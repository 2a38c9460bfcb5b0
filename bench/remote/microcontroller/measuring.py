"""One artifact in a microcontroller's interpreter: golden and test pictures, the least arena, what it needs."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.measure.golden_comparison import worst_difference
from bench.measure.phase_worker import answers, first_picture, golden
from bench.measure.worker_pool import Stopped, Workers
from bench.remote.device_config import INTERPRETER
from bench.remote.microcontroller.arena import least_arena
from bench.remote.microcontroller.micro_worker import LARGEST_ARENA_BYTES
from bench.remote.microcontroller.pipe_session import PipeSession, first_line
from bench.results.outcome import RowCrashed, RowRefused
from bench.results.row import Golden
from common.micro_figures import MicroFigures
from convert.deployment.microcontroller.operations import operations_of
from convert.deployment.microcontroller.sources import FLOAT_TOLERANCE
from device.card import Card
from device.errors import CardError, ModelError
from device.formats.model_file import read_model_bytes, split_card

REFERENCE = "LiteRT {}, reference kernels"


@dataclass(frozen=True)
class Measured:
    """What was measured of one artifact."""

    figures: MicroFigures
    golden: Golden | None  # None: the card has no golden pictures
    predictions: npt.NDArray[np.uint16]  # of the test pictures (N,)
    latency_ns: npt.NDArray[np.int64]  # a host's
    peak_rss_bytes: int
    version: str


@dataclass(frozen=True)
class Interpreters:
    """The two kinds of processes that open a model."""

    micro: Workers
    reference: Workers

    def measure(self, path: Path, card: Card, pictures: npt.NDArray[np.uint8], scratch: Path) -> Measured:
        """Answer the golden pictures and prepared test pictures (N, H, W, C), compare, and find the least arena.

        Raises RowRefused or RowCrashed.
        """
        own = split_card(path, read_model_bytes(path))[0]
        bare = scratch / f"{hashlib.sha256(own).hexdigest()}.tflite"
        bare.write_bytes(own)
        lines = [first_line(model, workers.memory_bytes) for model, workers in ((path, self.reference), (bare, self.micro))]
        with self.reference.talking(lines[0]) as expected_talk, self.micro.talking(lines[1]) as talk:
            expected = PipeSession(expected_talk, "litert", path, card)
            session = PipeSession(talk, INTERPRETER, path, card)
            proof = _proof(session, expected, card)
            found, _ = answers(session, pictures), answers(expected, pictures)
            tensor = session.tensor(first_picture(card))
            figures = MicroFigures(
                interpreter=f"tflite-micro {session.runtime_version}",
                model_sha256=hashlib.sha256(own).hexdigest(),
                flash_bytes=len(own),
                arena_bytes=least_arena(lambda size: session.works(size, tensor), LARGEST_ARENA_BYTES),
                tensor_bytes=session.number({"allocations": True}, "tensor_bytes"),
                operations=operations_of(path, own),
                compared=len(session.answers),
                equal=sum(one == other for one, other in zip(session.answers, expected.answers, strict=True)),
            )
            return Measured(
                figures,
                proof,
                np.array(found["predictions"], np.uint16),
                np.array(found["latency_ns"], np.int64),
                session.number({"peak": True}, "peak_rss_bytes"),
                session.runtime_version,
            )


def _proof(session: PipeSession, expected: PipeSession, card: Card) -> Golden | None:
    """Answer the golden pictures in both interpreters: each answer has to be the same in every bit.

    Float scores may differ by FLOAT_TOLERANCE.
    """
    if not card.document.get("golden"):
        return None
    with _as_the_process_said():
        found, wanted = golden(session, card), golden(expected, card)
    wrong = [f"self-test: {check}" for check in found["failed_checks"]]
    wrong += _deviations(session, expected)
    return Golden(
        len(session.answers), tuple(wrong), worst_difference(found, wanted), REFERENCE.format(expected.runtime_version)
    )


@contextmanager
def _as_the_process_said() -> Iterator[None]:
    """Raise what a process did, where the self-test has wrapped it. Raises RowRefused, RowCrashed or Stopped."""
    try:
        yield
    except ModelError as error:
        if isinstance(error.__cause__, RowRefused | RowCrashed | Stopped):
            raise error.__cause__ from error
        raise RowCrashed(str(error)) from error
    except CardError as error:
        raise RowRefused(str(error)) from error


def _deviations(session: PipeSession, expected: PipeSession) -> list[str]:
    wrong = []
    limit = 0.0 if session.output_dtype.kind in "iu" else FLOAT_TOLERANCE
    for number, pair in enumerate(zip(session.answers, expected.answers, strict=True)):
        one, other = (np.frombuffer(answer, session.output_dtype).astype(np.float64) for answer in pair)
        apart = np.abs(one - other)
        differ = int((~(apart <= limit)).sum())  # a NaN differs, too
        if differ:
            outputs = f"{differ} of {len(apart)} outputs are not those of the reference kernels"
            wrong.append(f"golden[{number}]: {outputs} (apart by {apart.max():.3g})")
    return wrong
