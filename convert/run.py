"""Converting one trained model into its artifacts: convert, verify, card, and only then the name."""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert import calibrate, golden, tflite_file, to_onnx, to_tflite, verify
from convert.card import embed
from convert.check import check, runs_per_channel_dense
from convert.target import Target
from convert.tflite_metadata import with_metadata
from convert.variant import Variant, find_variants
from device.classify import Card, CheckFailed, EdgeproofError, Step, open_session
from train.alone import alone
from train.data import DataReference, Dataset, open_dataset, stratified_order
from train.evaluate import probabilities
from train.files import BUILD, read_json, reading_together, replacing, scratch_folder, sha256_of
from train.spec import model_names

SAVED_MODEL = ".saved_model.zip"
TOOLS = {"tflite": ("tensorflow-cpu",), "onnx": ("tf2onnx", "onnx", "onnxruntime")}


@dataclass(frozen=True)
class Artifact:
    """A file that was written and what it was measured to agree."""

    path: Path
    variant: Variant
    agreement: verify.Agreement
    size_bytes: int


@dataclass(frozen=True)
class Validation:
    """Validation pictures as Keras answered them."""

    indices: npt.NDArray[np.int64]  # (N,), in the data set's validation part
    pixels: npt.NDArray[np.uint8]  # (N, H, W, C), prepared
    probabilities: npt.NDArray[np.float32]  # (N, classes)


