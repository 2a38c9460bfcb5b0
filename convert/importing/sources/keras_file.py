"""A Keras model in one file: `.keras` of Keras 3, `.h5` of Keras 2 and 3.

Nothing in such a file is trusted: Python code in it (Lambda layers) runs only when asked for. A file of Keras 2 is answered
by tf_keras; where Keras 3 can read it too, its layers stay, else it stands in the network as one.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from common.files import sha256_of
from common.unzip import check_archive
from convert.importing import keras2
from convert.importing.class_number import check_gives_scores
from convert.importing.front_scaling import front_of_function, made_of_pixels, taken_by
from convert.importing.input_range import scaling_layers
from convert.importing.keras_network import KerasWrapped, single, wrapped
from convert.importing.picture_tensors import activation_of, check_picture_type, in_batches, laid_out, only, picture_layout
from convert.importing.rebuilt import computes_in_half, in_float32, taking_floats, with_plain_names
from convert.importing.sources import Opening, Scores, Wrapping
from convert.importing.tensor_function import as_layer, frozen, frozen_or_none, without_half, without_integers
from convert.importing.understood import Fact, Shape, Understood
from convert.reasons import shortened
from device.errors import EdgeproofError
from device.files import archive_errors
from device.formats.model_graph import Front
from device.pictures.input_range import PIXELS, InputRange
from device.runtimes import first_line
from train.fitting.predict import BATCH

EXPECTS = "a .keras or .h5 file"
HDF5 = b"\x89HDF\r\n\x1a\n"
UNSAFE_OPTION = "--unsafe-code"
ADVICE = "make a model of the one that classifies, keras.Model(inputs, output), and save that"


@dataclass(frozen=True)
class KerasSource:
    """A model as it was loaded."""

    understood: Understood
    sha256: str
    names: tuple[str, ...]
    parameters: int
    reference: Any  # the model in its own framework
    network: Any | None  # the keras.Model whose layers are kept; None: it stands in the network as one
    _layers: dict[tuple[int | None, ...], Any] = field(default_factory=dict, repr=False)

    def answers(self, values: Any) -> Scores:
        """Return Keras's outputs (N, classes) for values (N, H, W, C), float32, in the range that the model takes."""
        path, tensor = self.understood.path, laid_out(values, self.understood.layout.value)
        return in_batches(path, tensor, BATCH, False, lambda part: _answered(self.reference, part))

    def wrapped(self, wrapping: Wrapping) -> KerasWrapped:
        """Put a model around its layers, or around one layer that computes the same if they cannot be kept."""
        network = None if self.network is None else with_plain_names(self.network)
        if network is None:
            return wrapped(self.understood, self._frozen_layer(wrapping), wrapping, keep_layers=False)
        network = in_float32(network) if computes_in_half(network) else network
        network = taking_floats(network) if _takes_whole_numbers(network) else network
        return wrapped(self.understood, lambda image: single(network(image, training=False)), wrapping, keep_layers=True)

    def _frozen_layer(self, wrapping: Wrapping) -> Any:
        """Return the model as one layer, for pictures of a size that is known now; made once a size."""
        shape = self.understood.shape_for(*wrapping.shape[:2])
        if shape not in self._layers:
            concrete = frozen(lambda image: _answered(self.reference, image), shape)
            self._layers[shape] = as_layer(without_half(without_integers(concrete)))
        return self._layers[shape]


