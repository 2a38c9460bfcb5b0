"""The small convolutional network of a well-known MNIST tutorial, unchanged: 93,962 parameters at ten classes."""

from dataclasses import replace
from typing import Any

from device.card import Step
from train.spec import Augmentation, Distillation, ModelSpec, Phase, Recipe

SIDE = 28
DRAWN_SHARE = 1 / 12  # MNIST has no 6 with a square loop and few a 1 with a flag: it is read as 5, as 7

DEFAULT = Phase(
    name="train",
    epochs=20,
    batch_size=128,
    learning_rate=6e-3,
    optimizer="adamw",
    weight_decay=0.02,  # without it 60 epochs are no better than 40, at a higher validation loss
    cosine=True,
    dropout=0.25,  # the tutorial's 0.5 slows so small a network: it needs 24 epochs for the same accuracy
    weight_average=0.999,
    augmentation=Augmentation(rotation_degrees=10.0, scale=0.1, shift_pixels=0.7),
)
LONGER = replace(DEFAULT, epochs=60)
TEACHER = replace(
    DEFAULT,
    name="teacher",
    epochs=20,
    learning_rate=5e-3,
    dropout=None,
    augmentation=Augmentation(rotation_degrees=12.0, scale=0.12, shift_pixels=1.0, shear=0.1),
)
# A teacher's answers leave nothing to dropout. With more epochs of both, a training takes longer than 15 minutes
TAUGHT = replace(DEFAULT, epochs=48, dropout=0.0)
UNDECAYED = replace(DEFAULT, optimizer="adam", weight_decay=0.0, dropout=None)
FAST = replace(UNDECAYED, epochs=4, learning_rate=3e-3, weight_average=0.99, augmentation=None)
FEW = replace(UNDECAYED, epochs=20, batch_size=32, learning_rate=4e-3, copies_an_epoch=20)

SPEC = ModelSpec(
    name="mnist_cnn",
    height=SIDE,
    width=SIDE,
    channels=1,
    preprocess=(
        Step("exif_orientation"),
        Step("gray"),
        Step("stroke_frame", {"size": 28, "box": 20}),  # as MNIST's own pictures are: they pass unchanged
    ),
    recipes={
        "default": Recipe(phases=(DEFAULT,), validation_images=4_000, drawn_share=DRAWN_SHARE),
        "best": Recipe(phases=(TAUGHT,), held_out=2_000, drawn_share=DRAWN_SHARE, distillation=Distillation(TEACHER)),
        "long": Recipe(phases=(LONGER,), held_out=2_000, drawn_share=DRAWN_SHARE),
        "fast": Recipe(phases=(FAST,)),
        "few": Recipe(phases=(FEW,), at_most_images=2_000),
        "tutorial": Recipe(phases=(Phase(name="train", epochs=5, batch_size=32, learning_rate=1e-3),)),
    },
)


def build(classes: int, filters: int = 32, growth: float = 2.0, depth: int = 3, normalized: bool = False) -> Any:
    """Return the untrained keras.Model: (N, 28, 28, 1) pixels 0..255 to (N, classes) probabilities.

    `filters` is the number of the first of `depth` convolutions; each further one has `growth` times as many. `normalized`:
    each is followed by a batch normalization, which conversion folds into it. Raises ValueError for a depth that the
    picture is too small for.
    """
    import keras
    from keras import layers

    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    return keras.Model(image, digits_network(x, classes, filters, growth, depth, normalized), name=SPEC.name)


def digits_network(
    scaled: Any, classes: int, filters: int, growth: float = 2.0, depth: int = 3, normalized: bool = False
) -> Any:
    """Return the tutorial's layers over a tensor (N, H, W, 1) of values 0..1: probabilities (N, classes)."""
    from keras import layers

    x = scaled
    for number in range(depth):
        count = round(filters * growth**number)
        if normalized:
            x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(count, 3, use_bias=False)(x)))
        else:
            x = layers.Conv2D(count, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    return layers.Dense(classes, activation="softmax", name="probabilities")(x)
