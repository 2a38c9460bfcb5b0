"""An `.onnx` file, as PyTorch, timm, torchvision, Hugging Face and others export it.

Nothing in it is trusted: operators are looked at before it is run, and no file outside its folder is opened.
"""

from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.formats.onnx_network import ENDING, OnnxNetwork, opened
from convert.importing.front_scaling import made_of_pixels, taken_by
from convert.importing.onnx_graph.interface import Interface, interface_of
from convert.importing.onnx_graph.load import load
from convert.importing.onnx_graph.rewrite import Around, rewritten
from convert.importing.picture_tensors import laid_out
from convert.importing.sources import Opening, Scores, Wrapping
from convert.importing.understood import Fact, Understood
from device.errors import EdgeproofError
from device.formats.class_number import class_number_of, class_number_text
from device.formats.model_graph import Front, front_of
from device.formats.onnx_graph import read_onnx_graph
from device.pictures.input_range import PIXELS
from device.runtimes import first_line
from train.data.dataset import Pixels
from train.fitting.predict import probabilities

EXPECTS = "an .onnx file"
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")
TRIED_SIDE = 224  # of pictures by which outputs are tried, where the sides are free
SAME = 1e-4  # of scores, relative: a batch of two answers as two batches of one


@dataclass(frozen=True)
class OnnxWrapped:
    """The rewritten graph."""

    network: OnnxNetwork
    ending: str = ENDING

    def scores(self, pixels: Pixels) -> Scores:
        """Answer prepared pictures (N, H, W, C), uint8, 0..255: (N, classes), float32."""
        return probabilities(self.network, pixels)

    def save(self, path: Path) -> None:
        """Write the `.onnx` file."""
        path.write_bytes(self.network.data)


@dataclass(frozen=True)
class OnnxSource:
    """A graph as it came."""

    understood: Understood
    sha256: str
    names: tuple[str, ...]
    parameters: int
    model: Any  # onnx.ModelProto, with all weights inside
    interface: Interface
    session: Any = field(repr=False)  # of the model as it came

    def answers(self, values: Any) -> Scores:
        """Return onnxruntime's outputs (N, classes) for values (N, H, W, C), float32, in the range that the model takes."""
        tensor = laid_out(values, self.understood.layout.value).astype(self.interface.dtype)
        size = self.interface.batch or 1
        parts = [self._answered(tensor[at : at + size], size) for at in range(0, len(tensor), size)]
        return np.concatenate(parts)[: len(tensor)]

    def _answered(self, tensor: npt.NDArray[Any], size: int) -> Scores:
        """Answer one batch, filled up with its last picture where it is fixed and larger."""
        filled = np.concatenate([tensor, *[tensor[-1:]] * (size - len(tensor))])
        try:
            scores = self.session.run(None, {self.interface.input_name: filled})[0]
        except Exception as error:  # onnxruntime's exception classes have no public base class
            shape = tuple(filled.shape)
            raise EdgeproofError(f"{self.understood.path}: cannot be run on {shape}: {first_line(error)}") from error
        kept: Scores = scores.reshape(size, -1)[: len(tensor)].astype(np.float32)
        return kept

    def wrapped(self, wrapping: Wrapping) -> OnnxWrapped:
        """Rewrite the graph, with a free batch where it bears one. Raises EdgeproofError where it cannot be run."""
        path, classes = self.understood.path, self.understood.output_shape.value[-1]
        assert classes is not None
        around = Around(wrapping.shape, wrapping.input_range, wrapping.activation, classes)
        if self.interface.batch is None:
            return OnnxWrapped(self._opened(around, free_batch=True))
        try:
            free = self._opened(around, free_batch=True)
            if _bears_batches(free, wrapping.shape):
                return OnnxWrapped(free)
        except EdgeproofError:
            pass
        if self.interface.batch != 1:
            raise EdgeproofError(
                f"{path}: its batch is fixed at {self.interface.batch}, and it answers otherwise with another: export it "
                "with a free batch (dynamic_axes) or a batch of 1"
            )
        return OnnxWrapped(self._opened(around, free_batch=False))

    def _opened(self, around: Around, free_batch: bool) -> OnnxNetwork:
        model = rewritten(self.model, self.interface, around, free_batch)
        return OnnxNetwork(self.understood.path, model.SerializeToString(deterministic=True))


