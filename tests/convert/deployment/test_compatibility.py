"""Whether a file runs on a target: targets, wheels and operation versions, compared with the real runtimes."""

import base64
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.paths import TARGETS
from common.toml_config import build
from convert.deployment.compatibility import Verdict, check, check_all, runs_per_channel_dense
from convert.deployment.required_operators import OP_VERSIONS, Operation, tflite_needs
from convert.deployment.target import Target, Wheel, find_target, read_target, target_names, version_key
from convert.formats.tflite_reader import read_model
from device.errors import CardError, EdgeproofError, ModelError
from device.runtimes import TFLITE_RUNTIMES
from tests.conftest import CONVERTED, TFLITE, Tiny, classify, needs_tflite_runtime, run_module
from tests.support.models.tflite_files import GraphBuilder, brightness_tflite, model_with, wheel_of, written
from tests.support.models.tflite_graphs import packed

RUNTIMES = {"tflite_runtime_2_14": "tflite_runtime", "ai_edge_litert_2_3": "litert"}
OPERATIONS = {name: list(releases) for name, releases in tomllib.loads(OP_VERSIONS.read_text()).items()}

# Opens each model of a JSON object on standard input, in this process alone: two TFLite runtimes break one another.
OPEN_ALL = """
import base64, importlib, json, sys
Interpreter = importlib.import_module(sys.argv[1]).Interpreter
refused = {}
for name, text in json.load(sys.stdin).items():
    try:
        Interpreter(model_content=base64.b64decode(text))
    except ValueError as error:
        refused[name] = str(error)
print("REFUSED" + json.dumps(refused))
"""


def problems(data: bytes, distribution: str = "tflite-runtime") -> list[str]:
    return tflite_needs(Path("model.tflite"), data).problems(wheel_of(distribution))


class TestOperationVersions:
    @pytest.mark.parametrize(
        ("module", "distribution"),
        [TFLITE_RUNTIMES[name] for name in TFLITE],
    )
    def test_are_those_that_the_real_runtime_has(self, module: str, distribution: str) -> None:
        known = [(name, version + 1) for name, releases in OPERATIONS.items() for version in range(len(releases))]
        models = {f"{name} {version}": base64.b64encode(model_with(name, version)).decode() for name, version in known}
        command = [sys.executable, "-c", OPEN_ALL, module]
        result = subprocess.run(command, input=json.dumps(models), capture_output=True, text=True, check=True, timeout=300)
        refused = set(json.loads(result.stdout.partition("REFUSED")[2]))
        wheel = wheel_of(distribution)
        assert refused == {f"{name} {version}" for name, version in known if Operation(name, version).problem(wheel)}

    def test_of_every_variant_are_known(self, tiny: Tiny) -> None:
        for variant in CONVERTED:
            if variant.format == "tflite":
                path = tiny.artifact(variant.key)
                assert all(operation.release for operation in tflite_needs(path, path.read_bytes()).operations)

    def test_that_the_table_does_not_know_are_not_proven(self) -> None:
        assert "newer than those in op_versions.toml" in problems(model_with("FULLY_CONNECTED", 99))[0]
        assert "newer than those in op_versions.toml" in problems(model_with("STABLEHLO_ADD", 1), "ai-edge-litert")[0]

    def test_of_custom_operations_are_in_no_wheel(self) -> None:
        assert "custom operation FlexErf" in problems(model_with("CUSTOM", 1, custom="FlexErf"), "ai-edge-litert")[0]

    def test_count_although_the_metadata_is_stale(self) -> None:
        assert "FULLY_CONNECTED version 12 needs TFLite 2.17" in problems(model_with("FULLY_CONNECTED", 12, "1.5.0"))[0]

    def test_give_way_to_metadata_that_asks_for_more(self) -> None:
        assert "min_runtime_version is 2.17.0" in problems(model_with("FULLY_CONNECTED", 9, "2.17.0"))[0]
        assert problems(model_with("FULLY_CONNECTED", 9, "2.14.0")) == []
        assert problems(model_with("FULLY_CONNECTED", 9, "latest")) == []

    def test_compare_as_numbers(self) -> None:
        assert version_key("2.14.0") == version_key("2.14") < version_key("2.14.4") < version_key("2.15")
        assert version_key("2.9") < version_key("2.10")


