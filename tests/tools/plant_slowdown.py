"""A planted slow-down: the built mnist_cnn with more filters and the same answers.

`python -m tests.tools.plant_slowdown FOLDER 36` makes it.

The network of FOLDER/build has the trained weights in its first filters. The other filters compute, but do not change the
answer. Convert it there and compare it with the build here with `bench gate`; docs/gate.md shows the result.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.files import read_json, sha256_of, write_json
from common.paths import BUILD
from train.models.mnist_cnn import build

MODEL = "mnist_cnn"


def widened(network: Any, filters: int) -> Any:
    """Return a keras.Model with `filters` in the first convolution and twice and four times as many in the others."""
    wide = build(network.output.shape[-1], filters)
    random = np.random.default_rng(0)
    for old, new in zip(network.layers, wide.layers, strict=True):
        new.set_weights(
            [_padded(weights, like, random) for weights, like in zip(old.get_weights(), new.get_weights(), strict=True)]
        )
    return wide


def _padded(weights: npt.NDArray[Any], like: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
    """Put weights (..., inputs, outputs) first. New outputs do not influence old ones, and new weights are small noise."""
    result = np.zeros_like(like)
    old = tuple(slice(side) for side in weights.shape)
    if like.ndim > 1 and like.shape[-1] > weights.shape[-1]:
        result[..., : weights.shape[-2], weights.shape[-1] :] = random.normal(
            0, 0.01, (*like.shape[:-2], weights.shape[-2], like.shape[-1] - weights.shape[-1])
        )
    result[old] = weights
    return result


def main(folder: Path, filters: int) -> None:
    """Write the widened model and its card into folder/build, ready for `edgeproof convert run`."""
    import keras

    source, target = BUILD / MODEL, folder / BUILD / MODEL
    target.mkdir(parents=True, exist_ok=True)
    network = keras.models.load_model(source / f"{MODEL}.keras", compile=False)
    widened(network, filters).save(target / f"{MODEL}.keras")
    card = read_json(source / f"{MODEL}.card.json")
    card["provenance"]["source_sha256"] = sha256_of(target / f"{MODEL}.keras")
    write_json(target / f"{MODEL}.card.json", card)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
