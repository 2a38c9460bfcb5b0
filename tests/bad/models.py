"""Defective models: `.tflite` out of data/ready's, `.onnx` out of one that is made here."""

import copy
import hashlib
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from convert.card import embed
from device.classify import CARD_KEY, split_card
from tests.bad.defect import Bad, no_files, write

READY = Path(__file__).resolve().parent.parent.parent / "data" / "ready"
GOOD = READY / "mnist_cnn.int8.tflite"
FLIPS = 200
CLASSIFIES = "PICTURE|tflite-runtime"  # the commands that open a model and run it
OPENS = CLASSIFIES + "|--self-test|--info"
BY_CARD = "PICTURE|--self-test|--info|tflite-runtime|convert show"
OUTSIDE = "was-here"  # a member that would leave the place it is unpacked in
BOMB_BYTES = 1 << 30
Card = dict[str, Any]


@cache
def good_tflite() -> tuple[bytes, str]:
    """Return the own bytes of a valid model and the JSON of its card."""
    own, text = split_card(GOOD, GOOD.read_bytes())
    assert text is not None
    return own, text.decode()


def good_card() -> Card:
    """Return the card of the valid model, to be changed."""
    card: Card = json.loads(good_tflite()[1])
    return card


def signed(path: Path, own: bytes, card: Card, **changes: Any) -> Path:
    """Write a `.tflite` whose card says that it belongs to these bytes, whatever either holds."""
    document = {**card, "model_sha256": hashlib.sha256(own).hexdigest(), **changes}
    return with_member(path, own, json.dumps(document).encode())


def with_member(path: Path, own: bytes, text: bytes, **zipped: Any) -> Path:
    """Write a `.tflite` with these bytes as its card."""
    write(path, own)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_KEY, text, **zipped)
    return path


def flips(data: bytes, seed: int = 0, count: int = FLIPS) -> Iterator[bytes]:
    """Yield the data with one bit turned each; half of them in its first and last 4 kB, where its structure is."""
    chosen = random.Random(seed)
    for number in range(count):
        ends = chosen.choice((chosen.randrange(4_096), len(data) - 1 - chosen.randrange(4_096)))
        at = ends if number % 2 else chosen.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << chosen.randrange(8)
        yield bytes(changed)


