"""Opening a model that was not trained here: a `.keras` or `.h5` file or a SavedModel, as one keras tensor function.

Nothing in such a file is trusted: Python code in it (Lambda layers) runs only when asked for, and a SavedModel's operations
are looked at before it is loaded. A SavedModel has no layers any more; it stands in the network as one.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from device.classify import EdgeproofError
from train.files import sha256_of

Kind = Literal["keras", "h5", "saved_model"]
Shape = tuple[int | None, ...]

H5_ENDINGS = (".h5", ".hdf5")
# saved_model_cli's denylist (tensorflow/python/tools/saved_model_cli.py): these reach the file system when the model runs
UNSAFE_OPERATIONS = frozenset({"ReadFile", "WriteFile", "PrintV2"})
UNSAFE_OPTION = "--unsafe-code"


@dataclass(frozen=True)
class Source:
    """A model as it was opened: one picture tensor in, one score tensor out."""

    path: Path
    kind: Kind
    sha256: str
    input_shape: Shape  # (batch, height, width, channels), None where it is free
    output_shape: Shape
    layer: Callable[[Any], Any]  # from a keras tensor to a keras tensor
    network: Any | None  # the keras.Model, None for a SavedModel
    names: tuple[str, ...]  # of the model and what is in it
    parameters: int
    holds_code: bool = False  # Python code that runs whenever it is loaded


def kind_of(path: Path) -> Kind:
    """Tell what a path is. Raises EdgeproofError for what cannot be opened."""
    if not path.exists():
        raise EdgeproofError(f"{path}: no such file: expected a .keras or .h5 file or the folder of a SavedModel")
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise EdgeproofError(
                f"{path}: is a folder without saved_model.pb, so no SavedModel: give the folder that holds it"
            )
        return "saved_model"
    if path.name.endswith(".weights.h5"):
        raise EdgeproofError(
            f"{path}: holds weights without a model: build it, load them and save all with model.save(FILE)"
        )
    if path.suffix == ".keras":
        return "keras"
    if path.suffix in H5_ENDINGS:
        return "h5"
    raise EdgeproofError(
        f"{path}: expected a .keras or .h5 file or the folder of a SavedModel, found {path.suffix or 'no ending'!r}"
    )


def open_source(path: Path, unsafe: bool = False) -> Source:
    """Open a model. `unsafe` runs Python code that is stored in it. Raises EdgeproofError that says what is in the way."""
    kind = kind_of(path)
    source = _open_saved_model(path, unsafe) if kind == "saved_model" else _open_keras(path, kind, unsafe)
    _check_input(path, source.input_shape)
    return source


def folder_sha256(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files in a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _check_input(path: Path, shape: Shape) -> None:
    if len(shape) != 4 or shape[3] not in (1, 3):
        first = " (channels first: build the model with channels last)" if len(shape) == 4 and shape[1] in (1, 3) else ""
        raise EdgeproofError(f"{path}: its input is {_text(shape)}{first}, expected (batch, height, width, 1 or 3)")
    if shape[0] is not None:
        raise EdgeproofError(
            f"{path}: its batch is fixed at {shape[0]}, expected a free one: save or export it without a batch size"
        )


def _text(shape: Shape) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def _only(path: Path, what: str, found: Mapping[str, Shape]) -> Shape:
    """Return the shape of the one input or output. Raises EdgeproofError that names them where there are several."""
    if len(found) != 1:
        named = ", ".join(f"{name} {_text(shape)}" for name, shape in found.items())
        raise EdgeproofError(
            f"{path}: has {len(found)} {what}s ({named}), expected one: make a model of the one that classifies, "
            "keras.Model(inputs, output), and save that"
        )
    return next(iter(found.values()))


# ---- .keras and .h5 -------------------------------------------------------------------------------------------------


def _open_keras(path: Path, kind: Kind, unsafe: bool) -> Source:
    network, holds_code = _load(path, unsafe)
    if not getattr(network, "inputs", None):
        raise EdgeproofError(
            f"{path}: its input's shape is not known (a subclassed model, or one never built): export it with "
            "model.export(DIR) and give DIR"
        )
    inputs = {tensor.name: tuple(tensor.shape) for tensor in network.inputs}
    outputs = dict(zip(network.output_names, (tuple(tensor.shape) for tensor in network.outputs), strict=True))
    layers = list(network._flatten_layers(include_self=False))
    return Source(
        path=path,
        kind=kind,
        sha256=sha256_of(path),
        input_shape=_only(path, "input", inputs),
        output_shape=_only(path, "output", outputs),
        layer=lambda pixels: _single(network(pixels)),
        network=network,
        names=(network.name, *(layer.name for layer in layers)),
        parameters=int(network.count_params()),
        holds_code=holds_code,
    )


def _single(outputs: Any) -> Any:
    """Unpack a list or dictionary of one tensor."""
    if isinstance(outputs, dict):
        return next(iter(outputs.values()))
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def _load(path: Path, unsafe: bool) -> tuple[Any, bool]:
    """Return the keras.Model and whether loading it took Python code that is stored in it."""
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True), False
    except Exception as error:  # whatever the classes named in the file raise while they are built
        stored = list(_lambda_layers(_config(path)))
        if not stored:
            raise _unloadable(path, error) from error
        if not unsafe:
            raise EdgeproofError(
                f"{path}: holds Python code in Lambda layers ({', '.join(stored[:5])}), which could do anything here: "
                f"not run. If you trust where it comes from, give {UNSAFE_OPTION}; or export it where it was made, with "
                "model.export(DIR), and give DIR"
            ) from error
    try:
        return keras.models.load_model(path, compile=False, safe_mode=False), True
    except Exception as error:
        raise _unloadable(path, error) from error


def _unloadable(path: Path, error: Exception) -> EdgeproofError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return EdgeproofError(
        f"{path}: Keras cannot load it: {reason} It may be damaged, or hold classes that are not Keras's own: then export "
        "the model where it was made, with model.export(DIR), and give DIR"
    )


def _config(path: Path) -> Any:
    """Return a file's description of its layers, or None where it has none that can be read."""
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        import h5py

        with h5py.File(path, "r") as file:
            return json.loads(file.attrs["model_config"])
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return None


