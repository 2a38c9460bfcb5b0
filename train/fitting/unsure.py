"""Below which score a model's answer is given as "unsure"."""

import numpy as np
import numpy.typing as npt

from train.data.dataset import Labels

MAX_RIGHT = 0.015  # of the right answers on validation pictures may be unsure: an int8 file's scores differ a little
MIN_WRONG = 0.75  # of the wrong answers on pictures unlike the training's should be
STEP = 1_000  # thresholds are rounded down to a thousandth

Scores = npt.NDArray[np.float32]  # (N, classes), 0..1


def unsure_below(scores: Scores, labels: Labels, others: Scores, other_labels: Labels) -> float:
    """Return a threshold 0..1 by validation pictures, and by pictures unlike the training's, with their labels (N,).

    It is as high as MIN_WRONG asks of the latter, but not so high that more than MAX_RIGHT of the former's right
    answers are below it. 0 where nothing was answered rightly.
    """
    right = scores.max(axis=1)[scores.argmax(axis=1) == labels]
    if not len(right):
        return 0.0
    most = float(np.quantile(right, MAX_RIGHT, method="lower"))
    wrong = others.max(axis=1)[others.argmax(axis=1) != other_labels]
    wanted = float(np.quantile(wrong, MIN_WRONG, method="higher")) if len(wrong) else most
    return int(min(most, wanted) * STEP) / STEP
