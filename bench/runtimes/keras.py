"""Keras on TensorFlow: the reference that artifacts are compared with."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.runtimes import Session
from common.extras import how_to_add
from device.card import Card
from device.errors import ModelError, RuntimeMissing

TITLE = "Keras"
FORMATS = frozenset({"keras"})
DISTRIBUTIONS = ("keras",)
BATCH = 32  # a large network's batches of 250 leave the caches: half as fast again


class KerasSession:
    """A `.keras` model as a compiled TensorFlow function of one picture."""

    def __init__(self, path: Path, threads: int, on_gpu: bool = False) -> None:
        import keras
        import tensorflow as tf

        if not on_gpu:  # else a TensorFlow with CUDA takes the GPU, and the row says "cpu"
            tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        try:
            self._model = keras.models.load_model(path, compile=False, safe_mode=True)
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: Keras cannot load it: {str(error).strip().splitlines()[0]}") from error
        self._call = tf.function(lambda x: self._model(x, training=False))
        self.runtime_version = str(keras.__version__)
        self.top_scores: npt.NDArray[np.float32] | None = None

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> Any:
        """Turn pixels (H, W, C), uint8, 0..255, into a float32 tensor (1, H, W, C)."""
        import tensorflow as tf

        return tf.constant(pixels[None], tf.float32)

    def infer(self, tensor: Any) -> Any:
        """Run one picture (1, H, W, C): probabilities (1, classes)."""
        return self._call(tensor).numpy()

    def scores(self, output: Any) -> npt.NDArray[np.float32]:
        """Return the probabilities (classes,), float32."""
        return np.asarray(output, np.float32).reshape(-1)

    def answers(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the top class (N,) of each picture (N, H, W, C), in batches."""
        probabilities = self._model.predict(pixels, batch_size=BATCH, verbose=0)
        self.top_scores = np.asarray(probabilities.max(axis=1), np.float32)
        return np.asarray(probabilities.argmax(axis=1), np.int64)


def import_library() -> None:
    """Import Keras and TensorFlow. Raises RuntimeMissing where one is not installed."""
    try:
        importlib.import_module("tensorflow")
        importlib.import_module("keras")
    except ImportError as error:
        raise RuntimeMissing(f"keras cannot be imported ({error}): {how_to_add('train')}") from error


def open_session(path: Path, card: Card, threads: int) -> Session:  # noqa: ARG001  # every runtime is opened alike
    """Open a `.keras` file with safe mode on."""
    return KerasSession(path, threads)
