"""What labelled pictures say of how a model takes them: its answers counted, with one range of values and another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.paired_accuracy import Paired
from convert.importing.sources import Source
from device.card import Step
from device.errors import EdgeproofError
from device.pictures.input_range import InputRange, parse_range
from train.data.dataset import Dataset, Labels, Pixels, stratified_order

MAX_PICTURES = 60  # held-out pictures by which a model is tried
RANGES_TRIED = ("0..255", "0..1", "-1..1", "caffe", "torch")
SURE = 0.01  # p of McNemar's test below which one range is said to be the better
SAME_ASPECT = 0.02  # sides of a picture and of the input differ by less: cutting and stretching are the same


@dataclass(frozen=True)
class Trial:
    """Which of the pictures (N,) a model answers rightly with a range."""

    input_range: InputRange
    right: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Return how many pictures it answers rightly."""
        return int(self.right.sum())

    def surely_better_than(self, other: "Trial") -> bool:
        """Say whether it is right more often by more than chance."""
        pairs = Paired(int((self.right & ~other.right).sum()), int((other.right & ~self.right).sum()), len(self.right))
        return pairs.drop > 0 and pairs.mcnemar_p < SURE


@dataclass(frozen=True)
class SamplePictures:
    """Some held-out pictures: prepared (N, H, W, C), uint8, and what they show (N,), where that is known."""

    dataset: Dataset
    indices: npt.NDArray[np.int64]
    pixels: Pixels
    truth: Labels | None

    @staticmethod
    def of(dataset: Dataset, steps: Sequence[Step]) -> "SamplePictures":
        """Prepare them. Raises EdgeproofError where a step cannot be done."""
        held = dataset.val
        indices = stratified_order(held.labels, seed=0)[:MAX_PICTURES]
        truth = held.labels[indices] if held.labelled else None
        return SamplePictures(dataset, indices, held.prepared(steps, indices), truth)

    def again(self, steps: Sequence[Step]) -> "SamplePictures":
        """Prepare the same pictures by other steps."""
        return replace(self, pixels=self.dataset.val.prepared(steps, self.indices))

    def same_either_way(self, shape: tuple[int, int, int]) -> bool:
        """Say whether the pictures have the aspect of an input (H, W, C), so that nothing is cut off or stretched."""
        aspect = shape[1] / shape[0]
        return all(abs(width / height / aspect - 1) < SAME_ASPECT for width, height in self._sizes)

    @cached_property
    def _sizes(self) -> list[tuple[int, int]]:
        return [self.dataset.val.open(int(index)).size for index in self.indices]

    def values(self, input_range: InputRange) -> npt.NDArray[np.float32]:
        """Return the pictures as the model takes them (N, H, W, C)."""
        return np.stack([input_range.values(picture) for picture in self.pixels])

    def trial(self, source: Source, input_range: InputRange) -> Trial:
        """Let the source answer with a range. The pictures' labels are known."""
        assert self.truth is not None
        scores = source.answers(self.values(input_range))
        if scores.shape[1] == 1:  # a probability of the second class, or its logit
            border = 0.5 if scores.min() >= 0 and scores.max() <= 1 else 0.0
            right = (scores[:, 0] > border) == (self.truth == 1)
        else:
            right = scores.argmax(axis=1) == self.truth
        return Trial(input_range, right & np.isfinite(scores).all(axis=1))  # else NaN would be an answer: the first class

    def trials(self, source: Source, stated: InputRange | None = None) -> list[Trial]:
        """Let the source answer with each usual range and the one that was stated; nothing without labels."""
        if self.truth is None:
            return []
        ranges = [parse_range(text) for text in RANGES_TRIED if self.pixels.shape[3] == 3 or ".." in text]
        return [
            self.trial(source, one) for one in ranges + ([stated] if stated is not None and stated not in ranges else [])
        ]


def check_steps(samples: SamplePictures, shape: tuple[int, int, int]) -> None:
    """Raise EdgeproofError where the steps do not lead to the model's input (H, W, C)."""
    if samples.pixels.shape[1:] != shape:
        raise EdgeproofError(
            f"--preprocess: the steps make {samples.pixels.shape[1:]} of a picture, the model takes {shape}: end with "
            f'["resize", {{"size": {shape[0]}}}], ["center_crop", {{"size": {shape[0]}}}]'
        )