def _lambda_layers(config: Any) -> Iterator[str]:
    """Yield the names of the Lambda layers in a configuration, however deep."""
    if isinstance(config, dict):
        inner = config.get("config")
        if config.get("class_name") == "Lambda" and isinstance(inner, dict):
            yield str(inner.get("name", "unnamed"))
        for value in config.values():
            yield from _lambda_layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _lambda_layers(value)


# ---- SavedModel -----------------------------------------------------------------------------------------------------


def _open_saved_model(folder: Path, unsafe: bool) -> Source:
    graph = _meta_graph(folder)
    operations = {node.op for node in _nodes(graph)}
    if (found := sorted(operations & UNSAFE_OPERATIONS)) and not unsafe:
        raise EdgeproofError(
            f"{folder}: holds operations that reach the file system or the terminal ({', '.join(found)}): not loaded. "
            f"If you trust where it comes from, give {UNSAFE_OPTION}"
        )
    signature = _signature(folder, graph)
    inputs, outputs = (
        {name: _shape(tensor) for name, tensor in tensors.items()} for tensors in (signature.inputs, signature.outputs)
    )
    input_shape, output_shape = _only(folder, "input", inputs), _only(folder, "output", outputs)
    layer = _saved_model_layer(folder, _signature_name(folder, graph))
    scopes = {part for node in _nodes(graph) for part in node.name.split("/")}
    return Source(
        path=folder,
        kind="saved_model",
        sha256=folder_sha256(folder),
        input_shape=input_shape,
        output_shape=output_shape,
        layer=lambda pixels: _single(layer(pixels)),
        network=None,
        names=tuple(sorted(scopes)),
        parameters=int(layer.count_params()),
    )


def _meta_graph(folder: Path) -> Any:
    """Read a SavedModel's description without running any of it."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise EdgeproofError(f"{folder}: saved_model.pb is damaged ({error}): export it again") from error
    serving = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not serving:
        raise EdgeproofError(f"{folder}: has no graph for serving: export it with model.export(DIR)")
    return serving[0]


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _signature_name(folder: Path, graph: Any) -> str:
    names = [str(name) for name in graph.signature_def if not name.startswith("__")]
    if "serving_default" in names or len(names) == 1:
        return "serving_default" if "serving_default" in names else names[0]
    listed = ", ".join(names) or "none"
    raise EdgeproofError(
        f"{folder}: has the signatures {listed}, expected serving_default: export it with model.export(DIR)"
    )


def _signature(folder: Path, graph: Any) -> Any:
    return graph.signature_def[_signature_name(folder, graph)]


def _shape(tensor: Any) -> Shape:
    return tuple(None if side.size < 0 else int(side.size) for side in tensor.tensor_shape.dim)


def _saved_model_layer(folder: Path, signature: str) -> Any:
    import keras

    try:
        return keras.layers.TFSMLayer(str(folder), call_endpoint=signature, trainable=False)
    except Exception as error:  # TensorFlow raises whatever the missing part of it does
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EdgeproofError(f"{folder}: TensorFlow cannot load it: {lines[0]}: export it again") from error
