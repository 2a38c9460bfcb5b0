"""The folder of a SavedModel. It has no layers any more and stands in the network as one.

Its operations are looked at before it is loaded.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.files import sha256_of
from convert.formats.frozen_graph import all_nodes
from convert.importing.class_number import check_gives_scores
from convert.importing.front_scaling import front_of_function, made_of_pixels, taken_by
from convert.importing.keras_network import KerasWrapped, wrapped
from convert.importing.picture_tensors import (
    check_batch_axis,
    check_picture_type,
    in_batches,
    laid_out,
    only,
    picture_layout,
)
from convert.importing.sources import Opening, Scores, Wrapping
from convert.importing.tensor_function import (
    as_layer,
    computes_in_half,
    frozen,
    frozen_or_none,
    with_free_batch,
    without_half,
    without_integers,
)
from convert.importing.understood import Fact, Shape, Understood
from convert.importing.unsafe_operations import unsafe_operations
from device.errors import EdgeproofError
from device.formats.model_graph import Front
from device.pictures.input_range import PIXELS
from device.runtimes import first_line
from train.fitting.predict import BATCH

EXPECTS = "the folder of a SavedModel"
GRAPH = "saved_model.pb"
MAX_GRAPH_BYTES = 2_000_000_000  # of a protobuf message
UNSAFE_OPTION = "--unsafe-code"


@dataclass(frozen=True)
class SavedModelSource:
    """A signature of a SavedModel, as a function from float32 values in the source's own layout to its scores."""

    understood: Understood
    sha256: str
    names: tuple[str, ...]
    parameters: int
    function: Callable[[Any], Any]
    _layers: dict[tuple[int | None, ...], Any] = field(default_factory=dict, repr=False)

    def answers(self, values: Any) -> Scores:
        """Return TensorFlow's outputs (N, classes) for values (N, H, W, C), float32, in the range that the model takes."""
        batch, tensor = self.understood.shape.value[0], laid_out(values, self.understood.layout.value)
        return in_batches(self.understood.path, tensor, batch or BATCH, batch is not None, self.function)

    def wrapped(self, wrapping: Wrapping) -> KerasWrapped:
        """Put a model around it, in which it is one layer."""
        return wrapped(self.understood, self._layer(wrapping), wrapping, keep_layers=False)

    def _layer(self, wrapping: Wrapping) -> Any:
        """Return it as one layer, for pictures of a size that is known now; made once a size."""
        shape = self.understood.shape_for(*wrapping.shape[:2])
        if shape not in self._layers:
            concrete = without_half(without_integers(frozen(self.function, shape)))
            self._layers[shape] = as_layer(concrete if shape[0] is None else with_free_batch(concrete))
        return self._layers[shape]


def recognises(path: Path) -> bool:
    """Say whether a path is a folder that holds saved_model.pb."""
    return path.is_dir() and (path / GRAPH).is_file()


def open_source(path: Path, opening: Opening) -> SavedModelSource:
    """Open a SavedModel. Raises EdgeproofError with the reason where it cannot."""
    graph = _meta_graph(path)
    if (found := unsafe_operations(graph)) and not opening.unsafe:
        raise EdgeproofError(
            f"{path}: holds operations that reach files, the terminal or the network ({', '.join(found)}): not loaded. "
            f"If you trust where it comes from, give {UNSAFE_OPTION}"
        )
    name = _signature_name(path, graph, opening.signature)
    signature = graph.signature_def[name]
    several = sum(bool(one.inputs) for one in graph.signature_def.values()) > 1  # one without inputs prepares the variables
    given = _only_name(path, "output", signature.outputs, several)
    taken = _only_name(path, "input", signature.inputs, several)
    function, parameters = _function(path, name, taken, given, tf_dtype(signature.inputs[taken]))
    understood = _understood(path, signature.inputs[taken], signature.outputs[given], name, function)
    scopes = {part for node in all_nodes(graph.graph_def) for part in node.name.split("/")}
    return SavedModelSource(understood, folder_sha256(path), tuple(sorted(scopes)), parameters, function)


def _only_name(path: Path, what: str, tensors: Any, several_signatures: bool) -> str:
    shapes = {name: _shape(tensor) for name, tensor in tensors.items()}
    other = ", or name it with --signature" if several_signatures else ""
    return only(path, what, shapes, f"export a signature of the one that classifies{other}")


