"""A trial's work in a process of its own, here or on another machine: it trains, converts, verifies and answers.

All that it needs comes as bytes and goes back as bytes, so that no disk is shared. A trial that goes on later gets back the
state that it returned, wherever it runs then.
"""

import io
import math
import tarfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.search.result import Setting
from common.files import json_bytes, scratch_folder, sha256_of
from convert.pipeline import convert_variant
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from device.formats.model_file import read_card
from device.open_model import open_session
from train.common_card import common_card
from train.data.dataset import DataReference
from train.examples import steps_for
from train.fitting.checkpoint import Checkpoint
from train.models import find_model
from train.outcome import Outcome
from train.points import Trained, train_settings
from train.request import Request
from train.settings import apply_settings
from train.spec import DEFAULT_RECIPE


@dataclass(frozen=True)
class Job:
    """What one process does for a trial."""

    number: int
    model: str
    settings: Mapping[str, Setting]
    reference: Mapping[str, Any]  # of the data set, as its to_json gives it
    variant: str  # "int8.tflite"
    runtime: str
    share: float  # of its epochs that are trained when the job ends, 0..1
    seed: int
    threads: int  # of TensorFlow; 0: as many as it takes
    state: bytes | None = None  # what an earlier job of the trial returned


@dataclass(frozen=True)
class Work:
    """What a job returns."""

    epochs: int  # that are trained in all
    seconds: float  # of this job
    cpu_s: float  # of its process, all threads
    answers: npt.NDArray[np.uint16]  # to the validation pictures (N,)
    truth: npt.NDArray[np.uint16]  # their labels (N,)
    artifact: bytes
    state: bytes


def work(job: Job) -> Work:
    """Train the trial on, convert it, verify it and answer the validation pictures.

    Raises EdgeproofError: for a size that no network can have, a loss that is no number, or a variant that breaks its
    promise.
    """
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    _limit_threads(job.threads)
    with scratch_folder() as scratch:
        checkpoint = Checkpoint(scratch / "checkpoint", {"settings": dict(job.settings)})
        if job.state is not None:
            _unpack(job.state, scratch / "checkpoint")
        settings = {**job.settings, "seed": job.seed}
        epochs = epochs_of(job.model, job.settings)
        stop_after = max(1, math.ceil(epochs * job.share))
        trained = train_settings(job.model, settings, DataReference.from_json(job.reference), checkpoint, stop_after)
        path = _convert(job, trained, scratch)
        answers = _answers(path, trained.val.pixels, job.runtime)
        state = _packed(scratch / "checkpoint")
        artifact = path.read_bytes()
    _forget_networks()
    seconds, cpu_s = time.monotonic() - start_s, time.process_time() - start_cpu_s
    return Work(len(trained.history), seconds, cpu_s, answers, trained.val.labels.astype(np.uint16), artifact, state)


def epochs_of(model: str, settings: Mapping[str, Setting]) -> int:
    """Return how many epochs a trial's whole recipe has, over all phases."""
    return sum(phase.epochs for phase in apply_settings(find_model(model).spec, settings).phases)


def _limit_threads(threads: int) -> None:
    """Let TensorFlow compute with so many threads: processes side by side must not want more cores than there are."""
    import tensorflow as tf

    if threads and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def _convert(job: Job, trained: Trained, scratch: Path) -> Path:
    """Convert the network to the job's variant, as `convert run` does; return the artifact's path."""
    folder = scratch / job.model
    keras_path = folder / f"{job.model}.keras"
    folder.mkdir()
    trained.network.save(keras_path)
    spec = find_model(job.model).spec
    recipe = str(job.settings.get("recipe", DEFAULT_RECIPE))
    steps = steps_for(spec, trained.dataset.reference.path is None)
    nothing = Outcome(folder, 0, 0, ())  # a trial does not see the test pictures
    card = common_card(Request(job.model), recipe, spec, trained.dataset, steps, None, nothing)
    card["accuracy"] = {}
    card["provenance"] |= {"settings": dict(job.settings), "seed": job.seed, "source_sha256": sha256_of(keras_path)}
    (folder / f"{job.model}.card.json").write_bytes(json_bytes(card))
    (variant,) = find_variants([job.variant])
    if job.share < 1:  # a network that has hardly learned is near the border for many pictures: rounding decides them
        variant = replace(variant, answers=replace(variant.answers, min_agreement=0.0))
    with closing(TrainedModel(keras_path, trained.dataset)) as opened:
        return convert_variant(opened, variant, folder / f"{job.model}.{variant.key}", None).path


def _answers(path: Path, pixels: npt.NDArray[np.uint8], runtime: str) -> npt.NDArray[np.uint16]:
    """Return the artifact's answers to prepared pictures (N, H, W, C), as a device gives them: (N,)."""
    session = open_session(path, read_card(path), runtime=None if path.suffix == ".onnx" else runtime)
    scores = [session.scores(session.infer(session.tensor(picture))) for picture in pixels]
    return np.array([one.argmax() for one in scores], np.uint16)


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return buffer.getvalue()


def _unpack(state: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(state)) as archive:
        archive.extractall(folder, filter="data")


def _forget_networks() -> None:
    """Free what Keras keeps of networks: a process does many trials."""
    import keras

    keras.backend.clear_session()