@pytest.fixture(scope="module")
def per_channel(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the dynamic_int8 model that `convert run --target` makes for LiteRT, in a folder with the other variants."""
    workspace = tmp_path_factory.mktemp("target")
    shutil.copytree(tiny.folder, workspace / "build" / "mnist_cnn@tiny")
    options = ["--variants", "dynamic_int8", "--target", "ai-edge-litert-2-3"]
    result = run_module("convert", "run", "mnist_cnn@tiny", *options, cwd=workspace)
    assert result.code == 0, result.stderr
    return workspace / "build" / "mnist_cnn@tiny" / "mnist_cnn.dynamic_int8.tflite"


class TestPredictionsHold:
    """What is predicted for a file, and what the real runtime then does with it in a separate process."""

    @pytest.mark.parametrize("target", [target for target, runtime in RUNTIMES.items() if runtime in TFLITE])
    def test_the_default_dynamic_model_is_predicted_to_load_and_does(self, tiny: Tiny, target: str) -> None:
        artifact = tiny.artifact("dynamic_int8.tflite")
        assert check(artifact, target).runs
        assert classify(artifact, "--self-test", "--runtime", RUNTIMES[target], cwd=tiny.workspace).code == 0

    @pytest.mark.parametrize("target", RUNTIMES)
    def test_every_default_artifact_is_predicted_to_load(self, tiny: Tiny, target: str) -> None:
        """tests/device/test_self_test.py checks that they do."""
        for variant in CONVERTED:
            if variant.format == "tflite":
                assert check(tiny.artifact(variant.key), target).runs

    @needs_tflite_runtime
    def test_a_per_channel_dynamic_model_is_predicted_not_to_load_in_tflite_runtime_and_does_not(
        self, per_channel: Path
    ) -> None:
        verdict = check(per_channel, "tflite_runtime_2_14")
        assert "FULLY_CONNECTED version 12 needs TFLite 2.17" in str(verdict)
        result = classify(per_channel, "--self-test", "--runtime", "tflite_runtime", cwd=per_channel.parent)
        assert result.code == 2
        assert "'FULLY_CONNECTED' version '12'" in result.error_line

    def test_a_per_channel_dynamic_model_is_predicted_to_load_in_litert_and_does(self, per_channel: Path) -> None:
        assert check(per_channel, "ai_edge_litert_2_3").runs
        assert classify(per_channel, "--self-test", "--runtime", "litert", cwd=per_channel.parent).code == 0

    def test_a_per_channel_dense_layer_under_an_old_version_is_seen_through(self, per_channel: Path, tmp_path: Path) -> None:
        model = read_model(per_channel.read_bytes())
        for code in model.operatorCodes:
            code.version = min(code.version, 9)
        path = written(tmp_path, packed(model))
        assert not check(path, "tflite_runtime_2_14").runs
        assert check(path, "ai_edge_litert_2_3").runs

    def test_the_variants_beside_it_that_run_are_named(self, per_channel: Path) -> None:
        instead = check(per_channel, "tflite_runtime_2_14").instead
        expected = {f"mnist_cnn.{v.key}" for v in CONVERTED if v.format == "tflite"} - {"mnist_cnn.dynamic_int8.tflite"}
        assert set(instead) == expected

    def test_onnx_is_held_against_ir_version_operator_sets_and_domains(self, tiny: Tiny, tmp_path: Path) -> None:
        import onnx
        import onnxruntime as ort

        assert check(tiny.artifact("int8.onnx"), "pi5_trixie").runs
        changes: dict[str, Callable[[Any], None]] = {
            "IR version is 14": lambda model: setattr(model, "ir_version", 14),
            "operator set 27": lambda model: setattr(model.opset_import[0], "version", 27),
            "operations of org.nowhere": lambda model: setattr(model.graph.node[0], "domain", "org.nowhere"),
        }
        for found, change in changes.items():
            model = onnx.load(str(tiny.artifact("float32.onnx")))
            del model.metadata_props[:]
            change(model)
            path = written(tmp_path, model.SerializeToString(), "changed.onnx")
            assert found in str(check(path, "pi5_trixie"))
            with pytest.raises(Exception, match="ONNXRuntimeError"):
                ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


class TestRefusedByTheRuntimes:
    """Files that LiteRT and tflite-runtime both refuse."""

    @pytest.mark.parametrize(
        ("operation", "custom", "found"),
        [
            ("CUSTOM", "MyOwn", "it needs the custom operation MyOwn"),
            ("CUSTOM", "FlexErf", "it needs the custom operation FlexErf"),
            ("CUSTOM", "edgetpu-custom-op", "it needs the custom operation edgetpu-custom-op"),
            (250, "", "builtin operation 250 version 1 is newer than"),
            ("STABLEHLO_ADD", "", "STABLEHLO_ADD version 1 is newer than"),
            # it wants two inputs, which no table says: only runtimes that are installed refuse it
            pytest.param("PRELU", "", "ai-edge-litert refuses it: ", marks=needs_tflite_runtime),
        ],
    )
    def test_do_not_run_and_the_reason_is_named(self, tmp_path: Path, operation: str | int, custom: str, found: str) -> None:
        graph = GraphBuilder()
        source = graph.tensor((1, 4), "float32")
        result = graph.operation(operation, [source], graph.tensor((1, 4), "float32"), custom=custom)
        path = graph.write(tmp_path / "model.tflite", source, result)
        for verdict in check_all(path):
            assert not verdict.runs
        assert found in str(check(path, "ai_edge_litert_2_3"))

    def test_one_that_a_runtime_opens_runs(self, tmp_path: Path) -> None:
        assert check(brightness_tflite(tmp_path / "m.tflite"), "ai_edge_litert_2_3").runs


class TestTargets:
    @pytest.mark.parametrize("name", target_names())
    def test_each_has_a_runtime_for_tflite(self, tiny: Tiny, name: str) -> None:
        verdict = check(tiny.artifact("int8.tflite"), name)
        assert verdict.runs
        assert verdict.install is not None

    @pytest.mark.parametrize(
        ("name", "key", "words"),
        [
            ("pi4-bookworm", "int8.tflite", ["pip install ai-edge-litert==2.3.0", "Python 3.11, aarch64"]),
            ("pi5_trixie", "int8.onnx", ["pip install onnxruntime==1.31.1", "Python 3.13"]),
            (
                "pi_zero_2w",
                "int8.tflite",
                ["apt install python3-numpy python3-pil", "v/bin/pip install tflite-runtime==2.14.0"],
            ),
            (
                "pi_zero_2w",
                "int8.onnx",
                ["onnxruntime==1.31.1 has no wheel for armv7l", "use mnist_cnn.dynamic_int8.tflite"],
            ),
            ("tflite_runtime_2_14", "int8.tflite", ["'numpy<2'"]),
            ("tflite_runtime_2_14", "int8.onnx", ["does not read .onnx files"]),
        ],
    )
    def test_the_wheel_is_named_or_that_there_is_none(self, tiny: Tiny, name: str, key: str, words: list[str]) -> None:
        text = str(check(tiny.artifact(key), name))
        assert all(word in text for word in words), text

    def test_a_wheel_must_fit_python_architecture_and_c_library(self) -> None:
        trixie, old = find_target("pi5_trixie"), find_target("aarch64_linux")
        assert "no wheel for Python 3.13" in str(trixie.misfit(wheel_of("tflite-runtime")))
        assert "needs glibc 2.34 on aarch64, there is 2.31" in str(old.misfit(wheel_of("tflite-runtime")))
        assert "no wheel for armv7l" in str(find_target("pi_zero_2w").misfit(wheel_of("ai-edge-litert")))
        assert find_target("pi3").misfit(wheel_of("tflite-runtime")) is None

    @pytest.mark.parametrize(("glibc", "found"), [("", "none"), ("musl 1.2", "musl 1.2")])
    def test_another_c_library_than_glibc_is_a_reason_and_no_error(self, glibc: str, found: str) -> None:
        """Alpine's musl reports no version of glibc."""
        alpine = replace(find_target("aarch64_linux"), glibc=glibc)
        wanted = f"tflite-runtime==2.14.0 needs glibc 2.34 on aarch64, found {found}"
        assert alpine.misfit(wheel_of("tflite-runtime")) == wanted

    def test_only_one_with_a_new_runtime_gets_per_channel_dense_layers(self) -> None:
        assert runs_per_channel_dense(find_target("pi4_bookworm"))
        assert not runs_per_channel_dense(find_target("pi_zero_2w"))

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("description = 1", "key 'description': found 1, expected a string"),
            ('description = ""\nbits = "64"', "key 'bits': found '64', expected a whole number"),
            ('description = ""\nsystem_packages = [1]', "key 'system_packages': found [1], expected a list, each a string"),
            ('description = ""\ncolour = "red"', "unknown key 'colour': there are description"),
            ('description = ""\nname = "pi"', "unknown key 'name'"),
            ('architecture = "aarch64"', "key 'description' is missing: expected a string"),
            ('description = ""', "key 'architecture' is missing"),
            ('description = ""\narchitecture = "a"\npython = "3.x"\nglibc = "2.36"', "key 'python': found '3.x'"),
            ('description = ""\narchitecture = "a"\npython = "3.11"\nglibc = "2.36"\nbits = 16', "key 'bits': found 16"),
            ('description = ""\nonly_wheel = "litert"', "key 'only_wheel': 'litert' is not in wheels.toml"),
            ("description", "is no readable TOML"),
        ],
    )
    def test_a_defect_in_a_file_is_named_with_its_key(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "pi9.toml"
        path.write_text(text)
        with pytest.raises(EdgeproofError) as caught:
            read_target(path)
        assert str(path) in str(caught.value)
        assert found in str(caught.value)

    def test_a_table_of_numbers_is_not_one_of_strings(self) -> None:
        with pytest.raises(EdgeproofError, match=r"key 'glibc'.*expected a table, each value a string"):
            build(Wheel, {"glibc": {"aarch64": 2.36}}, "wheels.toml")

    def test_a_file_is_found_by_its_name(self) -> None:
        assert target_names() == sorted(path.stem for path in TARGETS.iterdir())
        assert isinstance(find_target("pi4-bookworm"), Target)
        with pytest.raises(EdgeproofError, match="unknown target 'pi6': there are aarch64_linux, "):
            find_target("pi6")


class TestDamage:
    def test_a_missing_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="cannot be read"):
            check(tmp_path / "none.tflite", "pi3")

    @pytest.mark.parametrize("kept", [12, 400, 50_000])
    def test_a_cut_file_is_an_error(self, per_channel: Path, tmp_path: Path, kept: int) -> None:
        with pytest.raises((ModelError, CardError)):
            check(written(tmp_path, per_channel.read_bytes()[:kept]), "pi3")

    def test_what_is_no_onnx_is_an_error(self, tmp_path: Path) -> None:
        for data in (b"\x0a", b"\x08\x07", b"hello"):
            with pytest.raises(ModelError):
                check(written(tmp_path, data, "model.onnx"), "pi3")

    def test_a_damaged_neighbour_is_no_advice(self, tiny: Tiny, tmp_path: Path) -> None:
        shutil.copy(tiny.artifact("int8.onnx"), tmp_path)
        written(tmp_path, b"\0\0\0\0TFL3", "mnist_cnn.int8.tflite")
        verdict = check(tmp_path / "mnist_cnn.int8.onnx", "pi_zero_2w")
        assert verdict.instead == ()
        assert "no other variant beside it runs" in str(verdict)