def recognises(path: Path) -> bool:
    """Say whether a path is a HDF5 file or a ZIP with a Keras configuration, or calls itself one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(HDF5)) == HDF5:
            return True
    return path.suffix.lower() in (".keras", ".h5", ".hdf5") or _is_keras_zip(path)


def _is_keras_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "metadata.json"} <= set(archive.namelist())
    except archive_errors():
        return False


def open_source(path: Path, opening: Opening) -> KerasSource:
    """Load a model. Raises EdgeproofError with the reason where it cannot."""
    weights = f"{path}: holds weights without a model: build it, load them and save all with model.save(FILE)"
    if path.name.endswith(".weights.h5"):
        raise EdgeproofError(weights)
    _check_container(path)
    version = None if zipfile.is_zipfile(path) else keras2.version_of(path)
    if version and keras2.configuration(path) is None:
        raise EdgeproofError(weights)
    of_keras2 = bool(version) and str(version).startswith("2.")
    if version and not of_keras2 and path.suffix not in (".h5", ".hdf5"):  # Keras 3 goes by the name, in small letters
        raise EdgeproofError(f"{path}: is a .h5 file by another name: rename it to {path.stem}.h5")
    loaded, network = _load_keras2(path, opening.unsafe) if of_keras2 else _load(path, opening.unsafe)
    if not getattr(loaded, "inputs", None):
        raise EdgeproofError(
            f"{path}: its input's shape is not known (a subclassed model, or one never built): export it with "
            "model.export(DIR) and give DIR"
        )
    loaded, network = (None if model is None else _with_free_batch(model) for model in (loaded, network))
    assert loaded is not None
    return KerasSource(
        understood=_understood(path, loaded, f"Keras {version}" if of_keras2 else None),
        sha256=sha256_of(path),
        names=(loaded.name, *(layer.name for layer in loaded._flatten_layers(include_self=False))),
        parameters=int(loaded.count_params()),
        reference=loaded,
        network=network,
    )


def _check_container(path: Path) -> None:
    """Raise EdgeproofError for a file that is neither a ZIP archive nor HDF5, and for a name that Keras does not open."""
    if zipfile.is_zipfile(path):
        check_archive(path)
        if path.suffix != ".keras":
            raise EdgeproofError(f"{path}: is a .keras file by another name: rename it to {path.stem}.keras")
        return
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    if start != HDF5:
        kind = "a .keras is a ZIP archive" if path.suffix.lower() == ".keras" else "a .h5 is a HDF5 file"
        found = f"it begins with {start!r}" if start else "it is empty"
        raise EdgeproofError(f"{path}: is no Keras model, or is cut off ({kind}, {found}): copy it again")


def _with_free_batch(model: Any) -> Any:
    """Return a model, of Keras 3 or 2, whose batch is not fixed."""
    import keras

    if model.inputs[0].shape[0] is None or len(model.inputs) > 1:
        return model
    framework = keras if isinstance(model, keras.Model) else keras2.library()
    image = framework.Input(tuple(model.inputs[0].shape[1:]), name="free_batch", dtype=model.inputs[0].dtype)
    again = framework.models.clone_model(model, input_tensors=image)
    again.set_weights(model.get_weights())
    return again


def _takes_whole_numbers(model: Any) -> bool:
    return "int" in _dtype(model.inputs[0])


def _dtype(tensor: Any) -> str:
    """Return the name of a tensor's type, of Keras 3 or 2."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def _answered(model: Any, values: Any) -> Any:
    """Call a model, of Keras 3 or 2, on float32 values; one that takes whole numbers gets them rounded."""
    if _takes_whole_numbers(model):
        import tensorflow as tf

        values = tf.cast(tf.round(values), _dtype(model.inputs[0]))
    return single(model(values, training=False))


def _understood(path: Path, model: Any, made_by: str | None) -> Understood:
    import keras

    inputs: dict[str, Shape] = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
    names = getattr(model, "output_names", None) or [tensor.name for tensor in model.outputs]  # a Sequential has none
    outputs: dict[str, Shape] = {name: tuple(tensor.shape) for name, tensor in zip(names, model.outputs, strict=True)}
    said = "the file's description of its layers"
    shape, scores = inputs[only(path, "input", inputs, ADVICE)], outputs[only(path, "output", outputs, ADVICE)]
    activation = activation_of(_last_layer(model))
    kind = ".keras" if zipfile.is_zipfile(path) else ".h5"
    own = isinstance(model, keras.Model)
    layout, dtype = picture_layout(path, shape), _dtype(model.inputs[0])
    if "float" not in dtype:  # Keras computes in any of them
        check_picture_type(path, dtype)
    concrete = frozen_or_none(lambda image: _answered(model, image), shape)
    check_gives_scores(path, _dtype(model.outputs[0]), concrete)
    front = Front() if concrete is None else front_of_function(concrete)
    return Understood(
        path=path,
        format="keras_file",
        description=f"Keras model ({kind})" if made_by is None else f"{made_by} model ({kind})",
        framework=f"Keras {metadata.version('keras')}" if own else f"tf_keras {metadata.version('tf_keras')}",
        shape=Fact(shape, said),
        dtype=Fact(dtype, said),
        layout=Fact(layout, "its sides"),
        output_shape=Fact(scores, said),
        input_range=Fact(PIXELS, f"its input is {dtype}") if _takes_whole_numbers(model) else _taken(model, front),
        made_of_pixels=made_of_pixels(front),
        activation=Fact(activation, "its last layer") if activation else None,
        in_half=computes_in_half(model),
        resized_to=_resized_to(model),
    )


