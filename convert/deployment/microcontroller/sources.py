"""The files of an exported model: C arrays and tables, the resolver's lines, a program that proves the answers."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.micro_figures import MicroFigures
from convert.deployment.microcontroller.board import Board
from convert.deployment.microcontroller.c_source import c_float, c_rows, c_string, c_type, c_values
from convert.deployment.microcontroller.golden_vectors import GoldenVectors
from convert.deployment.microcontroller.operations import resolver_lines
from device.card import Card

MAIN = Path(__file__).with_name("main.cc")
COMPILED = ("model.c", "golden.c")  # what a C compiler needs nothing else for
# Of float scores: functions of another processor round otherwise. The interpreter's int16 kernels differ from LiteRT's
# reference kernels too: by up to 3 steps of 1/32768 in 33 of 200 answers of mnist_cnn's int16x8, whose scores are float
FLOAT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Model:
    """What is exported."""

    board: Board
    card: Card
    own: bytes  # the model without its card
    figures: MicroFigures
    golden: GoldenVectors

    @property
    def title(self) -> str:
        """Return model, variant and board, for people."""
        return f"{self.card.model} {self.card.variant} for {self.board.description}"

    @property
    def sha256(self) -> str:
        """Return the hash of the model's own bytes, without its card."""
        return hashlib.sha256(self.own).hexdigest()


def source_files(model: Model) -> dict[str, str]:
    """Return the text of each file by its name. Raises ModelError for a model that has no form in C."""
    return {
        "model.h": _model_header(model),
        "model.c": _model_source(model),
        "golden.h": _golden_header(model),
        "golden.c": _golden_source(model),
        "operations.h": _operations_header(model),
        MAIN.name: MAIN.read_text(encoding="utf-8"),
    }


def _model_header(model: Model) -> str:
    card, inputs, outputs = model.card, model.golden.inputs, model.golden.outputs
    return _guarded(
        "MODEL",
        f"""/* {model.title}: SHA-256 {model.sha256} */
#define MODEL_BYTES {len(model.own)}
/* The least arena that works on a 64-bit host with the reference kernels; its address is a multiple of 16 */
#define MODEL_ARENA_BYTES {model.figures.arena_bytes}

/* (1, height, width, channels) as in golden_inputs; real = (value - zero point) * scale; scale 0: not quantized */
#define MODEL_INPUT_HEIGHT {card.height}
#define MODEL_INPUT_WIDTH {card.width}
#define MODEL_INPUT_CHANNELS {card.channels}
#define MODEL_INPUT_VALUES {inputs.values.shape[1]}
#define MODEL_INPUT_SCALE {c_float(inputs.scale)}
#define MODEL_INPUT_ZERO_POINT {inputs.zero_point}
typedef {c_type(inputs.values.dtype)} model_input_t;

#define MODEL_CLASSES {len(card.labels)}
#define MODEL_OUTPUT_VALUES {outputs.values.shape[1]}
#define MODEL_OUTPUT_SCALE {c_float(outputs.scale)}
#define MODEL_OUTPUT_ZERO_POINT {outputs.zero_point}
typedef {c_type(outputs.values.dtype)} model_output_t;""",
        "extern const uint8_t model_data[MODEL_BYTES]; /* at a multiple of 16 */\n"
        "extern const char *const model_labels[MODEL_CLASSES];",
    )


def _model_source(model: Model) -> str:
    labels = ",\n  ".join(c_string(label) for label in model.card.labels)
    values = c_values(np.frombuffer(model.own, np.uint8))
    return (
        '#include "model.h"\n\n'
        f"_Alignas(16) const uint8_t model_data[MODEL_BYTES] = {{\n  {values}\n}};\n\n"
        f"const char *const model_labels[MODEL_CLASSES] = {{\n  {labels}\n}};\n"
    )


def _golden_header(model: Model) -> str:
    exact = np.issubdtype(model.golden.outputs.values.dtype, np.integer)
    return _guarded(
        "GOLDEN",
        f"""/* Golden pictures of {model.title}, prepared, and the answers of LiteRT's reference kernels */
#include "model.h"
#define GOLDEN_PICTURES {model.golden.pictures}
#define GOLDEN_TOLERANCE {"0" if exact else c_float(FLOAT_TOLERANCE)} /* between an answer and the expected one */""",
        "extern const model_input_t golden_inputs[GOLDEN_PICTURES][MODEL_INPUT_VALUES];\n"
        "extern const model_output_t golden_outputs[GOLDEN_PICTURES][MODEL_OUTPUT_VALUES];",
    )


def _golden_source(model: Model) -> str:
    inputs, outputs = (c_rows(end.values) for end in (model.golden.inputs, model.golden.outputs))
    return (
        '#include "golden.h"\n\n'
        f"const model_input_t golden_inputs[GOLDEN_PICTURES][MODEL_INPUT_VALUES] = {{\n  {inputs}\n}};\n\n"
        f"const model_output_t golden_outputs[GOLDEN_PICTURES][MODEL_OUTPUT_VALUES] = {{\n  {outputs}\n}};\n"
    )


def _operations_header(model: Model) -> str:
    lines = "\n".join(f"  {line}" for line in resolver_lines(model.figures.operations))
    return f"""// The operations of {model.title}: no others are linked
#ifndef EDGEPROOF_OPERATIONS_H
#define EDGEPROOF_OPERATIONS_H

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace edgeproof {{

using Resolver = tflite::MicroMutableOpResolver<{len(model.figures.operations)}>;

inline void AddOperations(Resolver& resolver) {{
{lines}
}}

}}  // namespace edgeproof

#endif
"""


def _guarded(name: str, definitions: str, declarations: str) -> str:
    """Return a header for C and C++."""
    return f"""#ifndef EDGEPROOF_{name}_H
#define EDGEPROOF_{name}_H

#include <stdint.h>

{definitions}

#ifdef __cplusplus
extern "C" {{
#endif
{declarations}
#ifdef __cplusplus
}}
#endif

#endif
"""