class TestCommand:
    @pytest.mark.slow
    def test_all_targets_are_a_table_and_code_1_where_one_cannot(self, tiny: Tiny) -> None:
        result = run_module("convert", "check", tiny.artifact("int8.onnx"), cwd=tiny.workspace)
        assert result.code == 1
        assert [line.split()[0] for line in result.stdout.splitlines()] == target_names()

    def test_a_target_that_can_is_one_line_and_code_0(self, tiny: Tiny) -> None:
        result = run_module("convert", "check", tiny.artifact("int8.tflite"), "--target", "pi4-bookworm", cwd=tiny.workspace)
        assert result.code == 0
        assert result.stdout.startswith("pi4_bookworm  runs (Python 3.11, aarch64): pip install ai-edge-litert==2.3.0")

    def test_unusable_input_is_one_line_and_code_2(self, tiny: Tiny) -> None:
        for arguments, found in (
            (["nowhere.tflite"], "cannot be read"),
            ([str(tiny.artifact("int8.tflite")), "--target", "pi6"], "there are aarch64_linux"),
        ):
            result = run_module("convert", "check", *arguments, cwd=tiny.workspace)
            assert result.code == 2
            assert found in result.error_line

    @pytest.mark.slow
    def test_needs_neither_tensorflow_nor_a_runtime(self, tiny: Tiny) -> None:
        heavy = "('tensorflow', 'ai_edge_litert.interpreter', 'tflite_runtime', 'onnxruntime', 'keras')"
        code = f"import sys; from pathlib import Path; from convert.deployment.compatibility import check_all;\
            check_all(Path(sys.argv[1]));\
            assert not [name for name in {heavy} if name in sys.modules]"
        for key in ("int8.tflite", "int8.onnx"):
            subprocess.run([sys.executable, "-c", code, tiny.artifact(key)], check=True, timeout=60)

    @pytest.mark.slow
    def test_a_conversion_for_a_target_reports_what_will_not_load_there(self, tiny: Tiny, tmp_path: Path) -> None:
        shutil.copytree(tiny.folder, tmp_path / "build" / "mnist_cnn@tiny")
        options = ["--variants", "dynamic_int8,float32.onnx", "--target", "pi_zero_2w"]
        result = run_module("convert", "run", "mnist_cnn@tiny", *options, cwd=tmp_path)
        assert result.code == 1
        assert "float32.onnx: pi_zero_2w: does not run: onnxruntime==1.31.1 has no wheel for armv7l" in result.error_line
        verdicts = check_all(tmp_path / "build" / "mnist_cnn@tiny" / "mnist_cnn.dynamic_int8.tflite")
        assert all(verdict.runs for verdict in verdicts)

    def test_a_verdict_stays_as_it_is(self, tiny: Tiny) -> None:
        verdict = check(tiny.artifact("int8.tflite"), "pi3")
        assert isinstance(verdict, Verdict)
        assert replace(verdict) == verdict
