"""Answering pictures with a Keras model."""

from typing import Any

import numpy as np
import numpy.typing as npt

from common.progress import with_progress
from train.data.dataset import Pixels, batches

BATCH = 250


def probabilities(network: Any, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return a keras.Model's output (N, classes), float32, for prepared pictures (N, H, W, C), uint8, 0..255.

    It works in batches, so that pictures mapped from disk are read as needed.
    """
    shown = with_progress(list(batches(len(pixels), BATCH)), "answering with Keras: batches")
    parts = [np.asarray(network.predict_on_batch(pixels[part].astype(np.float32))) for part in shown]
    result: npt.NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return result
