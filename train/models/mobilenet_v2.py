"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) with ImageNet weights and a head of its own, at 96×96×3 or more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from device.card import Step
from train.data.mnist import bundled
from train.models.mnist_cnn import DRAWN_SHARE
from train.spec import Augmentation, ModelSpec, Phase, Recipe, Weights

SIDE = 96
SIDES = (96, 128, 160, 192, 224)  # the same weights fit all; photos need more pixels than digits
BUNDLED_WEIGHTS = "weights/mobilenet_v2_1.0_imagenet.weights.h5"

SLIGHT = Augmentation(rotation_degrees=10.0, scale=0.1, shift_pixels=5.0)
STRONG = Augmentation(rotation_degrees=15.0, scale=0.15, shift_pixels=6.0, shear=0.15)

HEAD = Phase(
    name="head",
    epochs=4,
    batch_size=64,
    learning_rate=1e-3,
    frozen_through="out_relu",  # the whole base
    images=4_000,
)
FINE_TUNE = Phase(
    name="fine_tune",
    epochs=3,
    batch_size=64,
    learning_rate=1e-3,
    cosine=True,
    label_smoothing=0.05,
    augmentation=SLIGHT,
    frozen_through="block_5_add",  # the lower blocks see what all pictures have: edges and textures
    copies=2,
    images=26_000,  # 24,000 of them MNIST's: 20,000 cost 0.14 points of test accuracy (seed 0)
)

SPEC = ModelSpec(
    name="mobilenet_v2",
    height=SIDE,
    width=SIDE,
    channels=3,
    preprocess=(
        Step("exif_orientation"),
        Step("gray"),
        Step("stroke_frame", {"size": 28, "box": 20}),  # as MNIST's own pictures are: they pass unchanged
        Step("resize", {"size": SIDE, "filter": "bilinear"}),
        Step("rgb"),
    ),
    recipes={
        "default": Recipe(phases=(HEAD, FINE_TUNE), validation_images=2_000, drawn_share=DRAWN_SHARE),
        "best": Recipe(
            phases=(HEAD, replace(FINE_TUNE, epochs=4, images=None)), validation_images=2_000, drawn_share=DRAWN_SHARE
        ),
        # A few pictures a class: many strongly augmented copies, and BatchNormalization as it is after ImageNet, since
        # so few pictures cannot estimate its statistics.
        "few": Recipe(
            phases=(
                replace(HEAD, epochs=3, augmentation=STRONG, copies=20, copies_an_epoch=20),
                replace(
                    FINE_TUNE,
                    epochs=6,
                    augmentation=STRONG,
                    copies=40,
                    copies_an_epoch=40,
                    train_batch_normalization=False,
                ),
            ),
            at_most_images=500,
        ),
    },
)

# keras.applications sets 0.999: after a short fine-tuning the moving statistics then lag far behind the weights.
BATCH_NORMALIZATION_MOMENTUM = 0.9


def build(classes: int) -> Any:
    """Return the keras.Model with random weights: (N, 96, 96, 3) pixels 0..255 to (N, classes) probabilities."""
    return build_at(SIDE, classes)


def spec_at(side: int) -> ModelSpec:
    """Return the model's spec at another side: its pictures are shifted by the same share of the side."""
    factor = side / SIDE
    resize = Step("resize", {"size": side, "filter": "bilinear"})
    steps = tuple(resize if step.name == resize.name else step for step in SPEC.preprocess)
    recipes = {
        name: replace(recipe, phases=tuple(_shifted(phase, factor) for phase in recipe.phases))
        for name, recipe in SPEC.recipes.items()
    }
    return replace(SPEC, height=side, width=side, preprocess=steps, recipes=recipes)


def _shifted(phase: Phase, factor: float) -> Phase:
    if phase.augmentation is None:
        return phase
    shift = phase.augmentation.shift_pixels * factor
    return replace(phase, augmentation=replace(phase.augmentation, shift_pixels=shift))


def build_at(side: int, classes: int) -> Any:
    """Return the keras.Model with random weights: (N, side, side, 3) pixels 0..255 to (N, classes) probabilities."""
    import keras
    from keras import layers

    image = keras.Input((side, side, 3), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(image)
    base = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=None)
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = BATCH_NORMALIZATION_MOMENTUM
    x = layers.GlobalAveragePooling2D()(base.output)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="probabilities")(x), name=SPEC.name)


def load_pretrained(model: Any, source: Weights, say: Callable[[str], None]) -> str:
    """Put ImageNet weights into the base of `model` and return their source, for the card.

    `source` is "imagenet" (Keras's own, from its cache or by download; where that fails, the bundled copy, and
    a line to `say` that says so) or "bundled".
    """
    import keras

    shape = tuple(model.input_shape[1:])
    base = None
    used = "Keras's ImageNet weights"
    if source == "imagenet":
        try:
            base = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights="imagenet")
        except Exception as error:  # Keras raises a bare Exception where the download fails
            reason = str(error).rpartition(": ")[2]
            say(f"{used} cannot be loaded here ({reason}): the bundled copy is used, data/{BUNDLED_WEIGHTS}")
    if base is None:
        path = bundled(BUNDLED_WEIGHTS)
        base = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights=None)
        base.load_weights(path)
        used = f"bundled {path.name}"
    for layer in base.layers[1:]:  # all except the input
        model.get_layer(layer.name).set_weights(layer.get_weights())
    return used
