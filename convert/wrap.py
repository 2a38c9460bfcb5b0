"""What has to stand around a model that was not trained here, so that it takes pixels 0..255 and gives probabilities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.input_range import CHOICES, PIXELS, InputRange, parse_range, scaling_layers, trained_on
from convert.outside import Source
from device.classify import EdgeproofError, Step
from train.data import Dataset, Pixels, stratified_order
from train.evaluate import probabilities

SHOWN = 60  # held-out pictures by which the outputs and the input range are judged
RANGES_TRIED = ("0..255", "0..1", "-1..1", "caffe", "torch")
SUM_TOLERANCE = 0.01  # of probabilities, also of a softmax in float16


@dataclass(frozen=True)
class Entrance:
    """What a picture becomes before the model: by these steps (height, width, channels)."""

    steps: tuple[Step, ...]
    shape: tuple[int, int, int]


def settled_range(
    source: Source, told: InputRange | None, entrance: Entrance, dataset: Dataset, shown: Pixels, say: Callable[[str], None]
) -> InputRange:
    """Return the range that was told, or pixels where the model's own layers scale them.

    Raises EdgeproofError, with what hints there are, where neither says it: a guess would give a model that is wrong
    everywhere in the same way, which nothing after this finds.
    """
    inside = [] if source.network is None else scaling_layers(source.network)
    if told is not None:
        told.check_channels(entrance.shape[2])
        if inside and not told.is_pixels:
            say(f"note: the model scales by itself too ({', '.join(inside)}): is --input-range {told.name} meant?")
        return told
    if inside:
        say(f"it takes 0..255: it scales by itself ({', '.join(inside)})")
        return PIXELS
    hints = []
    if known := trained_on(source.names):
        hints.append(f"the name {known[0]!r} begins as those of keras.applications' models that take {known[1]}")
    hints += _tried(source, entrance, dataset, shown)
    hint = f" Hints: {'; '.join(hints)}." if hints else ""
    raise EdgeproofError(
        f"{source.path}: nothing in it says which values it takes: give --input-range with what it was trained on: "
        f"{CHOICES}.{hint}"
    )


def _tried(source: Source, entrance: Entrance, dataset: Dataset, shown: Pixels) -> list[str]:
    """Say how many labelled pictures the model answers rightly with each range."""
    if not dataset.val.labelled:
        return []
    truth = dataset.val.labels[stratified_order(dataset.val.labels, seed=0)[:SHOWN]]
    ranges = [parse_range(text) for text in RANGES_TRIED if entrance.shape[2] == 3 or ".." in text]
    right = {
        tried.name: int((probabilities(network_of(source, entrance, tried), shown).argmax(axis=1) == truth).sum())
        for tried in ranges
    }
    listed = ", ".join(f"{count} with {name}" for name, count in right.items())
    return [f"of {len(truth)} labelled pictures it answers rightly {listed}"]


def network_of(source: Source, entrance: Entrance, input_range: InputRange, softmax: bool = False) -> Any:
    """Return a keras.Model from pixels (N, H, W, C), 0..255, to what the source gives, or to a softmax of it."""
    import keras

    image = keras.Input(entrance.shape, name="image")
    try:
        scores = source.layer(input_range.applied(image))
    except Exception as error:  # whatever a layer inside raises for a size that it cannot take
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EdgeproofError(f"{source.path}: cannot be run on pictures {entrance.shape}: {reason}") from error
    if softmax:
        scores = keras.layers.Softmax(name="probabilities")(scores)
    return keras.Model(image, scores, name="imported")


def gives_logits(source: Source, scores: npt.NDArray[np.float32]) -> bool:
    """Say whether outputs (N, classes) are logits, not probabilities. Raises EdgeproofError for what is neither."""
    if not np.isfinite(scores).all():
        raise EdgeproofError(f"{source.path}: its outputs for real pictures are not finite numbers: wrong --input-range?")
    within = bool((scores >= 0).all() and (scores <= 1 + SUM_TOLERANCE).all())
    if within and np.abs(scores.sum(axis=1) - 1).max() <= SUM_TOLERANCE:
        return False
    if within and _last_activation(source.network) != "linear":
        raise EdgeproofError(
            f"{source.path}: its outputs lie in 0..1 but do not sum to 1, as with sigmoid: it answers each class by itself, "
            "and edgeproof classifies into one of several: train it with softmax, or give logits"
        )
    return True


def _last_activation(network: Any) -> str | None:
    last = None if network is None else network.layers[-1]
    return getattr(getattr(last, "activation", None), "__name__", None)
