"""What a model's output means: probabilities, logits, or the probability of the second of two labels."""

from __future__ import annotations

from typing import Optional

import numpy as np
import numpy.typing as npt

SOFTMAX, SIGMOID, LOGITS, UNSAID = "softmax", "sigmoid", "logits", "unsaid"
ACTIVATIONS = (SOFTMAX, SIGMOID, LOGITS, UNSAID)  # what a card's output.activation may be
WITHIN = 0.01  # of 0 and 1
PER_CENT, PER_CENT_WITHIN = 100, 0.1  # the sum of percentages, and how near logits hardly come to it by chance
SHOWN_DIGITS = 6

Scores = npt.NDArray[np.float32]


def meant_scores(values: Scores, activation: Optional[str], labels: int) -> Scores:
    """Return a score of 0..1 for each label, (labels,), from a model's output (labels,), or (1,) for two labels.

    One output is the probability of the second label, or its logit. Softmax makes probabilities of logits and keeps
    their order. UNSAID: values within 0..1 are taken as they are, percentages as shares of 100, others as
    logits. Without an activation (a card of an older convert) the values stay as they are.
    """
    if activation is None:
        return values
    if activation == UNSAID and are_percentages(values):
        return (values / PER_CENT).astype(np.float32)
    logits = activation == LOGITS or (activation == UNSAID and not are_shares(values))
    if len(values) == 1 and labels == 2:
        second = _sigmoid(values[0]) if logits else float(values[0])
        return np.array([1 - second, second], np.float32)
    if not logits:
        return values
    powers: npt.NDArray[np.float64] = np.exp(values.astype(np.float64) - values.max())
    shares: Scores = (powers / powers.sum()).astype(np.float32)
    return shares


def are_shares(scores: Scores) -> bool:
    """Say whether scores are within 0..1, so that they can be shown in per cent."""
    return bool((scores >= -WITHIN).all() and (scores <= 1 + WITHIN).all())


def are_percentages(scores: Scores) -> bool:
    """Say whether several scores are shares of 100: none below 0, and together 100."""
    return len(scores) > 1 and bool((scores >= 0).all() and abs(float(scores.sum()) - PER_CENT) <= PER_CENT_WITHIN)


def shown_score(score: float) -> float:
    """Return a score as --json prints it, and as --min-score is compared with."""
    return round(float(score), SHOWN_DIGITS)


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(np.float64(logit), -500, 500))))