class TrainedModel:
    """A Keras model with its common card and its pictures, trained here or taken in by convert/adopt.py.

    The file is a `.keras`, or a zipped SavedModel where that is all there is. Opened, exported and run only when a variant
    asks for it.
    """

    def __init__(self, keras_path: Path) -> None:
        """Check the files. Raises EdgeproofError for a missing or damaged one."""
        self.path = keras_path
        self.folder, self.name = keras_path.parent, keras_path.name.removesuffix(SAVED_MODEL).removesuffix(".keras")
        if not keras_path.is_file():
            raise EdgeproofError(f"{keras_path}: no such file: train it with `python -m train run {self.name}`")
        card_path = self.folder / f"{self.name}.card.json"
        if not card_path.is_file():
            raise EdgeproofError(
                f"{card_path}: is missing beside {keras_path}: train the model again, or for one that was not trained here "
                "give --labels FILE and --calibration DIR"
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
        return self.card.preprocess

    @property
    def trained_here(self) -> bool:
        return "source" not in self.common["provenance"]

    @cached_property
    def dataset(self) -> Dataset:
        """Open the data set of training. Raises EdgeproofError where it is no longer the same."""
        provenance = self.common["provenance"]
        dataset = open_dataset(DataReference.from_json(provenance["dataset"]), self.card.labels)
        for part in ("train", "val"):
            if getattr(dataset, part).sha256 != provenance["dataset_sha256"][part]:
                again = "train again" if self.trained_here else "give the model with --labels and --calibration again"
                raise EdgeproofError(f"{provenance['dataset']}: its {part} part is not the one of training: {again}")
        return dataset

    @cached_property
    def network(self) -> Any:
        """Load the keras.Model, with safe mode on."""
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
        folder = self._scratch / "saved_model"
        to_tflite.export_saved_model(self.network, folder)
        return folder

    @cached_property
    def calibration(self) -> calibrate.Calibration:
        return calibrate.choose(self.dataset.train, self.steps)

    @cached_property
    def onnx(self) -> to_onnx.OnnxModel:
        return to_onnx.convert_float32(self.network)

    @cached_property
    def validation(self) -> Validation:
        """Prepare validation pictures and let Keras answer them."""
        chosen = stratified_order(self.dataset.val.labels, seed=0)[: verify.FULL_SAMPLE]
        pixels = self.dataset.val.prepared(self.steps, chosen)
        return Validation(chosen, pixels, probabilities(self.network, pixels))

    @cached_property
    def golden(self) -> list[golden.GoldenPicture]:
        found = self.validation
        return golden.choose(
            self.dataset.val,
            found.indices,
            found.probabilities,
            self.card,
            lambda pixels: probabilities(self.network, pixels),
        )


def keras_path(target: str) -> Path:
    """Return the file of a model's name ("mnist_cnn", "mnist_cnn@tutorial", an imported one's) or of a path to it.

    Raises EdgeproofError for a name that is no model's.
    """
    if target.endswith((".keras", SAVED_MODEL)):
        return Path(target)
    model = target.partition("@")[0]
    if model in model_names():
        return BUILD / target / f"{model}.keras"
    for ending in (".keras", SAVED_MODEL):
        if (path := BUILD / target / f"{target}{ending}").is_file():
            return path
    if Path(target).exists():
        raise EdgeproofError(f"{target}: was not trained here: give --labels FILE and --calibration DIR too")
    raise EdgeproofError(f"unknown model {target!r}: there are {', '.join(model_names())}, or give a .keras file")


def artifact_path(target: str, variant: str) -> Path:
    """Return the artifact of a model's variant ("mnist_cnn", "int8" or "int8.onnx"), or of a path to one.

    Raises EdgeproofError for a name that is no model's or no variant's.
    """
    if target.endswith((".tflite", ".onnx")):
        return Path(target)
    return keras_path(target).with_suffix(f".{find_variants([variant])[0].key}")


def convert_model(
    path: Path, variants: Sequence[Variant], failed: Callable[[str], None], target: Target | None = None
) -> Iterator[Artifact]:
    """Convert a trained model to each variant, for any device or for a target's runtime, and yield what was written.

    A variant that breaks its promise is reported to `failed` and leaves no file under its name; one that will not load on
    the target is reported and stays. Raises EdgeproofError where the model itself is unusable.
    """
    trained = TrainedModel(path)
    try:
        with alone(trained.folder / trained.name):
            for variant in variants:
                artifact_path = trained.folder / f"{trained.name}.{variant.key}"
                try:
                    yield _convert_variant(trained, variant, artifact_path, target)
                    if target is not None and not (verdict := check(artifact_path, target)).runs:
                        failed(f"{artifact_path}: {target.name}: {verdict}")
                except CheckFailed as error:
                    artifact_path.unlink(missing_ok=True)  # an older file of that name is of another model
                    failed(f"{artifact_path}: {error}: not written")
    finally:
        trained.close()


def _convert_variant(trained: TrainedModel, variant: Variant, path: Path, target: Target | None) -> Artifact:
    own: dict[str, Any] = {}
    float_nodes: tuple[str, ...] = ()
    if variant.by_doctor:
        raise EdgeproofError(f"{variant.key}: is made by `python -m convert doctor {trained.folder.name} --fix`")
    if variant.format == "tflite":
        per_channel_dense = target is not None and runs_per_channel_dense(target)
        data = to_tflite.convert(trained.saved_model, variant, trained.calibration, per_channel_dense)
    else:
        model = _onnx_model(trained, variant)
        data, float_nodes = model.data, model.float_nodes
        own["session"] = model.session
    return write_artifact(trained, variant, path, data, float_nodes, own)


def write_artifact(
    trained: TrainedModel,
    variant: Variant,
    path: Path,
    data: bytes,
    float_nodes: Sequence[str],
    own: dict[str, Any],
) -> Artifact:
    """Hold a converted model to its promise, put its card in and give it its name.

    `own` is the artifact's own part of the card. Raises CheckFailed for a broken promise; nothing is written then.
    """
    if variant.format == "tflite":
        data = with_metadata(data, {**trained.common, "variant": variant.name})
    with replacing(path) as temporary:
        temporary.write_bytes(data)
        verify.check_types(temporary, variant, float_nodes)
        if variant.format == "tflite":
            own["min_runtime"] = tflite_file.min_runtime(tflite_file.read_model(data))
        own["float_layers"] = list(float_nodes)
        card = Card.from_json({**trained.common, **own, "variant": variant.name})
        session = open_session(temporary, card)
        margin = verify.counted_margin(variant, trained.trained_here)
        agreement = verify.agreement(session, trained.validation.pixels, trained.validation.probabilities, variant, margin)
        verify.check_agreement(variant, agreement)
        own["golden"] = golden.golden_json(trained.golden, session)
        own["golden_tolerance"] = golden.tolerance_json(variant, session)
        embed(temporary, _complete_card(trained, variant, own, agreement))
        size_bytes = temporary.stat().st_size
    return Artifact(path, variant, agreement, size_bytes)


def _onnx_model(trained: TrainedModel, variant: Variant) -> to_onnx.OnnxModel:
    if variant.name == "float32":
        return trained.onnx
    if variant.name == "float16":
        return to_onnx.convert_float16(trained.onnx)
    return to_onnx.quantize(trained.onnx, trained.calibration)


def _complete_card(
    trained: TrainedModel, variant: Variant, own: Mapping[str, Any], agreement: verify.Agreement
) -> dict[str, Any]:
    """Add the artifact's own part to the common card."""
    card: dict[str, Any] = json.loads(json.dumps(trained.common))
    card |= {"variant": variant.name, **own}
    card["accuracy"]["validation_agreement"] = agreement.to_json()
    if variant.calibrated:
        card["provenance"]["calibration"] = trained.calibration.to_json()
    card["provenance"]["tools"] |= {tool: metadata.version(tool) for tool in TOOLS[variant.format]}
    return card
