"""A trained model with its card, its data set, and what it is exported to."""

import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.advice import command
from common.files import read_json, reading_together, scratch_folder, sha256_of
from common.paths import BUILD
from convert import calibration as calibrate
from convert.formats import to_onnx, to_tflite
from convert.formats.onnx_network import ENDING as IMPORTED_ONNX, OnnxNetwork
from convert.formats.saved_model import export
from convert.variants import GIVEN, Format, find_variants
from convert.verification import golden
from convert.verification.sample_size import multiply_accumulates, verified_pictures
from convert.verification.verify import ONE_STEP, margins
from device.card import Card, Step
from device.errors import EdgeproofError
from train.data.dataset import DataReference, Dataset, stratified_order
from train.data.open_dataset import open_dataset
from train.fitting.predict import probabilities
from train.models import model_names

SAVED_MODEL = ".saved_model.zip"
MODEL_ENDINGS = (".keras", SAVED_MODEL, IMPORTED_ONNX)  # of a model in build/NAME: convert/importing/sources writes these
NO_TFLITE = (
    "TFLite is not made of an ONNX model: export it where it was made, with litert-torch or as a Keras model, and give that"
)


@dataclass(frozen=True)
class Validation:
    """Validation pictures and Keras's answers to them."""

    indices: npt.NDArray[np.int64]  # (N,), in the data set's validation part
    pixels: npt.NDArray[np.uint8]  # (N, H, W, C), prepared
    probabilities: npt.NDArray[np.float32]  # (N, classes)


class TrainedModel:
    """A model with its common card and its pictures, trained here or imported by convert/importing/import_model.py.

    The file is a `.keras`, a zipped SavedModel, or a float32 ONNX graph. It is opened, exported and run only when a variant
    needs that.
    """

    def __init__(self, keras_path: Path, dataset: Dataset | None = None) -> None:
        """Check the files. `dataset` is the one that it was trained with, if it is open already.

        Raises EdgeproofError for a missing or damaged file.
        """
        self._given_dataset = dataset
        self.path = keras_path
        self.folder, self.name = keras_path.parent, name_of(keras_path)
        if not keras_path.is_file():
            known = self.name in model_names()
            how = f"train it with `edgeproof train run {self.name}`" if known else "expected a model in build/, or a file"
            raise EdgeproofError(f"{keras_path}: no such file: {how}")
        card_path = self.folder / f"{self.name}.card.json"
        if not card_path.is_file():
            raise EdgeproofError(
                f"{card_path}: is missing beside {keras_path}: train the model again. If it was not trained here, "
                f"give --calibration DIR and the options that `{command('convert', 'inspect', keras_path)}` names"
            )
        with reading_together(self.folder):
            self.common, sha256 = read_json(card_path), sha256_of(keras_path)
        self.card = Card.from_json({**self.common, "variant": "keras"})
        if self.common.get("provenance", {}).get("source_sha256") != sha256:
            raise EdgeproofError(f"{keras_path}: is not the file that {card_path} describes: train the model again")
        self._exit = ExitStack()
        self._scratch = self._exit.enter_context(scratch_folder())

    def close(self) -> None:
        """Remove the scratch folder."""
        self._exit.close()

    @property
    def steps(self) -> Sequence[Step]:
        """Return the preprocessing steps of its card."""
        return self.card.preprocess

    @property
    def formats(self) -> tuple[Format, ...]:
        """Return the formats that the model can be converted to."""
        return ("onnx",) if self.path.name.endswith(IMPORTED_ONNX) else ("tflite", "onnx")

    @property
    def reference(self) -> str:
        """Return the name of the float model that answers are compared with, as text."""
        return "the ONNX model" if self.formats == ("onnx",) else "Keras"

    @property
    def fixed_batch(self) -> int | None:
        """Return the batch of an ONNX graph that works with no other; None if the batch is free."""
        return self.network.batch if self.formats == ("onnx",) else None

    @property
    def trained_here(self) -> bool:
        """Say whether it was trained here, not imported."""
        return "source" not in self.common["provenance"]

    @cached_property
    def dataset(self) -> Dataset:
        """Open the data set that the model was trained with. Raises EdgeproofError if it has changed."""
        provenance = self.common["provenance"]
        dataset = self._given_dataset or open_dataset(DataReference.from_json(provenance["dataset"]), self.card.labels)
        for part in ("train", "val"):
            if getattr(dataset, part).sha256 != provenance["dataset_sha256"][part]:
                again = "train again" if self.trained_here else "give the model with --labels and --calibration again"
                raise EdgeproofError(f"{provenance['dataset']}: its {part} part has changed since training: {again}")
        return dataset

    @cached_property
    def network(self) -> Any:
        """Load the keras.Model in safe mode; for an ONNX graph, an OnnxNetwork, which is called in the same way."""
        if self.path.name.endswith(IMPORTED_ONNX):
            return OnnxNetwork(self.path, self.path.read_bytes())
        import keras

        if self.path.name.endswith(SAVED_MODEL):
            return self._saved_model_network()
        try:
            return keras.models.load_model(self.path, compile=False, safe_mode=True)
        except (ValueError, OSError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise EdgeproofError(f"{self.path}: Keras cannot load it: {reason}: train the model again") from error

    def _saved_model_network(self) -> Any:
        """Return a keras.Model around the zipped SavedModel."""
        import keras

        folder = self._scratch / "source"
        with zipfile.ZipFile(self.path) as archive:
            archive.extractall(folder)
        layer = keras.layers.TFSMLayer(str(folder), call_endpoint="serve", trainable=False)
        image = keras.Input((self.card.height, self.card.width, self.card.channels), name="image")
        return keras.Model(image, layer(image), name="imported")

    @cached_property
    def saved_model(self) -> Path:
        """Export it and return the SavedModel's folder. Raises EdgeproofError for a model that has no TFLite form."""
        if "tflite" not in self.formats:
            raise EdgeproofError(f"{self.path}: {NO_TFLITE}")
        folder = self._scratch / "saved_model"
        export(self.network, folder, batch=1)  # a fixed batch leaves no SHAPE or PACK operation in the graph
        return folder

    @cached_property
    def calibration(self) -> calibrate.Calibration:
        """Choose calibration pictures among the training pictures."""
        return calibrate.choose(self.dataset.train, self.steps)

    @cached_property
    def tflite_source(self) -> to_tflite.Source:
        """Return what TFLite variants are made of: the SavedModel and the calibration pictures."""
        return to_tflite.Source(self.saved_model, self.calibration)

    @cached_property
    def folded_onnx(self) -> bytes:
        """Return the float32 ONNX model that is quantized: its nodes have the same names as the quantized model's."""
        path = self._scratch / "folded.onnx"
        to_onnx.fold(self.onnx, path)
        return path.read_bytes()

    @cached_property
    def onnx(self) -> to_onnx.OnnxModel:
        """Return the float32 ONNX model: the imported graph, or the network converted."""
        if isinstance(self.network, OnnxNetwork):
            return to_onnx.OnnxModel(self.network.data)
        return to_onnx.convert_float32(self.network)

    @cached_property
    def validation(self) -> Validation:
        """Prepare validation pictures and let Keras answer them; their number depends on the model's cost.

        Raises EdgeproofError if the model's scores are not numbers, or if it decides no picture.
        """
        count = verified_pictures(multiply_accumulates(self.network))
        chosen = stratified_order(self.dataset.val.labels, seed=0)[:count]
        pixels = self.dataset.val.prepared(self.steps, chosen)
        scores = probabilities(self.network, pixels)
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).any(axis=1).sum())
            raise EdgeproofError(
                f"{self.path}: Keras answers {bad:,} of {len(scores):,} validation pictures with scores that are not "
                "numbers, so nothing can be compared with them: train the model again"
            )
        if self.trained_here and (clearest := float(margins(scores).max())) < ONE_STEP:
            raise EdgeproofError(
                f"{self.path}: the model decides nothing: on each of {len(scores):,} validation pictures its two highest "
                f"scores differ by at most {clearest:.2g}, expected over {ONE_STEP:.2g} on most: any rounding changes its "
                "answers: train it again"
            )
        return Validation(chosen, pixels, scores)

    @cached_property
    def golden(self) -> list[golden.GoldenPicture]:
        """Choose golden pictures among the validation pictures."""
        found = self.validation
        return golden.choose(
            self.dataset.val,
            found.indices,
            found.probabilities,
            self.card,
            lambda pixels: probabilities(self.network, pixels),
        )


