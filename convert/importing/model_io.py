"""What must be added around a model that was not trained here, so that it takes pixels 0..255 and gives probabilities."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from convert.importing.input_range import trained_on
from convert.importing.sources import Source
from convert.importing.trials import SamplePictures
from convert.importing.understood import Activation, Fact
from device.card import Step
from device.cardless import INPUT_RANGE
from device.errors import EdgeproofError
from device.pictures.input_range import CHOICES, InputRange
from device.preprocessing.whole_picture import STRETCH, whole_picture_steps

Say = Callable[[str], None]  # takes a line for people

SUM_TOLERANCE = 0.01  # of probabilities, also of a softmax in float16
CONFIRM = "--confirm-range"


@dataclass(frozen=True)
class InputSpec:
    """What a picture becomes before the model: by these steps (height, width, channels)."""

    steps: tuple[Step, ...]
    shape: tuple[int, int, int]
    fit_is_known: bool = True  # else a picture's middle is cut out until pictures tell more


def resolve_range(
    source: Source, stated: Fact[InputRange] | None, confirmed: bool, samples: SamplePictures, say: Say
) -> InputRange:
    """Return the range that an option states, or the one that the model itself says.

    A file or preset that describes just what the model does to pixels by itself is no contradiction.

    Raises EdgeproofError, with what hints there are, where neither says it, and where labelled pictures or the model itself
    contradict what was stated, unless it is confirmed: a wrong one would give a model that is wrong everywhere in the same
    way, which nothing after this finds.
    """
    known, own = source.understood.input_range, source.understood.made_of_pixels
    if stated is None and known is not None:
        _check_known(source, known, samples)
        return known.value
    if stated is None:
        raise _unknown(source, samples)
    stated.value.check_channels(samples.pixels.shape[3])
    if confirmed:
        return stated.value
    by_option = stated.learnt_from == INPUT_RANGE
    if known is not None and own is not None and not by_option and stated.value.same_values(own):
        say(f"note: {stated.learnt_from} says what the model does by itself: it takes {known.value.name}")
        return known.value
    _check_stated(source, stated, samples)
    return stated.value


def _check_stated(source: Source, stated: Fact[InputRange], samples: SamplePictures) -> None:
    path, known, wanted = source.understood.path, source.understood.input_range, stated.value
    if known is not None:
        if wanted != known.value:
            raise EdgeproofError(
                f"{path}: takes {known.value.name} ({known.learnt_from}), {stated.learnt_from} says {wanted.name}: give "
                f"{INPUT_RANGE} {known.value.name}, or confirm yours with {CONFIRM}"
            )
        return
    if found := _contradiction(source, wanted, samples):
        raise EdgeproofError(f"{path}: {found}: give another {INPUT_RANGE}, or confirm yours with {CONFIRM}")


def _check_known(source: Source, known: Fact[InputRange], samples: SamplePictures) -> None:
    """Raise EdgeproofError where labelled pictures contradict what the model's first layers seem to say."""
    if found := _contradiction(source, known.value, samples):
        raise EdgeproofError(
            f"{source.understood.path}: seems to take {known.value.name} ({known.learnt_from}), but {found}: give "
            f"{INPUT_RANGE} with what it was trained on, and {CONFIRM}"
        )


def _contradiction(source: Source, wanted: InputRange, samples: SamplePictures) -> str | None:
    """Return how labelled pictures contradict a range, or None: with another one the model is surely right more often."""
    trials = samples.trials(source, wanted)
    own = next((one for one in trials if one.input_range == wanted), None)
    better = [one for one in trials if own is not None and one.surely_better_than(own)]
    if own is None or not better:
        return None
    listed = ", ".join(f"{one.count} with {one.input_range.name}" for one in better)
    return f"of {len(samples.pixels)} labelled pictures it answers {own.count} rightly with {wanted.name}, {listed}"


