"""C source: values, texts and operations as a compiler reads them."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from convert.deployment.microcontroller.c_source import c_float, c_rows, c_string, c_type, c_values
from convert.deployment.microcontroller.operations import operations_of, resolver_lines, resolver_method
from device.errors import ModelError
from tests.support.microcontrollers import OPERATIONS
from tests.support.models.model_files import READY, own_bytes
from tests.support.models.tflite_files import model_with

# Methods of MicroMutableOpResolver without their Add, as python_ops_resolver.cc of tensorflow/tflite-micro calls them
METHODS = """
Abs Add AddN ArgMax ArgMin AssignVariable AveragePool2D BatchToSpaceNd BroadcastArgs BroadcastTo CallOnce Cast Ceil
Concatenation Conv2D Cos CumSum DepthToSpace DepthwiseConv2D Dequantize Div Elu Equal Exp ExpandDims Fill Floor
FloorDiv FloorMod FullyConnected Gather GatherNd Greater GreaterEqual HardSwish If L2Normalization L2Pool2D LeakyRelu
Less LessEqual Log LogicalAnd LogicalNot LogicalOr Logistic LogSoftmax MaxPool2D Maximum Mean Minimum MirrorPad Mul
Neg NotEqual Pack Pad PadV2 Prelu Quantize ReadVariable ReduceMax Relu Relu6 Reshape ResizeBilinear
ResizeNearestNeighbor Round Rsqrt SelectV2 Shape Sin Slice Softmax SpaceToBatchNd SpaceToDepth Split SplitV Sqrt
Square SquaredDifference Squeeze StridedSlice Sub Sum Svdf Tanh Transpose TransposeConv UnidirectionalSequenceLSTM
Unpack VarHandle While ZerosLike
"""


def test_every_method_of_the_resolver_is_that_of_an_operation() -> None:
    from ai_edge_litert import schema_py_generated as schema

    names = [name for name, value in vars(schema.BuiltinOperator).items() if name.isupper() and isinstance(value, int)]
    assert {f"Add{method}" for method in METHODS.split()} - {resolver_method(name) for name in names} == set()


@pytest.mark.parametrize("name", ["CONV__2D", "", "_CONV", "CONV_", "conv_2d", "2D", "ADD(); system(0); //", "ADD\n", "É"])
def test_what_is_no_operations_name_is_refused_and_written_nowhere(name: str) -> None:
    """A file of results may have been edited, and its names become source code."""
    with pytest.raises(ModelError, match="is no operation's name, expected one as CONV_2D"):
        resolver_lines(["CONV_2D", name])


def test_the_operations_of_a_file_are_named_once_each() -> None:
    assert operations_of(READY, own_bytes(READY)) == OPERATIONS
    assert resolver_lines(OPERATIONS)[0] == "resolver.AddConv2D();"


def test_a_custom_operation_has_no_method() -> None:
    found = operations_of(Path("m.tflite"), model_with("CUSTOM", 1, custom="ethos-u"))
    assert found == ("custom ethos-u",)
    with pytest.raises(ModelError, match="needs the operation 'custom ethos-u', which the resolver does not know"):
        resolver_lines(found)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0f"), (1.0, "1.0f"), (0.00390625, "0.00390625f"), (1e-5, "1e-05f"), (-2.5, "-2.5f")]
)
def test_a_float_is_the_shortest_text_of_its_value(value: float, text: str) -> None:
    assert c_float(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_c_cannot_write_is_refused(value: float) -> None:
    with pytest.raises(ModelError, match="NaN or an infinite number"):
        c_float(value)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("seven", '"seven"'),
        ('a "b"', '"a \\042b\\042"'),
        ("back\\slash", '"back\\134slash"'),
        ("what??/", '"what\\077\\077/"'),  # a trigraph
        ("größe 1", '"gr\\303\\266\\303\\237e 1"'),  # three digits each: the 1 is not one of them
    ],
)
def test_a_label_is_escaped(text: str, source: str) -> None:
    assert c_string(text) == source


def test_types_of_c_are_those_of_the_tensor_or_refused() -> None:
    names = [c_type(np.dtype(name)) for name in ("uint8", "int8", "int16", "int32", "float32")]
    assert names == ["uint8_t", "int8_t", "int16_t", "int32_t", "float"]
    with pytest.raises(ModelError, match="takes or gives float16, expected uint8"):
        c_type(np.dtype("float16"))


def test_a_compiler_reads_back_every_value(tmp_path: Path, gcc: str) -> None:
    random = np.random.default_rng(0)
    floats = (random.normal(0, 1, 50) * 10.0 ** random.integers(-30, 30, 50)).astype(np.float32)
    rows = random.integers(-128, 128, (3, 40)).astype(np.int8)
    label = 'ä "?\\ ??/ 7'
    (tmp_path / "a.c").write_text(
        "#include <stdint.h>\n#include <stdio.h>\n"
        f"static const float floats[50] = {{{c_values(floats)}}};\n"
        f"static const int8_t rows[3][40] = {{{c_rows(rows)}}};\n"
        f"int main(void) {{ fwrite(floats, 4, 50, stdout); fwrite(rows, 1, 120, stdout); fputs({c_string(label)}, stdout); "
        "return 0; }\n"
    )
    subprocess.run(
        [gcc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-trigraphs", "-o", "a", "a.c"], cwd=tmp_path, check=True
    )
    printed = subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout
    assert printed == floats.tobytes() + rows.tobytes() + label.encode()
