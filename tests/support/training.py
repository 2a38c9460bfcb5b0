"""Small trainings."""

import numpy as np

from train.examples import Examples
from train.spec import Phase

PLAIN = Phase(name="train", epochs=2, batch_size=16, learning_rate=1e-3)


def examples(count: int = 64, seed: int = 0) -> Examples:
    random = np.random.default_rng(seed)
    return Examples(random.integers(0, 256, (count, 28, 28, 1), np.uint8), random.integers(0, 10, count))
