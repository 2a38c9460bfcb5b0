"""Checks the structure of a .tflite before a runtime opens it: a damaged one can crash the runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from device.errors import ModelError
from device.formats.flatbuffer_reader import Flatbuffer, Kind

TENSOR_LIMIT_VALUES = 1 << 28  # a gigabyte of float32; a picture of 8192 x 8192 x 3 has less


# A runtime follows the offsets in a flatbuffer without a check (tflite-runtime 2.14 crashes on a file that is cut off),
# so they are checked here first. The layout is as in flatbuffers.dev/internals, the fields are as in TensorFlow's schema.

TABLES: dict[str, dict[int, Kind]] = {
    "model": {1: ["operator code"], 2: ["graph"], 3: 1, 4: ["buffer"], 5: 4, 6: ["named buffer"], 7: ["signature"]},
    "operator code": {1: 1},
    "graph": {0: ["tensor"], 1: 4, 2: 4, 3: ["operator"], 4: 1},
    "tensor": {0: 4, 3: 1, 4: "quantization", 6: "sparsity", 7: 4, 9: ["variant"]},
    "quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: "options"},
    "operator": {1: 4, 2: 4, 4: "options", 5: 1, 7: 1, 8: 4, 12: "options"},
    "buffer": {0: 1},
    "named buffer": {0: 1},
    "signature": {0: ["named buffer"], 1: ["named buffer"], 2: 1},
    "sparsity": {0: 4, 1: 4, 2: ["dimension"]},
    "dimension": {3: "numbers", 5: "numbers"},
    "variant": {0: 4},
    "numbers": {0: 1},
}
_OPTIONS_WITH_NUMBERS = (17, 30, 115)  # Reshape, Squeeze, Bucketize: of BuiltinOptions, those whose first field is a vector


def check_tflite(path: Path, data: bytes) -> None:
    """Follow every offset and index that a runtime follows in a model's own bytes.

    Raises ModelError for one that leads out of the file, and for a tensor too large for any picture classifier.
    """
    try:
        file = Flatbuffer(data, TABLES)
        model = file.table(file.number(0), "model")
        for graph in model[2]:
            _check_graph(file, graph, operator_codes=len(model[1]), buffers=len(model[4]))
        if not model[2]:
            raise ValueError("it holds no graph")
    except (ValueError, KeyError) as error:
        what = f"its part {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"{path}: is a damaged TFLite model ({what}): copy it again") from error


def _check_graph(file: Flatbuffer, graph: Mapping[int, Any], operator_codes: int, buffers: int) -> None:
    tensors = graph[0]
    for tensor in tensors:
        shape = file.numbers(tensor.get(0, (0, 0)))
        if math.prod(abs(side) for side in shape) > TENSOR_LIMIT_VALUES:
            raise ValueError(f"it declares a tensor of {shape}, more than {TENSOR_LIMIT_VALUES:,} values")
        _check_indices("buffer", [file.number(tensor[2])] if 2 in tensor else [], buffers)
    for operator in graph.get(3, ()):
        _check_indices("operator code", [file.number(operator[0])] if 0 in operator else [0], operator_codes)
        used = [index for field in (1, 2, 8) for index in file.numbers(operator.get(field, (0, 0))) if index != -1]
        _check_indices("tensor", used, len(tensors))  # -1 means that an optional tensor is absent
        if 0 in operator.get(4, ()) and 3 in operator and file.number(operator[3], 1) in _OPTIONS_WITH_NUMBERS:
            file.field(operator[4][0], 4)
    _check_indices("tensor", [index for field in (1, 2) for index in file.numbers(graph.get(field, (0, 0)))], len(tensors))


def _check_indices(what: str, indices: Sequence[int], count: int) -> None:
    wrong = [index for index in indices if not 0 <= index < count]
    if wrong:
        raise ValueError(f"it names {what} {wrong[0]}, there are {count}")
