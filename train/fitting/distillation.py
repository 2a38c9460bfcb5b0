"""Learning from teachers: a network takes on the probabilities that deeper ones give, not only the labels.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531: which other classes a teacher finds likely says more of a picture than a label.
Logits are divided by a temperature, so that these small probabilities count; the loss times its square then has gradients as
large as that of the labels.
"""

from dataclasses import dataclass
from typing import Any

MIN_PROBABILITY = 1e-30  # its logarithm is finite in float32, and so is the gradient there


@dataclass(frozen=True)
class Teaching:
    """Teachers, keras.Models that give probabilities (N, classes), and how much of the loss (0..1) comes from them."""

    teachers: tuple[Any, ...]
    temperature: float
    share: float

    def targets(self, labels: Any, pictures: Any) -> Any:
        """Return what `loss` takes for labels (N,) of pictures (N, H, W, C), 0..255: float32 (N, 1 + classes).

        The first column is the label, the others are the teachers' softened probabilities, averaged.
        """
        from keras import ops

        answers = [softened(teacher(pictures, training=False), self.temperature) for teacher in self.teachers]
        average = sum(answers[1:], answers[0]) / len(answers)
        return ops.concatenate([ops.cast(labels, "float32")[:, None], average], axis=1)

    def loss(self, targets: Any, probabilities: Any) -> Any:
        """Return each picture's loss (N,): of the label, and the divergence from the teachers, in their shares.

        Targets of labels alone, (N,) or (N, 1), as validation has them, give the cross-entropy.
        """
        import keras
        from keras import ops

        of_labels = keras.losses.sparse_categorical_crossentropy(_labels(targets), probabilities)
        if len(targets.shape) == 1 or targets.shape[1] == 1:
            return of_labels
        wanted, given = targets[:, 1:], softened(probabilities, self.temperature)
        ratio = ops.log(ops.maximum(wanted, MIN_PROBABILITY)) - ops.log(ops.maximum(given, MIN_PROBABILITY))
        divergence = ops.sum(wanted * ratio, axis=1)  # of Kullback and Leibler
        return (1 - self.share) * of_labels + self.share * self.temperature**2 * divergence


def softened(probabilities: Any, temperature: float) -> Any:
    """Return the probabilities (N, classes) that a softmax of their logits over the temperature gives."""
    from keras import ops

    return ops.softmax(ops.log(ops.maximum(probabilities, MIN_PROBABILITY)) / temperature, axis=1)


def accuracy(targets: Any, probabilities: Any) -> Any:
    """Return 1 for each picture (N,) whose most probable class is its label, else 0. Targets are those of `loss`."""
    import keras

    return keras.metrics.sparse_categorical_accuracy(_labels(targets), probabilities)


def _labels(targets: Any) -> Any:
    return targets if len(targets.shape) == 1 else targets[:, 0]