def _bears_batches(network: OnnxNetwork, shape: tuple[int, int, int]) -> bool:
    """Say whether two pictures at once are answered as one after the other."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.float32)
    try:
        together = network.predict_on_batch(pixels)
    except Exception:  # onnxruntime's exception classes have no public base class
        return False
    single = np.concatenate([network.predict_on_batch(picture[None]) for picture in pixels])
    return together.shape == single.shape and bool(np.allclose(together, single, rtol=SAME, atol=SAME))


def recognises(path: Path) -> bool:
    """Say whether a path calls itself .onnx: a protobuf message has no mark of its own."""
    return path.is_file() and path.suffix.lower() == ".onnx"


def open_source(path: Path, opening: Opening) -> OnnxSource:
    """Read a graph and open it in onnxruntime. Raises EdgeproofError with the reason where it cannot."""
    file = load(path)
    if quantized := sorted({node.op_type for node in file.model.graph.node} & set(QUANTIZED)):
        raise EdgeproofError(
            f"{path}: is quantized already ({', '.join(quantized)}): give the float model; `bench run` measures it as it is"
        )
    interface = interface_of(path, file.model, opening.layout)
    described = read_onnx_graph(file.model.SerializeToString())
    if number := class_number_of(described):
        raise EdgeproofError(f"{path}: {class_number_text(number)}")
    session = opened(path, file.model.SerializeToString())
    classes = _classes(path, session, interface)
    front = front_of(described)
    graph = file.model.graph
    return OnnxSource(
        understood=_understood(path, file.model, file.opset, interface, classes, front),
        sha256=file.sha256,
        names=(graph.name, *(node.name for node in graph.node if node.name)),
        parameters=sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.data_type in (1, 10)),
        model=file.model,
        interface=interface,
        session=session,
    )


def _classes(path: Path, session: Any, interface: Interface) -> int:
    """Return how many scores a picture gets: as the file says it, else as one run shows."""
    batch, *sides = interface.shape
    known = [side for side in interface.output_shape[1:] if side != 1]
    if len(interface.output_shape) in (2, 4) and None not in known and len(known) <= 1:
        return known[0] or 1 if known else 1
    tensor = np.zeros([batch or 1, *(side or TRIED_SIDE for side in sides)], interface.dtype)
    try:
        scores = session.run(None, {interface.input_name: tensor})[0]
    except Exception as error:  # onnxruntime's exception classes have no public base class
        raise EdgeproofError(f"{path}: cannot be run on a picture {tensor.shape}: {first_line(error)}") from error
    shape = tuple(scores.shape)
    if len(shape) == 1:
        raise EdgeproofError(
            f"{path}: gives {shape}, one number a picture without an axis of classes, expected (batch, classes): leave out "
            "the Squeeze at its end, so that it gives (batch, 1)"
        )
    if len([side for side in shape[1:] if side != 1]) > 1 or scores.size % (batch or 1):
        raise EdgeproofError(f"{path}: gives {shape}, expected (batch, classes): export it with its classifying head")
    return int(scores.size // (batch or 1))


def _understood(path: Path, model: Any, opset: int, interface: Interface, classes: int, front: Front) -> Understood:
    made = f" of {model.producer_name} {model.producer_version}".rstrip() if model.producer_name else ""
    said = "the file's graph"
    taken = Fact(PIXELS, "its input is uint8") if interface.dtype == "uint8" else taken_by(front)
    return Understood(
        path=path,
        format="onnx_file",
        description=f"ONNX model{made} (opset {opset})",
        framework=f"onnxruntime {metadata.version('onnxruntime')}",
        shape=Fact(interface.shape, said),
        dtype=Fact(interface.dtype, said),
        layout=Fact(interface.layout, interface.layout_from),
        output_shape=Fact((interface.batch, classes), said),
        input_range=taken,
        made_of_pixels=made_of_pixels(front),
        activation=Fact(interface.activation, "its last operator") if interface.activation else None,
    )