def truncations(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the data cut off at every kilobyte."""
    for kilobytes in range(1, -(-len(data) // 1_024)):
        yield kilobytes, data[: kilobytes * 1_024]


# ---- .tflite --------------------------------------------------------------------------------------------------------


def tflite_models(folder: Path) -> Iterator[Bad]:
    """Write every defective `.tflite`."""
    own, text = good_tflite()
    whole, card = GOOD.read_bytes(), good_card()
    yield from no_files(folder, ".tflite", whole)
    for kilobytes, data in truncations(whole):
        yield Bad(write(folder / f"truncated-at-{kilobytes:03}-kb.tflite", data), "truncated")
    for kilobytes, data in truncations(own):
        path = signed(folder / f"truncated-at-{kilobytes:03}-kb-with-a-card.tflite", data, card)
        yield Bad(path, "truncated, card signed for it", "damaged TFLite model")
    for number, data in enumerate(flips(whole)):
        yield Bad(write(folder / f"flip-{number:03}.tflite", data), "a bit flipped", any_end=True)
    for number, data in enumerate(flips(own, seed=1)):
        path = signed(folder / f"flip-{number:03}-with-a-card.tflite", data, card)
        yield Bad(path, "a bit flipped, card signed for it", any_end=True)
    for number, data in enumerate(flips(own, seed=2)):
        yield Bad(write(folder / f"flip-{number:03}-without-a-card.tflite", data), "a bit flipped, no card", any_end=True)
    yield Bad(write(folder / "wrong-magic.tflite", own[:4] + b"GGUF" + own[8:]), "wrong magic", "no TFLite model")
    yield Bad(
        write(folder / "is-a-jpeg.tflite", b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500)), "wrong magic", "no TFLite model"
    )
    yield Bad(write(folder / "wrong-ending.pt", whole), "wrong ending", r"\.tflite")
    for name, (change, says) in GRAPHS.items():
        path = signed(folder / f"{name}.tflite", _repacked(own, change), card)
        yield Bad(path, "a graph that is no classifier's", says, by=CLASSIFIES)
        path = write(folder / f"{name}-without-a-card.tflite", _repacked(own, change))
        yield Bad(path, "a graph that is no classifier's, no card", says, by=CLASSIFIES)
    yield from _cards(folder, own, text)


def _repacked(own: bytes, change: Callable[[Any], None]) -> bytes:
    """Unpack a `.tflite`, change its objects (ModelT) and pack them again."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(own, 0)
    change(model)
    builder = flatbuffers.Builder(len(own))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _graph(model: Any) -> Any:
    return model.subgraphs[0]


def _huge_tensor(model: Any) -> None:
    graph = _graph(model)
    middle = graph.tensors[graph.operators[len(graph.operators) // 2].outputs[0]]
    middle.shape = np.array([1, 65_535, 65_535, 64], np.int32)


def _huge_input(model: Any) -> None:
    graph = _graph(model)
    graph.tensors[graph.inputs[0]].shape = np.array([1, 100_000, 100_000, 1], np.int32)


def _two_inputs(model: Any) -> None:
    graph = _graph(model)
    graph.tensors.append(copy.deepcopy(graph.tensors[graph.inputs[0]]))
    graph.inputs = np.array([graph.inputs[0], len(graph.tensors) - 1], np.int32)


def _no_outputs(model: Any) -> None:
    _graph(model).outputs = np.array([], np.int32)


def _no_inputs(model: Any) -> None:
    _graph(model).inputs = np.array([], np.int32)


def _dynamic_shapes(model: Any) -> None:
    graph = _graph(model)
    tensor = graph.tensors[graph.inputs[0]]
    tensor.shape, tensor.shapeSignature = np.array([1, 1, 1, 1], np.int32), np.array([-1, -1, -1, 1], np.int32)


def _nan_scales(model: Any) -> None:
    for tensor in _graph(model).tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.scale = np.full(len(tensor.quantization.scale), np.nan, np.float32)


def _no_graph(model: Any) -> None:
    model.subgraphs = []


def _no_buffers(model: Any) -> None:
    model.buffers = []


def _text_input(model: Any) -> None:
    graph = _graph(model)
    graph.tensors[graph.inputs[0]].type = 5  # STRING


def _endless_loop_of_operators(model: Any) -> None:
    graph = _graph(model)
    for operator in graph.operators:
        operator.outputs = np.array([graph.inputs[0]], np.int32)


def _unknown_operation(model: Any) -> None:
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = 127, 30_000


def _custom_operation(model: Any) -> None:
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = 32
    code.customCode = b"NoSuchOperation"


def _no_strides(model: Any) -> None:
    for operator in _graph(model).operators:
        for name in ("strideW", "strideH"):
            if hasattr(operator.builtinOptions, name):
                setattr(operator.builtinOptions, name, 0)


def _no_weights(model: Any) -> None:
    for buffer in model.buffers:
        buffer.data = None


GRAPHS: dict[str, tuple[Callable[[Any], None], str]] = {
    "huge-declared-tensor": (_huge_tensor, "declares a tensor"),
    "huge-declared-input": (_huge_input, "declares a tensor"),
    "two-inputs": (_two_inputs, "2 inputs"),
    "no-outputs": (_no_outputs, "0 outputs"),
    "no-inputs": (_no_inputs, "0 inputs"),
    "dynamic-shapes": (_dynamic_shapes, ""),
    "nan-weights": (_nan_scales, ""),
    "no-graph": (_no_graph, "no graph|is missing"),
    "no-buffers": (_no_buffers, "names buffer"),
    "text-input": (_text_input, ""),
    "operators-in-a-loop": (_endless_loop_of_operators, ""),
    "unknown-operation": (_unknown_operation, ""),
    "custom-operation": (_custom_operation, "NoSuchOperation"),
    "strides-of-0": (_no_strides, ""),
    "no-weights": (_no_weights, ""),
}


# ---- cards ----------------------------------------------------------------------------------------------------------


def _cards(folder: Path, own: bytes, text: str) -> Iterator[Bad]:
    """Write a valid model with each defective card."""
    kind, card = "card", good_card()
    yield Bad(write(folder / "card-missing.tflite", own), "card", "has no card", by="--self-test|convert show")
    _, other = split_card(READY / "mnist_cnn_crop.int8.tflite", (READY / "mnist_cnn_crop.int8.tflite").read_bytes())
    assert other is not None
    yield Bad(with_member(folder / "card-of-another-model.tflite", own, other), kind, "belongs to another model")
    wrong_steps: tuple[tuple[str, list[Any], str], ...] = (
        ("unknown-step", [["gray"], ["sharpen_edges"]], "sharpen_edges"),
        ("unknown-parameter", [["resize", {"size": 28, "speed": 9}]], "speed"),
        ("impossible-size", [["resize", {"size": 10**9}]], "impossible size"),
        ("nan-size", [["resize", {"size": float("nan")}]], "NaN"),
        ("step-of-another-type", [["resize", ["size"]]], "resize"),
    )
    for name, steps, says in wrong_steps:
        yield Bad(signed(folder / f"card-with-{name}.tflite", own, card, preprocess=steps), kind, says)
    steps = [["gray"], ["resize", {"size": 30}], ["center_crop", {"size": 30}]]  # 30 of 28 pixels
    path = signed(folder / "card-with-steps-that-lead-elsewhere.tflite", own, card, preprocess=steps)
    yield Bad(path, kind, "the steps give", by=CLASSIFIES)
    for name, changes, says in (
        ("newer-schema", {"schema": 99}, "schema"),
        ("no-labels", {"labels": []}, "labels"),
        ("too-many-labels", {"labels": [str(number) for number in range(11)]}, "labels"),
        ("labels-of-numbers", {"labels": list(range(10))}, "labels"),
        ("another-input", {"input": {"height": 99, "width": 99, "channels": 3, "pixels": "0..255"}}, "input"),
        ("another-range", {"input": {"height": 28, "width": 28, "channels": 1, "pixels": "-1..1"}}, "pixels"),
        ("golden-of-a-number", {"golden": 7}, "golden"),
        ("golden-without-pictures", {"golden": [{"top1": 7}]}, "golden"),
        (
            "golden-that-is-no-base64",
            {"golden": [{"png": "!!!!!", "input_sha256": "", "scores": {}, "clear": True}]},
            "golden",
        ),
        ("session-of-text", {"session": {"disabled_optimizers": "all"}}, "session"),
        ("provenance-of-text", {"provenance": "from elsewhere"}, "provenance"),
        ("accuracy-of-a-list", {"accuracy": [0.99]}, "accuracy"),
    ):
        by = OPENS if name in ("too-many-labels", "another-input") else ""  # seen where the model is opened
        yield Bad(signed(folder / f"card-with-{name}.tflite", own, card, **changes), kind, says, by=by)
    for name, data in {
        "truncated-json": text.encode()[:200],
        "random-json": random.Random(0).randbytes(300),
        "nul-json": bytes(300),
        "nan-json": text.replace('"schema": 1', '"schema": NaN', 1).encode(),
        "duplicate-key": text.replace('"schema": 1', '"schema": 1, "schema": 1', 1).encode(),
        "huge-number": text.replace('"schema": 1', '"schema": ' + "9" * 6_000, 1).encode(),
        "deep-json": b"[" * 100_000,
        "list-json": b"[]",
        "latin-1": text.replace("mnist_cnn", "mnist_cnn\u00e4", 1).encode("latin-1"),
    }.items():
        yield Bad(with_member(folder / f"card-of-{name}.tflite", own, data), kind, "card")
    yield from _archives(folder, own, text.encode())


def _archives(folder: Path, own: bytes, text: bytes) -> Iterator[Bad]:
    """Write a valid model with archives that are made to harm."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join([zeros.compress(bytes(1 << 20)) for _ in range(BOMB_BYTES >> 20)] + [zeros.flush()])
    for name, claimed in (("honest", BOMB_BYTES), ("lying", 2_000)):
        path = write(folder / f"zip-bomb-as-card-{name}.tflite", own + _archive(len(own), CARD_KEY.encode(), bomb, claimed))
        yield Bad(path, "ZIP bomb", "card")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = with_member(folder / f"zip-bomb-by-method-{method}.tflite", own, bytes(4 << 20), compress_type=method)
        yield Bad(path, "ZIP bomb", "card")
    path = write(folder / "path-traversal.tflite", own)
    with zipfile.ZipFile(path, "a") as archive:
        for name in (f"../{OUTSIDE}", str(folder.absolute() / OUTSIDE)):  # nothing may be written there
            archive.writestr(name, "out")
        archive.writestr(CARD_KEY, text)
    yield Bad(path, "path traversal", valid=True)
    yield Bad(write(folder / "zip-of-garbage.tflite", own + b"PK\x05\x06" + bytes(18)), "card", any_end=True)
    damaged = bytearray(GOOD.read_bytes())
    damaged[-10:] = b"\xff" * 10
    yield Bad(write(folder / "zip-directory-elsewhere.tflite", bytes(damaged)), "card", "card")


def _archive(begin: int, name: bytes, deflated: bytes, claimed: int) -> bytes:
    """Return a ZIP archive of one deflated member whose unpacked size is what it is claimed to be (APPNOTE.TXT 4.3)."""
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(deflated), claimed, len(name), 0)
    local = b"PK\x03\x04" + common + name + deflated
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, begin) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), begin + len(local), 0)
    return local + entry + b"PK\x05\x06" + end


# ---- .onnx ----------------------------------------------------------------------------------------------------------


def onnx_bytes(**changes: Any) -> bytes:
    """Return a small valid classifier of 28 × 28 gray pictures, or a changed one."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    told: dict[str, Any] = {"shape": [1, 28, 28, 1], "type": TensorProto.FLOAT, "weight": 1e-4, "outputs": 1, "inputs": 1}
    told |= {"domain": "", "opset": 17, "ir_version": 8, **changes}
    weights = np.random.default_rng(0).normal(0, 1, (784, 10)).astype(np.float32) * told["weight"]
    inputs = [helper.make_tensor_value_info(f"x{n or ''}", told["type"], told["shape"]) for n in range(told["inputs"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])][: told["outputs"]]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], domain=told["domain"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", told["opset"])], ir_version=told["ir_version"])
    return bytes(onnx.ModelProto.SerializeToString(model))


def _bomb() -> bytes:
    """Return a model that is small and makes a tensor of 400 GB."""
    from onnx import TensorProto, helper, numpy_helper

    shape = numpy_helper.from_array(np.array([100_000, 1_000_000], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Add", ["x", "most"], ["y"]),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 28, 28, 1]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [shape])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def onnx_models(folder: Path) -> Iterator[Bad]:
    """Write every defective `.onnx`."""
    own, card = onnx_bytes(), good_card()
    del card["golden"], card["golden_tolerance"], card["model_sha256"]
    good = write(folder / "odd" / "good.onnx", own)
    embed(good, card)
    whole = good.read_bytes()
    yield Bad(good, "valid", valid=True, by="PICTURE|--info|convert")
    yield from no_files(folder, ".onnx", whole)
    for kilobytes, data in truncations(whole):
        yield Bad(write(folder / f"truncated-at-{kilobytes:03}-kb.onnx", data), "truncated")
    for number, data in enumerate(flips(whole)):
        yield Bad(write(folder / f"flip-{number:03}.onnx", data), "a bit flipped", any_end=True)
    for number, data in enumerate(flips(own, seed=1)):
        path = write(folder / f"flip-{number:03}-with-a-card.onnx", data)
        try:
            embed(path, card)
        except Exception:  # noqa: S112  # some cannot carry a card: those stand among the others
            continue
        yield Bad(path, "a bit flipped, card signed for it", any_end=True)
    graphs: dict[str, tuple[dict[str, Any], str]] = {
        "two-inputs": ({"inputs": 2}, "2 inputs"),
        "no-outputs": ({"outputs": 0}, ""),
        "no-inputs": ({"inputs": 0}, ""),
        "dynamic-shapes": ({"shape": ["batch", None, None, 1]}, ""),
        "nan-weights": ({"weight": np.float32("nan")}, "no numbers"),
        "text-input": ({"type": 8}, ""),
        "int64-input": ({"type": 7}, ""),
        "unknown-domain": ({"domain": "no.such.domain"}, ""),
        "operator-set-of-tomorrow": ({"opset": 999}, ""),
        "ir-version-of-tomorrow": ({"ir_version": 999}, ""),
    }
    for name, (changes, says) in graphs.items():
        path = write(folder / f"{name}.onnx", onnx_bytes(**changes))
        embed(path, card)
        yield Bad(path, "a graph that is no classifier's", says, by=CLASSIFIES)
    path = write(folder / "huge-made-tensor.onnx", _bomb())
    embed(path, card)
    yield Bad(path, "a graph that is no classifier's", by=CLASSIFIES)
    yield Bad(write(folder / "card-missing.onnx", own), "card", "has no card", by="--self-test|convert show")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", "y")
    yield Bad(write(folder / "a-zip.onnx", buffer.getvalue()), "wrong magic")