def tf_dtype(tensor: Any) -> Any:
    """Return the tf.DType of a signature's tensor."""
    import tensorflow as tf

    return tf.dtypes.as_dtype(tensor.dtype)


def _understood(path: Path, taken: Any, given: Any, name: str, function: Callable[[Any], Any]) -> Understood:
    said, dtype, shape = f"its signature {name}", tf_dtype(taken), _shape(taken)
    check_picture_type(path, dtype.name)
    layout = picture_layout(path, shape)
    check_batch_axis(path, shape, _shape(given))
    concrete = frozen_or_none(function, shape)
    check_gives_scores(path, tf_dtype(given).name, concrete)
    front = Front() if dtype.is_integer or concrete is None else front_of_function(concrete)
    return Understood(
        path=path,
        format="saved_model",
        description="SavedModel",
        framework=f"TensorFlow {_tensorflow_version()}",
        shape=Fact(shape, said),
        dtype=Fact(dtype.name, said),
        layout=Fact(layout, "its sides"),
        output_shape=Fact(_shape(given), said),
        input_range=Fact(PIXELS, f"its input is {dtype.name}") if dtype.is_integer else taken_by(front),
        made_of_pixels=made_of_pixels(front),
        in_half=concrete is not None and computes_in_half(concrete),
    )


def _tensorflow_version() -> str:
    import tensorflow as tf  # its package is tensorflow-cpu or tensorflow

    return str(tf.__version__)


def _function(path: Path, name: str, taken: str, given: str, dtype: Any) -> tuple[Callable[[Any], Any], int]:
    """Return a signature as a function of one float32 tensor, and how many parameters are behind it."""
    import tensorflow as tf

    signature, owner = _loaded(path, name)

    def function(values: Any, _owner: Any = owner) -> Any:
        """Call the signature; `_owner` keeps its variables alive."""
        tensor = tf.round(values) if dtype.is_integer else values
        return tf.cast(signature(**{taken: tf.cast(tensor, dtype)})[given], tf.float32)

    return function, sum(int(np.prod(variable.shape)) for variable in signature.variables)


def _loaded(path: Path, name: str) -> tuple[Any, Any]:
    """Return a signature and the object that holds it.

    Where the objects inside cannot be made again (an old optimizer's slots), the graph alone is loaded, as TensorFlow 1 did.
    """
    import tensorflow as tf
    from tensorflow.python.saved_model import load_v1_in_v2

    try:
        owner = tf.saved_model.load(str(path))
    except Exception:
        try:
            owner = load_v1_in_v2.load(str(path), ["serve"])
        except Exception as error:  # a missing part of TensorFlow may raise anything
            raise EdgeproofError(f"{path}: TensorFlow cannot load it: {first_line(error)}: export it again") from error
    return owner.signatures[name], owner


def folder_sha256(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files in a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _meta_graph(folder: Path) -> Any:
    """Read a SavedModel's description without running any of it."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    if (size := (folder / GRAPH).stat().st_size) > MAX_GRAPH_BYTES:
        raise EdgeproofError(f"{folder}: {GRAPH} has {size / 1e9:.1f} GB, expected at most {MAX_GRAPH_BYTES / 1e9:.0f} GB")
    try:
        model.ParseFromString((folder / GRAPH).read_bytes())
    except (DecodeError, OSError) as error:
        raise EdgeproofError(f"{folder}: {GRAPH} is damaged ({error}): export it again") from error
    serving = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not serving:
        raise EdgeproofError(f"{folder}: has no graph for serving: export it with model.export(DIR)")
    return serving[0]


def _signature_name(folder: Path, graph: Any, asked: str | None) -> str:
    names = [name for name in sorted(graph.signature_def) if not name.startswith("__")]
    listed = ", ".join(names) or "none: export it with model.export(DIR)"
    if asked is not None:
        if asked not in names:
            raise EdgeproofError(f"{folder}: has no signature {asked!r}: there are {listed}")
        return asked
    if "serving_default" in names or len(names) == 1:
        return "serving_default" if "serving_default" in names else names[0]
    raise EdgeproofError(f"{folder}: has the signatures {listed}: say which one classifies, with --signature NAME")


def _shape(tensor: Any) -> Shape:
    return tuple(None if side.size < 0 else int(side.size) for side in tensor.tensor_shape.dim)
