"""Presets of `--preprocess`: the known preprocessing of a family of models, without a file."""

from convert.importing.input_range import trained_on
from convert.importing.preprocessing import picture_steps as pictures
from convert.importing.preprocessing.preprocess_option import Preprocess, Shape
from device.card import Step
from device.errors import EdgeproofError
from device.pictures.input_range import NAMED, PIXELS, parse_range

KERAS = "keras:"
PRESETS = ("torchvision", "teachable-machine", f"{KERAS}NAME")
TORCHVISION_ENLARGED = 256 / 224  # torchvision.transforms._presets.ImageClassification: resize_size over crop_size


def is_preset(text: str) -> bool:
    """Say whether a word is a preset's name, not a file's."""
    return text in PRESETS or text.startswith(KERAS)


def preset(text: str) -> Preprocess:
    """Return what a preset says. Raises EdgeproofError for a name of keras.applications that is not known."""
    if text == "torchvision":
        return Preprocess(channels=3, input_range=NAMED["torch"], fitting=_torchvision, of_training=True)
    if text == "teachable-machine":
        return Preprocess(channels=3, input_range=parse_range("-1..1"), fitting=_teachable_machine, of_training=True)
    known = trained_on([text.removeprefix(KERAS)])
    if known is None:
        raise EdgeproofError(f"--preprocess {text}: is no model of keras.applications, as keras:mobilenet or keras:resnet50")
    taken = PIXELS if known[1] == PIXELS.name else parse_range(known[1])
    return Preprocess(channels=3, input_range=taken, fitting=_keras, of_training=True)


def _torchvision(shape: Shape) -> tuple[Step, ...]:
    """Resize the shorter side to 256 and cut 224 out, or as much of another size (references/classification)."""
    side = _square("torchvision", shape)
    cut = pictures.middle("--preprocess torchvision", (side, side), side, even=True)
    return (*pictures.colours(shape[2]), pictures.shorter_side(int(side * TORCHVISION_ENLARGED), "bilinear"), cut)


def _teachable_machine(shape: Shape) -> tuple[Step, ...]:
    """Cut the middle square out, sized as the model takes it (its sample code: ImageOps.fit with LANCZOS)."""
    side = _square("teachable-machine", shape)
    sized = Step("resize", {"size": side, "filter": "lanczos"})
    return (*pictures.colours(shape[2]), sized, Step("center_crop", {"size": side}))


def _keras(shape: Shape) -> tuple[Step, ...]:
    """Stretch the whole picture, as keras.utils.image_dataset_from_directory does by default."""
    return (*pictures.colours(shape[2]), pictures.stretched(shape[:2], "bilinear"))


def _square(name: str, shape: Shape) -> int:
    if shape[0] != shape[1]:
        raise EdgeproofError(f"--preprocess {name}: makes squares, the model takes {shape[0]}×{shape[1]}: give the steps")
    return shape[0]
