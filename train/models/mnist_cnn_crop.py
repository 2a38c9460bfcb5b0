"""mnist_cnn behind a crop of three pixels: the same 93,962 parameters, better and faster.

The tutorial's valid convolutions and flooring pools (28-26-13-11-5-3-1) never see the last six rows and columns, where
97.5 % of the test pictures have ink. The middle 22×22 fit exactly (22-20-10-8-4-2-1), and MNIST's margin is empty.
"""

from dataclasses import replace
from typing import Any

from train.models import mnist_cnn
from train.models.mnist_cnn import DEFAULT, SIDE, TAUGHT, TEACHER, digits_network
from train.spec import Distillation, ModelSpec

CROP = 3
SHORTER = replace(DEFAULT, epochs=16, dropout=0.35)  # it sees all of a digit, and needs fewer epochs

OF_MNIST_CNN = mnist_cnn.SPEC.recipes

SPEC = ModelSpec(
    name="mnist_cnn_crop",
    height=SIDE,
    width=SIDE,
    channels=1,
    preprocess=mnist_cnn.SPEC.preprocess,
    recipes={
        **OF_MNIST_CNN,
        "default": replace(OF_MNIST_CNN["default"], phases=(SHORTER,)),
        "best": replace(  # for the last tenth of a point
            OF_MNIST_CNN["best"],
            phases=(replace(TAUGHT, epochs=60),),
            distillation=Distillation(replace(TEACHER, epochs=30)),
        ),
    },
)


def build(
    classes: int, filters: int = 32, growth: float = 2.0, depth: int = 3, normalized: bool = False, crop: int = CROP
) -> Any:
    """Return the untrained keras.Model: (N, 28, 28, 1) pixels 0..255 to (N, classes) probabilities.

    `crop` is the number of pixels that each side loses; the other options are those of mnist_cnn.
    """
    import keras
    from keras import layers

    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 255)(layers.Cropping2D(crop)(image))
    return keras.Model(image, digits_network(x, classes, filters, growth, depth, normalized), name=SPEC.name)