def _unknown(source: Source, samples: SamplePictures) -> EdgeproofError:
    """Return the refusal of a model whose range nobody says, with hints."""
    hints = []
    if named := trained_on(source.names):
        hints.append(f"the name {named[0]!r} begins as those of keras.applications' models that take {named[1]}")
    if trials := samples.trials(source):
        listed = ", ".join(f"{one.count} with {one.input_range.name}" for one in trials)
        hints.append(f"of {len(samples.pixels)} labelled pictures it answers rightly {listed}")
    hint = f" Hints: {'; '.join(hints)}." if hints else ""
    return EdgeproofError(
        f"{source.understood.path}: nothing in it says which values it takes: give --input-range with what it was trained "
        f"on: {CHOICES}.{hint}"
    )


def resolve_fit(
    source: Source, input_range: InputRange, input_spec: InputSpec, samples: SamplePictures, say: Say
) -> InputSpec:
    """Return how pictures are brought to the input's size: as is known, or as more labelled pictures are answered rightly.

    Keras's image_dataset_from_directory stretches them, most others cut the middle out.
    """
    if input_spec.fit_is_known or samples.same_either_way(input_spec.shape):
        return input_spec
    other = replace(input_spec, steps=whole_picture_steps(*input_spec.shape, STRETCH))
    asked = "--fit crop or --fit stretch says how it was trained"
    if samples.truth is None:
        say(f"note: nothing says how a picture is brought to its size: the middle is cut out; {asked}")
        return input_spec
    cut, stretched = (samples.again(one.steps).trial(source, input_range).count for one in (input_spec, other))
    chosen = "stretched" if stretched > cut else "cut out of the middle"
    of = f"of {len(samples.pixels)} labelled pictures it answers {cut} rightly cut out of the middle, {stretched} stretched"
    say(f"pictures are {chosen}: {of}; {asked}")
    return other if stretched > cut else input_spec


def resolve_activation(source: Source, scores: npt.NDArray[np.float32]) -> Activation:
    """Return what the outputs (N, classes) of real pictures are. Raises EdgeproofError for what no label belongs to.

    One output is the probability of the second of two classes, or its logit.
    """
    path, known = source.understood.path, source.understood.activation
    if not np.isfinite(scores).all():
        raise EdgeproofError(f"{path}: its outputs for real pictures are not finite numbers: wrong --input-range?")
    within = bool((scores >= 0).all() and (scores <= 1 + SUM_TOLERANCE).all())
    linear, each_by_itself = (known is not None and known.value == kind for kind in ("logits", "sigmoid"))
    if scores.shape[1] == 1:
        return "sigmoid" if within and not linear else "logits"
    # Sigmoids of clear pictures may sum to 1 by chance
    if within and not each_by_itself and np.abs(scores.sum(axis=1) - 1).max() <= SUM_TOLERANCE:
        return "softmax"
    if within and not linear:
        found = "come from a sigmoid" if each_by_itself else "lie in 0..1 but do not sum to 1, as with sigmoid"
        raise EdgeproofError(
            f"{path}: its outputs {found}: it answers each class by itself, and edgeproof classifies into one of several: "
            "train it with softmax"
        )
    if not linear and (total := _shared_total(scores)) is not None:
        raise EdgeproofError(
            f"{path}: its outputs are never below 0 and sum to {total:.4g} for each picture: they are shares, not logits: "
            "leave out what multiplies the softmax, so that they sum to 1"
        )
    return "logits"


def _shared_total(scores: npt.NDArray[np.float32]) -> float | None:
    """Return what the scores (N, classes) of each of several unlike pictures sum to, such as 100; None where sums differ."""
    sums = scores.sum(axis=1)
    alike = len(scores) < 2 or np.ptp(scores, axis=0).max() <= SUM_TOLERANCE * np.abs(scores).max()
    if alike or (scores < 0).any() or np.ptp(sums) > SUM_TOLERANCE * sums.mean():
        return None
    return float(sums.mean())
