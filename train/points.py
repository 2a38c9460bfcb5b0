"""Training one point of a sweep or a search, and the processes or the Dask cluster that train points."""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from common.extras import how_to_add
from common.files import make_temporary_files_in, scratch_folder
from common.memory import keep_freed_memory
from device.errors import EdgeproofError
from device.process import end_with_parent
from train.data.dataset import DataReference, Dataset
from train.data.open_dataset import open_dataset
from train.examples import Examples, prepared_examples, steps_for
from train.fitting.checkpoint import Checkpoint
from train.fitting.fit import fit
from train.fitting.history import Epoch
from train.fitting.teachers import trained_teachers
from train.models import find_model
from train.settings import Settings, apply_settings, build_settings
from train.spec import Phase, Recipe

DASK_LOGS = ("distributed", "tornado", "asyncio")  # they print tracebacks where a scheduler or a worker is gone


@dataclass(frozen=True)
class Trained:
    """A trained point: its network, its data set, the validation pictures and the epochs."""

    network: Any  # a keras.Model
    dataset: Dataset
    val: Examples
    history: list[Epoch]
    seconds: float


def train_settings(
    model: str,
    settings: Settings,
    reference: DataReference,
    checkpoint: Checkpoint | None = None,
    stop_after: int | None = None,
) -> Trained:
    """Train a model with settings, in the process that calls it. The test part is not used.

    With a checkpoint it goes on after the epoch that this holds; `stop_after` ends it early, after so many epochs of all
    phases. Raises EdgeproofError for settings that no model can have, CheckFailed where the loss is no number.
    """
    import keras

    found = find_model(model)
    recipe = apply_settings(found.spec, settings)
    seed = int(settings.get("seed", 0))
    dataset = _opened(reference)
    train, val = _examples(model, reference, _choosing(recipe), seed, settings.get("training_images"))
    keras.utils.set_random_seed(seed)
    network = found.build(len(dataset.labels), **build_settings(found, settings))
    if found.load_pretrained is not None:
        found.load_pretrained(network, "bundled", lambda _: None)
    start_s = time.monotonic()
    teachers = [teacher.network for teacher in trained_teachers(recipe, train, val, len(dataset.labels), seed, checkpoint)]
    history = fit(network, recipe, train, val, seed, checkpoint, stop_after=stop_after, teachers=teachers)
    return Trained(network, dataset, val, history, time.monotonic() - start_s)


@lru_cache(maxsize=1)
def _opened(reference: DataReference) -> Dataset:
    return open_dataset(reference)


@lru_cache(maxsize=1)
def _examples(
    model: str, reference: DataReference, choosing: Recipe, seed: int, training_images: int | None
) -> tuple[Examples, Examples]:
    """Prepare the training and validation pictures of a point: a process that trains several points does it once."""
    steps = steps_for(find_model(model).spec, reference.path is None)
    return prepared_examples(_opened(reference), steps, choosing, seed, training_images)


def _choosing(recipe: Recipe) -> Recipe:
    """Return only what chooses the pictures of a recipe."""
    phases = tuple(Phase("", epochs=1, batch_size=1, learning_rate=1.0, images=phase.images) for phase in recipe.phases)
    return Recipe(phases, recipe.validation_images, drawn_share=recipe.drawn_share)


@contextmanager
def executor_for(jobs: int, dask: str | None) -> Iterator[Executor]:
    """Yield an executor: `jobs` processes here, or the Dask cluster at an address.

    Raises EdgeproofError where Dask is not installed or the address does not answer.
    """
    if dask is None:
        # A fresh process for each point: TensorFlow does not survive a fork, and a crash must not end other points.
        context, own = get_context("spawn"), os.getpid()
        with (
            scratch_folder() as scratch,
            ProcessPoolExecutor(jobs, context, _begin, (own, scratch), max_tasks_per_child=1) as pool,
        ):
            yield pool
        return
    with dask_client(dask) as client:
        yield client.get_executor(pure=False, retries=2)


def _begin(parent_id: int, scratch: Path) -> None:
    """Begin a process that trains a point."""
    end_with_parent(parent_id)
    keep_freed_memory()
    make_temporary_files_in(scratch)


@contextmanager
def dask_client(address: str) -> Iterator[Any]:
    """Yield a distributed.Client. Raises EdgeproofError where Dask is not installed or the address does not answer."""
    try:
        from distributed import Client
    except ImportError as error:
        raise EdgeproofError(f"--dask: {error}: {how_to_add('dask')}") from error
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise EdgeproofError(f"--dask {address}: no scheduler answers: start one with `dask scheduler`") from error
    for name in logging.root.manager.loggerDict:
        if name.partition(".")[0] in DASK_LOGS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with client:
        yield client
