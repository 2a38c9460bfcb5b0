"""What is said about a file and a target: the wheel that fits, why no better wheel fits, what would run instead."""

from dataclasses import replace
from pathlib import Path

from convert.deployment.checked import check_named, checked_lines
from convert.deployment.compatibility import check, check_all, runs_per_channel_dense
from convert.deployment.target import find_target, target_names
from tests.support.models.tflite_files import model_with, wheel_of, written


def dense_of(version: int) -> bytes:
    return model_with("FULLY_CONNECTED", version)


class TestVerdicts:
    """Small files, made operation by operation, and the targets in convert/targets/."""

    def test_the_best_wheel_that_fits_is_named_with_why_no_better_one_is(self, tmp_path: Path) -> None:
        path = written(tmp_path, dense_of(9), "m.int8.tflite")
        first, second = check(path, "pi3"), check(path, "pi_zero_2w")
        assert (first.wheel, first.reasons, first.instead) == (wheel_of("ai-edge-litert"), (), ())
        assert str(first) == "runs (Python 3.11, aarch64): pip install ai-edge-litert==2.3.0 pillow"
        assert second.wheel == wheel_of("tflite-runtime")
        assert second.reasons == ("ai-edge-litert==2.3.0 has no wheel for armv7l (there are x86_64, aarch64)",)

    def test_no_wheel_is_said_with_every_reason_and_what_would_run(self, tmp_path: Path) -> None:
        path = written(tmp_path, dense_of(12), "m.new.tflite")
        alone = check(path, "pi_zero_2w")
        assert (alone.runs, alone.install, alone.instead) == (False, None, ())
        reasons = (
            "ai-edge-litert==2.3.0 has no wheel for armv7l (there are x86_64, aarch64)",
            "FULLY_CONNECTED version 12 needs TFLite 2.17, tflite-runtime==2.14.0 has the operations of 2.14",
        )
        assert alone.reasons == reasons
        assert str(alone) == f"does not run: {'; '.join(reasons)}: no other variant beside it runs: convert again"
        written(tmp_path, dense_of(9), "m.old.tflite")
        written(tmp_path, dense_of(9), "m.older.tflite")
        beside = check(path, "pi_zero_2w")
        assert beside.instead == ("m.old.tflite", "m.older.tflite")
        assert str(beside).endswith(": use m.old.tflite, m.older.tflite")

    def test_only_usable_files_of_the_same_model_are_advice(self, tmp_path: Path) -> None:
        path = written(tmp_path, dense_of(12), "m.new.tflite")
        for name, data in (
            ("n.old.tflite", dense_of(9)),  # another model
            ("m.old.bin", dense_of(9)),  # another ending
            ("m.damaged.tflite", dense_of(9)[:40]),
            ("m.newer.tflite", dense_of(12)),
            ("m.onnx.onnx", b"none"),
        ):
            written(tmp_path, data, name)
        assert check(path, "pi_zero_2w").instead == ()

    def test_a_name_of_no_variant_has_nothing_beside_it(self, tmp_path: Path) -> None:
        written(tmp_path, dense_of(9), "old.tflite")
        assert check(written(tmp_path, dense_of(12), "new.tflite"), "pi_zero_2w").instead == ()

    def test_a_target_that_is_one_runtime_speaks_of_that_alone(self, tmp_path: Path) -> None:
        import onnx
        from onnx import helper

        path = written(tmp_path, dense_of(12))
        reason = "FULLY_CONNECTED version 12 needs TFLite 2.17, tflite-runtime==2.14.0 has the operations of 2.14"
        assert check(path, "tflite_runtime_2_14").reasons == (reason,)
        assert check(written(tmp_path, dense_of(9)), "tflite_runtime_2_14").reasons == ()
        ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        other = written(tmp_path, onnx.ModelProto.SerializeToString(model), "m.onnx")
        assert check(other, "tflite_runtime_2_14").reasons == ("tflite-runtime==2.14.0 does not read .onnx files",)
        assert check(other, "pi3").wheel == wheel_of("onnxruntime")

    def test_targets_are_taken_by_name_or_as_they_are(self, tmp_path: Path) -> None:
        path = written(tmp_path, dense_of(9))
        assert check(path, find_target("pi3")) == check(path, "pi3")
        assert [verdict.target.name for verdict in check_all(path, ["pi3", "pi_zero_2w"])] == ["pi3", "pi_zero_2w"]
        for names in ((), ["all"], ["pi3", "all"]):
            assert [verdict.target.name for verdict in check_all(path, names)] == target_names()

    def test_a_line_a_verdict_with_the_names_aligned(self, tmp_path: Path) -> None:
        path = written(tmp_path, dense_of(9))
        one, two = checked_lines(check_named(path, ["pi3", "pi_zero_2w"], None))
        assert one.startswith("pi3         runs (Python 3.11, aarch64): ")
        assert two.startswith("pi_zero_2w  runs (Python 3.11, armv7l): ")

    def test_a_target_without_any_wheel_has_no_per_channel_dense_layers(self) -> None:
        assert not runs_per_channel_dense(replace(find_target("pi3"), architecture="riscv64"))
        assert not runs_per_channel_dense(replace(find_target("pi3"), python="3.9", glibc="2.34"))
