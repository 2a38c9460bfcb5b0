"""The small convolutional network of a well-known MNIST tutorial, to the letter: 93,962 parameters at ten classes."""

from typing import Any

from device.classify import Step
from train.spec import Augmentation, ModelSpec, Phase, Recipe

SIDE = 28

SPEC = ModelSpec(
    name="mnist_cnn",
    height=SIDE,
    width=SIDE,
    channels=1,
    preprocess=(
        Step("exif_orientation"),
        Step("gray"),
        Step("light_on_dark"),
        Step("resize", {"size": SIDE, "filter": "bilinear"}),
        Step("center_crop", {"size": SIDE}),
    ),
    recipes={
        "default": Recipe(
            phases=(
                Phase(
                    name="train",
                    epochs=24,
                    batch_size=128,
                    learning_rate=2e-3,
                    cosine=True,
                    weight_average=0.999,
                    augmentation=Augmentation(rotation_degrees=10.0, scale=0.1, shift_pixels=0.7),
                ),
            )
        ),
        "tutorial": Recipe(phases=(Phase(name="train", epochs=5, batch_size=32, learning_rate=1e-3),)),
    },
)


def build(classes: int) -> Any:
    """Return the untrained keras.Model: (N, 28, 28, 1) pixels 0..255 to (N, classes) probabilities."""
    import keras
    from keras import layers

    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="probabilities")(x), name=SPEC.name)