def _taken(model: Any, front: Front) -> Fact[InputRange] | None:
    """Return the values that a model takes where its first layers scale them."""
    if found := scaling_layers(model):
        return Fact(PIXELS, f"it scales by itself: {', '.join(found)}")
    return taken_by(front)


def _resized_to(model: Any) -> tuple[int, int] | None:
    """Return height and width of the layer that resizes pictures in front of the first kernel, or None."""
    for layer in model._flatten_layers(include_self=False):
        if type(layer).__name__ == "Resizing":
            return int(layer.height), int(layer.width)
        if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel"):
            return None
    return None


def _last_layer(model: Any) -> Any:
    while getattr(model, "layers", None):
        model = model.layers[-1]
    return model


def _load(path: Path, unsafe: bool) -> tuple[Any, Any | None]:
    """Return the keras.Model, and again where its layers can be kept: where loading it takes no code stored in it."""
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # the classes named in the file may raise anything
        config = _config(path)
        stored = list(_lambda_layers(config))
        if own := sorted(set(_own_classes(config))):
            raise _without_code(path, own) from error
        if not stored:
            raise _unloadable(path, error) from error
        if not unsafe:
            raise _holds_code(path, stored) from error
    else:
        return model, model
    try:
        return keras.models.load_model(path, compile=False, safe_mode=False), None
    except Exception as error:
        raise _unloadable(path, error) from error


def _load_keras2(path: Path, unsafe: bool) -> tuple[Any, Any | None]:
    """Return the model of tf_keras, and the keras.Model where Keras 3 can read it too."""
    import keras

    stored = list(keras2.code_in(keras2.configuration(path)))
    if stored and not unsafe:
        raise _holds_code(path, stored)
    loaded = keras2.load(path)
    if stored:
        return loaded, None
    try:
        return loaded, keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception:  # the reason why tf_keras is here
        return loaded, None


def _holds_code(path: Path, stored: list[str]) -> EdgeproofError:
    return EdgeproofError(
        f"{path}: holds code that could do anything here ({', '.join(stored[:5])}): not run. If you trust where it comes "
        f"from, give {UNSAFE_OPTION}; or export it where it was made, with model.export(DIR), and give DIR"
    )


def _without_code(path: Path, own: list[str]) -> EdgeproofError:
    return EdgeproofError(
        f"{path}: holds {', '.join(own[:5])}, which {'is' if len(own) == 1 else 'are'} not Keras's own, and the file does "
        "not hold their code: export the model where it was made, with model.export(DIR), and give DIR"
    )


def _own_classes(config: Any) -> Iterator[str]:
    """Yield the classes and functions in a configuration of Keras 3 that are of no package, but of who made the model."""
    for entry in _entries(config):
        if "module" in entry and "class_name" in entry:
            module, name = entry["module"], entry["class_name"]
            if module is None or str(module).partition(".")[0] not in ("keras", "keras_hub", "builtins"):
                yield f"the class {name}"
            elif module == "builtins" and name == "function" and isinstance(entry.get("config"), str):
                yield f"the function {entry['config']}"


def _unloadable(path: Path, error: Exception) -> EdgeproofError:
    return EdgeproofError(
        f"{path}: Keras cannot load it: {shortened(first_line(error))} It may be damaged, or hold classes that are not "
        "Keras's own: then export the model where it was made, with model.export(DIR), and give DIR"
    )


def _config(path: Path) -> Any:
    """Return a file's description of its layers, or None where it has none that can be read."""
    if not zipfile.is_zipfile(path):
        return keras2.configuration(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except archive_errors():
        return None


def _lambda_layers(config: Any) -> Iterator[str]:
    """Yield the names of the Lambda layers in a configuration, at any depth."""
    for entry in _entries(config):
        inner = entry.get("config")
        if entry.get("class_name") == "Lambda" and isinstance(inner, dict):
            yield f"Lambda layer {inner.get('name', 'unnamed')}"


def _entries(config: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects in a configuration, at any depth."""
    if isinstance(config, dict):
        yield config
    if isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _entries(value)
