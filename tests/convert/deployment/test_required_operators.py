"""What a file needs from a runtime: versions of operations, IR versions, operator sets, domains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.deployment.required_operators import OnnxNeeds, Operation, TfliteNeeds, onnx_needs, tflite_needs
from convert.deployment.target import Wheel, wheels
from device.errors import ModelError
from tests.support.models.tflite_graphs import OperationOf, TensorOf, graph_bytes

OLD, ORT = (next(wheel for wheel in wheels() if wheel.distribution == name) for name in ("tflite-runtime", "onnxruntime"))
FILE = Path("m.tflite")


class TestOperations:
    """FULLY_CONNECTED came with 1.5, its versions 11, 12 and 14 with 2.15, 2.17 and 2.21 (op_versions.toml)."""

    @pytest.mark.parametrize(
        ("version", "release"),
        [(0, None), (-1, None), (1, "1.5"), (10, "2.11"), (11, "2.15"), (14, "2.21"), (15, None)],
    )
    def test_the_release_is_that_of_the_version(self, version: int, release: str | None) -> None:
        assert Operation("FULLY_CONNECTED", version).release == release

    def test_one_that_the_table_does_not_know_has_none(self) -> None:
        assert Operation("NO_SUCH", 1).release is None
        assert (
            Operation("NO_SUCH", 1).problem(OLD)
            == "NO_SUCH version 1 is newer than those in op_versions.toml: not proven to load"
        )

    def test_a_wheel_has_what_came_with_its_release_or_before(self) -> None:
        assert Operation("FULLY_CONNECTED", 10).problem(OLD) is None
        assert Operation("FULLY_CONNECTED", 11).problem(replace(OLD, tflite="2.15")) is None
        assert Operation("FULLY_CONNECTED", 11).problem(OLD) == (
            "FULLY_CONNECTED version 11 needs TFLite 2.15, tflite-runtime==2.14.0 has the operations of 2.14"
        )

    def test_a_custom_one_is_in_no_wheel_whatever_its_name(self) -> None:
        found = Operation("FULLY_CONNECTED", 1, custom=True).problem(OLD)
        assert found == "it needs the custom operation FULLY_CONNECTED, which no wheel has"


class TestNeeds:
    DENSE, NEW = Operation("FULLY_CONNECTED", 1), Operation("FULLY_CONNECTED", 12)

    @pytest.mark.parametrize(("named", "fits"), [(None, True), ("2.14.0", True), ("2.13", True), ("2.14.1", False)])
    def test_the_release_that_a_file_names_counts_where_its_operations_load(self, named: str | None, fits: bool) -> None:
        found = TfliteNeeds((self.DENSE,), named).problems(OLD)
        expected = f"its min_runtime_version is {named}, tflite-runtime==2.14.0 has the operations of 2.14"
        assert found == ([] if fits else [expected])

    def test_operations_that_are_missing_are_said_alone(self) -> None:
        found = TfliteNeeds((self.DENSE, self.NEW, Operation("X", 1, custom=True)), "9.9").problems(OLD)
        assert [problem.split()[0] for problem in found] == ["FULLY_CONNECTED", "it"]

    @pytest.mark.parametrize(
        ("ir", "opsets", "domains", "found"),
        [
            (13, {"ai.onnx": 26}, {"ai.onnx"}, []),
            (14, {"ai.onnx": 26}, {"ai.onnx"}, ["its IR version is 14, onnxruntime==1.31.1 reads up to 13"]),
            (
                8,
                {"com.microsoft": 2, "ai.onnx": 27},
                {"ai.onnx"},
                [
                    "it needs operator set 27 of ai.onnx, onnxruntime==1.31.1 has up to 26",
                    "it needs operator set 2 of com.microsoft, onnxruntime==1.31.1 has up to 1",
                ],
            ),
            (8, {"org.nowhere": 1}, {"ai.onnx"}, []),  # a domain that no node is from
            (
                8,
                {"ai.onnx": 17},
                {"b.c", "a.b", "ai.onnx"},
                [f"it needs operations of {name}, which onnxruntime==1.31.1 does not have" for name in ("a.b", "b.c")],
            ),
        ],
    )
    def test_onnx_is_held_against_the_newest_that_a_wheel_reads(
        self, ir: int, opsets: dict[str, int], domains: set[str], found: list[str]
    ) -> None:
        assert OnnxNeeds(ir, opsets, frozenset(domains)).problems(ORT) == found


def dense(source: str = "FLOAT32", weight: str = "INT8", scales: int = 3, kind: str = "FULLY_CONNECTED") -> bytes:
    """Return a file with an addition and a dense layer. If the scales are 0, the weight is not quantized."""
    tensors = [
        TensorOf("in", source),
        TensorOf("sum", source),
        TensorOf("weight", weight, (4, 4), (0.5,) * scales, constant=True),
        TensorOf("out", source),
    ]
    return graph_bytes(tensors, [OperationOf("ADD", (0, 0), (1,), 2), OperationOf(kind, (1, 2), (3,), 9)])


class TestTflite:
    PER_CHANNEL = Operation("FULLY_CONNECTED", 12)

    def test_each_operation_is_listed_once_with_its_version(self) -> None:
        tensors = [TensorOf(name) for name in "abc"]
        twice = [OperationOf("ADD", (0, 0), (1,), 2), OperationOf("ADD", (1, 1), (2,), 2)]
        assert tflite_needs(FILE, graph_bytes(tensors, twice)) == TfliteNeeds((Operation("ADD", 2),), None)

    @pytest.mark.parametrize(
        ("changes", "seen"),
        [
            ({}, True),
            ({"scales": 2}, True),
            ({"scales": 1}, False),
            ({"scales": 0}, False),
            ({"source": "INT8"}, False),
            ({"weight": "UINT8"}, False),
            ({"kind": "MUL"}, False),
        ],
    )
    def test_a_dense_layer_of_floats_by_int8_with_a_scale_a_channel_is_version_12(
        self, changes: dict[str, Any], seen: bool
    ) -> None:
        needs = tflite_needs(FILE, dense(**changes))
        assert (self.PER_CHANNEL in needs.operations) is seen
        assert len(needs.operations) == 2 + seen

    def test_the_first_layer_may_be_one_too(self) -> None:
        tensors = [TensorOf("in"), TensorOf("w", "INT8", (4, 4), (0.5, 0.25), constant=True), TensorOf("out")]
        data = graph_bytes(tensors, [OperationOf("FULLY_CONNECTED", (0, 1), (2,), 9)])
        assert tflite_needs(FILE, data).operations == (Operation("FULLY_CONNECTED", 9), self.PER_CHANNEL)

    @pytest.mark.parametrize("data", [b"", b"TFL3", bytes(range(256))])
    def test_what_is_no_model_is_said_with_its_name(self, data: bytes) -> None:
        with pytest.raises(ModelError, match=r"m\.tflite: is no TFLite model or is cut off"):
            tflite_needs(FILE, data)

    def test_files_from_before_2_4_have_their_operations_in_the_older_field(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        from convert.formats.tflite_reader import read_model
        from tests.support.models.tflite_graphs import packed

        model = read_model(dense())
        for code in model.operatorCodes:
            code.builtinCode = 0
        names = {operation.name for operation in tflite_needs(FILE, packed(model)).operations}
        assert names == {"ADD", "FULLY_CONNECTED"}
        for code in model.operatorCodes:
            code.deprecatedBuiltinCode, code.builtinCode = 127, schema.BuiltinOperator.STABLEHLO_ADD
        names = {operation.name for operation in tflite_needs(FILE, packed(model)).operations}
        assert names == {"STABLEHLO_ADD"}

    @pytest.mark.parametrize(("custom", "name"), [(b"FlexErf", "FlexErf"), (None, "?")])
    def test_a_custom_operation_has_its_own_name(self, custom: bytes | None, name: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        from convert.formats.tflite_reader import read_model
        from tests.support.models.tflite_graphs import packed

        model = read_model(dense())
        code = model.operatorCodes[0]
        code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = custom
        assert tflite_needs(FILE, packed(model)).operations[0] == Operation(name, 2, custom=True)

    def test_an_operation_that_the_schema_does_not_name_has_its_number(self) -> None:
        from convert.formats.tflite_reader import read_model
        from tests.support.models.tflite_graphs import packed

        model = read_model(dense())
        model.operatorCodes[0].builtinCode = 999
        assert tflite_needs(FILE, packed(model)).operations[0] == Operation("builtin operation 999", 2)


class TestOnnx:
    @staticmethod
    def model(**changes: Any) -> Any:
        from onnx import TensorProto, helper

        info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
        nodes = [helper.make_node("Relu", ["x"], ["z"]), helper.make_node("Gelu", ["z"], ["y"], domain="com.microsoft")]
        graph = helper.make_graph(changes.get("nodes", nodes), "g", info[:1], info[1:])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=changes.get("ir_version", 8))

    def test_the_domain_without_a_name_is_ai_onnx(self) -> None:
        found = onnx_needs(Path("m.onnx"), self.model().SerializeToString())
        assert found == OnnxNeeds(8, {"ai.onnx": 17, "com.microsoft": 1}, frozenset({"ai.onnx", "com.microsoft"}))

    def test_what_is_no_model_is_said(self) -> None:
        with pytest.raises(ModelError, match=r"m\.onnx: is no ONNX model or is cut off"):
            onnx_needs(Path("m.onnx"), b"\xff" * 40)
        for empty in (self.model(nodes=[]), self.model(ir_version=0)):
            with pytest.raises(ModelError, match=r"m\.onnx: is no ONNX model: it has no graph"):
                onnx_needs(Path("m.onnx"), empty.SerializeToString())


def test_both_wheels_of_these_tests_are_found() -> None:
    assert isinstance(OLD, Wheel)
    assert (OLD.tflite, ORT.onnx_ir) == ("2.14", 13)


def test_operation_79_has_its_name_in_every_python() -> None:
    from convert.deployment.required_operators import _builtin_names

    assert _builtin_names()[79] == "ARG_MIN"  # Python 3.13 keeps the line of the class, 79, among its attributes
    assert all(name.isupper() for name in _builtin_names().values())
