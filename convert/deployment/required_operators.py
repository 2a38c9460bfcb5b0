"""What a model file needs from a runtime, read without TensorFlow and without any runtime.

For a `.tflite` the operations' versions decide. min_runtime_version, which the converter also writes,
counts where it is higher: tools that change a model do not update it. For an `.onnx` it is the IR version and
the operator sets.
"""

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.toml_config import read_toml
from convert.deployment.target import VERSION, Wheel, version_key
from convert.formats.tflite_reader import min_runtime, read_model
from device.errors import ModelError

OP_VERSIONS = Path(__file__).parent / "op_versions.toml"
# op_version.cc of tensorflow/tensorflow (GetBuiltinOperatorVersion): float input, int8 weights, a scale for each channel.
# ai-edge-quantizer gives such operations an older version; tflite-runtime 2.14 then loads them and gives wrong answers.
PER_CHANNEL_DENSE = ("FULLY_CONNECTED", 12)


@dataclass(frozen=True)
class Operation:
    """A builtin operation of TFLite and its version; `custom` operations are in no wheel."""

    name: str
    version: int
    custom: bool = False

    @property
    def release(self) -> str | None:
        """Return the first TFLite release that has it, or None where op_versions.toml does not say it."""
        releases = _op_versions().get(self.name, ())
        return (releases[self.version - 1] or None) if 1 <= self.version <= len(releases) else None

    def problem(self, wheel: Wheel) -> str | None:
        """Say why a wheel does not have this operation, or None where it has."""
        if self.custom:
            return f"it needs the custom operation {self.name}, which no wheel has"
        if self.release is None:
            return f"{self.name} version {self.version} is newer than those in {OP_VERSIONS.name}: not proven to load"
        if version_key(self.release) > version_key(wheel.tflite):
            needed = f"{self.name} version {self.version} needs TFLite {self.release}"
            return f"{needed}, {wheel.requirement} has the operations of {wheel.tflite}"
        return None


@dataclass(frozen=True)
class TfliteNeeds:
    """What a `.tflite` needs: its operations, and the release that its metadata names."""

    operations: tuple[Operation, ...]
    min_runtime_version: str | None

    def problems(self, wheel: Wheel) -> list[str]:
        """Say what a wheel lacks; nothing if it can load the file."""
        found = [problem for operation in self.operations if (problem := operation.problem(wheel))]
        named = self.min_runtime_version
        if not found and named and version_key(named) > version_key(wheel.tflite):
            found.append(f"its min_runtime_version is {named}, {wheel.requirement} has the operations of {wheel.tflite}")
        return found


@dataclass(frozen=True)
class OnnxNeeds:
    """What an `.onnx` needs: the IR version, each domain's operator set, and the domains of its nodes."""

    ir_version: int
    opsets: dict[str, int]
    used_domains: frozenset[str]

    def problems(self, wheel: Wheel) -> list[str]:
        """Say what a wheel lacks; nothing if it can load the file."""
        found = []
        if self.ir_version > wheel.onnx_ir:
            found.append(f"its IR version is {self.ir_version}, {wheel.requirement} reads up to {wheel.onnx_ir}")
        for domain, version in sorted(self.opsets.items()):
            newest = wheel.onnx_opsets.get(domain)
            if newest is not None and version > newest:
                found.append(f"it needs operator set {version} of {domain}, {wheel.requirement} has up to {newest}")
        unknown = sorted(self.used_domains - set(wheel.onnx_opsets))
        return found + [f"it needs operations of {domain}, which {wheel.requirement} does not have" for domain in unknown]


Needs = TfliteNeeds | OnnxNeeds


def tflite_needs(path: Path, data: bytes) -> TfliteNeeds:
    """Read what a `.tflite` needs. Raises ModelError for a damaged one."""
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = read_model(data)
        operations = dict.fromkeys(_operation(code, schema) for code in model.operatorCodes)
        if _has_per_channel_dense(model, schema):
            operations[Operation(*PER_CHANNEL_DENSE)] = None
        named = min_runtime(model) or ""
        return TfliteNeeds(tuple(operations), named if VERSION.fullmatch(named) else None)
    except (struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise ModelError(f"{path}: is no TFLite model or is cut off ({error}): copy it again") from error


def onnx_needs(path: Path, data: bytes) -> OnnxNeeds:
    """Read what an `.onnx` needs. Raises ModelError for a damaged one."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{path}: is no ONNX model or is cut off ({error}): copy it again") from error
    if not model.ir_version or not model.graph.node:
        raise ModelError(f"{path}: is no ONNX model: it has no graph: copy it again")
    return OnnxNeeds(
        model.ir_version,
        {opset.domain or "ai.onnx": opset.version for opset in model.opset_import},
        frozenset(node.domain or "ai.onnx" for node in model.graph.node),
    )


def _operation(code: Any, schema: Any) -> Operation:
    # Files from before 2.4 have only the older field, which is a byte
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return Operation((code.customCode or b"?").decode(errors="replace"), code.version, custom=True)
    return Operation(_builtin_names().get(number, f"builtin operation {number}"), code.version)


@cache
def _builtin_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper() and isinstance(value, int)}


def _has_per_channel_dense(model: Any, schema: Any) -> bool:
    """Say whether a FULLY_CONNECTED takes float and has int8 weights with a scale for each channel."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            if _operation(model.operatorCodes[operator.opcodeIndex], schema).name != PER_CHANNEL_DENSE[0]:
                continue
            source, weight = (graph.tensors[index] for index in operator.inputs[:2])
            scales = weight.quantization.scale if weight.quantization is not None else None
            float_in = source.type == schema.TensorType.FLOAT32
            if float_in and weight.type == schema.TensorType.INT8 and scales is not None and len(scales) > 1:
                return True
    return False


@cache
def _op_versions() -> dict[str, list[str]]:
    return read_toml(OP_VERSIONS)
