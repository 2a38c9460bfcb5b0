"""The operations of a model, as TensorFlow Lite for Microcontrollers' resolver is told of them."""

import re
from collections.abc import Sequence
from pathlib import Path

from convert.deployment.required_operators import tflite_needs
from device.errors import ModelError

# The methods of MicroMutableOpResolver that are not spelt as the schema's names are
UNUSUAL = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
NAME = re.compile("[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
CUSTOM = "custom "  # before the name of an operation that is not TFLite's


def operations_of(path: Path, data: bytes) -> tuple[str, ...]:
    """Return the names of the operations of a model's own bytes, such as "CONV_2D", each once, in alphabetical order.

    Raises ModelError for a damaged model.
    """
    found = tflite_needs(path, data).operations
    return tuple(sorted({f"{CUSTOM if operation.custom else ''}{operation.name}" for operation in found}))


def resolver_method(operation: str) -> str:
    """Return "AddConv2D" for "CONV_2D". Raises ModelError for a custom operation, which has no method, and for no name.

    The names come from a file of results, and stand in source code afterwards.
    """
    if operation.startswith(CUSTOM):
        raise ModelError(f"needs the operation {operation!r}, which the resolver does not know: build the model without")
    if not NAME.fullmatch(operation):
        raise ModelError(
            f"needs {operation!r}, which is no operation's name, expected one as CONV_2D: restore the file of results, or "
            "build the model without"
        )
    words = operation.split("_")
    return f"Add{UNUSUAL.get(operation) or ''.join(word.capitalize() if word[0].isalpha() else word for word in words)}"


def resolver_lines(operations: Sequence[str]) -> list[str]:
    """Return the lines of C++ that add the operations to `resolver`."""
    return [f"resolver.{resolver_method(operation)}();" for operation in operations]