def keras_path(target: str) -> Path:
    """Return the file of a model, given its name ("mnist_cnn", "mnist_cnn@tutorial", an imported one's) or its path.

    Raises EdgeproofError for the name of no model.
    """
    if target.endswith(MODEL_ENDINGS):
        return Path(target)
    model = target.partition("@")[0]
    if model in model_names():
        return BUILD / target / f"{model}.keras"
    for ending in MODEL_ENDINGS:
        if (path := BUILD / target / f"{target}{ending}").is_file():
            return path
    if (given := _given(target)) is not None:
        raise EdgeproofError(f"{given}: is used as it is: there is no float model of it to convert or to compare with")
    if target.endswith(".tflite") and Path(target).exists():
        raise EdgeproofError(
            f"{target}: is converted already: `{command('convert', 'card', target)}` adds a card to it as it is"
        )
    if Path(target).exists():
        raise EdgeproofError(
            f"{target}: was not trained here: `convert run` converts it, with --calibration DIR and the options that "
            f"`{command('convert', 'inspect', target)}` names"
        )
    raise EdgeproofError(f"unknown model {target!r}: there are {', '.join(model_names())}, or give a .keras file")


def artifact_path(target: str, variant: str) -> Path:
    """Return the artifact of a model and a variant ("mnist_cnn", "int8" or "int8.onnx"), or the path that was given.

    Raises EdgeproofError for the name of no model or no variant.
    """
    if target.endswith((".tflite", ".onnx")):
        return Path(target)
    if (given := _given(target)) is not None:
        return given
    path, wanted = keras_path(target), find_variants([variant])
    found = [path.parent / f"{name_of(path)}.{one.key}" for one in wanted]
    return next((one for one in found if one.is_file()), found[0])


def _given(target: str) -> Path | None:
    """Return the file of a model that is used as it is (`convert card`), or None if there is none of that name."""
    path = BUILD / target / f"{target}.{GIVEN}.tflite"
    return path if path.is_file() else None


def name_of(path: Path) -> str:
    """Return the name of a model's file, without the ending."""
    return next((path.name.removesuffix(ending) for ending in MODEL_ENDINGS if path.name.endswith(ending)), path.name)
