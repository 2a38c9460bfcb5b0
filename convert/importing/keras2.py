"""Keras 2 files, read by tf_keras: Keras 3 refuses many of them (DepthwiseConv2D with `groups`, operations as layers)."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from common.extras import how_to_add
from device.errors import EdgeproofError
from device.runtimes import first_line

OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty")
# The TensorFlow functions that such a layer may call: by name it could call any public one, also those that write files
CALLED = (
    "math.", "nn.", "image.", "linalg.", "signal.", "__operators__.", "compat.v1.nn.", "compat.v1.math.",
    "compat.v1.transpose", "keras.activations.", "keras.backend.",
)  # fmt: skip
CALLED_PLAINLY = frozenset({
    "abs", "add", "cast", "clip_by_value", "concat", "constant", "convert_to_tensor", "cos", "divide",
    "exp", "expand_dims", "fill", "gather", "identity", "maximum", "minimum", "multiply", "ones_like",
    "pad", "pow", "realdiv", "reshape", "reverse", "round", "shape", "sigmoid", "sin",
    "slice", "split", "sqrt", "square", "squeeze", "stack", "strided_slice", "subtract", "tanh",
    "tile", "transpose", "truediv", "unstack", "where", "zeros_like",
})  # fmt: skip
OWN_MODULES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")


def version_of(path: Path) -> str | None:
    """Return the Keras version that wrote a HDF5 file, or None where it does not say."""
    return _attribute(path, "keras_version")


def configuration(path: Path) -> Any:
    """Return a HDF5 file's description of its layers, or None where it has none that can be read."""
    text = _attribute(path, "model_config")
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def _attribute(path: Path, name: str) -> str | None:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            value = file.attrs.get(name)
    except (OSError, KeyError, TypeError, RuntimeError, ValueError):
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None if value is None else str(value)


def library() -> Any:
    """Import tf_keras. Raises ImportError where it is not installed."""
    import tf_keras

    return tf_keras


def load(path: Path) -> Any:
    """Load a HDF5 file whose description holds no code. Raises EdgeproofError with the reason where it cannot."""
    try:
        tf_keras = library()
    except ImportError as error:
        raise EdgeproofError(f"{path}: is of Keras 2, which tf_keras reads: {how_to_add('keras2')}") from error
    try:
        return tf_keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # the classes named in the file may raise anything
        raise EdgeproofError(
            f"{path}: is of Keras 2, and tf_keras {metadata.version('tf_keras')} cannot load it: {first_line(error)} It may "
            "be damaged, or hold classes that are not Keras's own: then export it where it was made, as a SavedModel"
        ) from error


def code_in(description: Any) -> Iterator[str]:
    """Yield the parts of a description of layers that would run code, at any depth, by the layer's name."""
    if isinstance(description, dict):
        if found := _runs_code(description):
            yield found
        for value in description.values():
            yield from code_in(value)
    elif isinstance(description, list):
        for value in description:
            yield from code_in(value)


def _is_own(module: str) -> bool:
    """Say whether a Python module belongs to Keras: "keras.layers" does, "keras_evil" does not."""
    return module.startswith(tuple(f"{own}." for own in OWN_MODULES)) or module in OWN_MODULES


def _runs_code(entry: dict[str, Any]) -> str | None:
    kind, inner, module = entry.get("class_name"), entry.get("config"), entry.get("module")
    settings: dict[str, Any] = inner if isinstance(inner, dict) else {}
    name = str(settings.get("name", entry.get("name", "unnamed")))
    if kind in ("Lambda", "__lambda__") or settings.get("function_type") in ("lambda", "function"):
        return f"Lambda layer {name}"
    if kind and isinstance(module, str) and not _is_own(module):
        return f"{kind} of the Python module {module}"
    if kind in OPERATION_LAYERS and kind != "SlicingOpLambda":
        function = str(settings.get("function", kind))
        if not (function.startswith(CALLED) or function in CALLED_PLAINLY):
            return f"{name}, which calls tf.{function}"
    return None
