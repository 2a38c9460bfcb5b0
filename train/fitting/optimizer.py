"""What a phase minimizes, and how: its loss and its optimizer with the schedule of the learning rate."""

from typing import Any

from train.spec import Phase

WARM_UP_SHARE = 0.1
COSINE_FLOOR = 0.002


def optimizer_of(phase: Phase, steps: int) -> Any:
    """Return a phase's keras.Optimizer; `steps` are those of all its epochs, which the schedule of the rate spans."""
    import keras

    rate: Any = phase.learning_rate
    if phase.cosine:
        warm_up = max(1, round(WARM_UP_SHARE * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            phase.learning_rate / 10,
            decay_steps=max(1, steps - warm_up),
            alpha=COSINE_FLOOR,
            warmup_target=phase.learning_rate,
            warmup_steps=warm_up,
        )
    options: dict[str, Any] = {"weight_decay": phase.weight_decay} if phase.weight_decay else {}
    if phase.weight_average:
        options |= {"use_ema": True, "ema_momentum": phase.weight_average}
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    return kinds[phase.optimizer](rate, **options)


def loss_of(phase: Phase, classes: int) -> Any:
    """Return sparse categorical cross-entropy, or with label smoothing the dense one over one-hot labels."""
    import keras

    if not phase.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy()
    smooth = keras.losses.CategoricalCrossentropy(label_smoothing=phase.label_smoothing)

    def loss(labels: Any, probabilities: Any) -> Any:
        one_hot = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32"), classes)
        return smooth(one_hot, probabilities)

    return loss
