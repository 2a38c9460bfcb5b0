"""The quantization doctor: it names faults made on purpose, finds none in healthy models, and its fixes work."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.files import sha256_of
from common.paired_accuracy import Paired
from common.verdict import Verdict
from convert.calibration import Calibration, choose
from convert.doctor import checks
from convert.doctor.checks import Finding
from convert.doctor.diagnose import Diagnosis, examine, examine_calibration
from convert.doctor.examined_model import ExaminedModel
from convert.doctor.fix import check_resolvable, describe, fix
from convert.doctor.layer_names import LayerNames
from convert.doctor.onnx_layers import weight_errors
from convert.doctor.ranges import InputScale, halves
from convert.pipeline import convert_variant
from convert.trained_model import TrainedModel
from convert.variants import Variant, find_variants
from convert.verification import verify
from device.card import Step
from device.errors import CheckFailed, EdgeproofError
from device.formats.model_file import read_card
from device.scoring import wilson_interval
from tests.conftest import Tiny, classify, run_module

LABELS = tuple("0123456789")
KEYS = ("int8.tflite", "int8.onnx")
FAULTS = ("scaling", "classes", "leak-test")


def names(findings: list[Finding]) -> set[str]:
    return {finding.name for finding in findings}


def opened(folder: Path) -> TrainedModel:
    return TrainedModel(folder / "mnist_cnn.keras")


def diagnose(examined: ExaminedModel, variants: Sequence[Variant], max_drop: float = 0.001) -> Diagnosis:
    """Diagnose in this process, so that a test can add faults."""
    findings, notes = examine_calibration(examined.trained)
    return Diagnosis(findings, notes, [examine(examined, variant, max_drop) for variant in variants])


def planted(trained: TrainedModel, fault: str) -> Calibration:
    """Return a faulty calibration set."""
    healthy = trained.calibration
    if fault == "scaling":
        return Calibration(healthy.pixels / np.float32(255), healthy.labels, healthy.seed)  # type: ignore[arg-type]
    if fault == "classes":
        ones = np.flatnonzero(trained.dataset.train.labels == 1)
        return Calibration(trained.dataset.train.prepared(trained.steps, ones), np.ones(len(ones), np.int64), 0)
    return choose(trained.dataset.test, trained.steps)


class TestChecks:
    def test_calibration_pictures_over_255_are_found(self) -> None:
        pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
        assert checks.check_values(pixels, pixels) == []
        assert names(checks.check_values(pixels / 255, pixels)) == {"scaling"}
        assert names(checks.check_values(pixels / 127.5 - 1, pixels)) == {"scaling"}

    @pytest.mark.parametrize(
        ("scale", "zero_point", "healthy"),
        [(1.0, 0, True), (0.98, 0, True), (1 / 255, 0, False), (2 / 255, 128, False), (0.5, 0, False), (2.0, 0, False)],
    )
    def test_an_input_that_does_not_hold_pixels_is_found(self, scale: float, zero_point: int, healthy: bool) -> None:
        found = checks.check_input_scale(InputScale(scale, zero_point), 255)
        assert names(found) == (set() if healthy else {"scaling"})

    def test_a_float_input_has_no_scale_to_be_wrong(self) -> None:
        assert checks.check_input_scale(None, 255) == []

    def test_one_class_and_missing_classes_are_found(self) -> None:
        assert checks.check_classes([30] * 10, LABELS) == []
        (one,) = checks.check_classes([0, 300], LABELS)
        assert one.severity == "error"
        assert "only of class '1'" in one.found
        (some,) = checks.check_classes([30] * 9 + [0], LABELS)
        assert some.severity == "warning"

    def test_a_picture_that_is_in_another_part_is_found(self) -> None:
        pixels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1)
        others = {checks.picture_hash(pixels[2] + 1)}
        assert checks.check_leak(pixels, "test", others) == []
        (leak,) = checks.check_leak(pixels, "test", others | {checks.picture_hash(pixels[2])})
        assert leak.name == "leak-test"
        assert leak.found.startswith("1 calibration picture")

    @pytest.mark.parametrize("field", checks.CARD_FIELDS)
    def test_a_manifest_that_differs_is_found_with_its_field(self, field: str) -> None:
        now = {"count": 300, "classes": [30] * 10, "seed": 0, "sha256": "ab" * 32}
        assert checks.check_manifest(dict(now), now) == []
        (finding,) = checks.check_manifest({**now, field: None}, now)
        assert field in finding.found
        assert names(checks.check_manifest(None, now)) == {"manifest"}

    def test_another_preprocessing_is_found(self) -> None:
        gray, rgb = (Step("gray"),), (Step("rgb"),)
        assert checks.check_preprocess(gray, gray) == []
        assert names(checks.check_preprocess(rgb, gray)) == {"preprocess"}

    def test_a_model_that_answers_one_class_is_found(self) -> None:
        truth = np.arange(1_000) % 10
        assert checks.check_collapse(truth, truth, LABELS) == []
        assert names(checks.check_collapse(np.full(1_000, 3), truth, LABELS)) == {"collapse"}
        one_sided = np.where(np.arange(1_000) < 950, 0, 1)
        assert checks.check_collapse(one_sided, one_sided, LABELS) == []

    def test_ranges_that_differ_are_found_with_the_tensor(self) -> None:
        assert checks.check_ranges({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.1}) == []
        (finding,) = checks.check_ranges({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 9.0})
        assert "tensor b" in finding.found

    def test_unstable_calibration_is_found(self) -> None:
        same = {"a": 1.0}
        float_like, all_alike = verify.Agreement(995, 1_000), verify.Agreement(1_000, 1_000)
        unlike = verify.Agreement(950, 1_000)
        assert checks.check_stability(float_like, float_like, same, {"a": 0.8}) == []
        assert names(checks.check_stability(unlike, float_like, same, same)) == {"stability"}
        assert names(checks.check_stability(all_alike, float_like, same, {"a": 0.4})) == {"stability"}

    def test_calibration_is_not_blamed_for_what_int8_itself_loses(self) -> None:
        halves_agree, with_float = verify.Agreement(961, 1_000), verify.Agreement(950, 1_000)
        assert checks.check_stability(halves_agree, with_float, {"a": 1.0}, {"a": 1.0}) == []

    def test_a_certain_drop_is_found_and_an_uncertain_one_is_not(self) -> None:
        assert names(checks.check_accuracy(Paired(54, 0, 1_000), 0.001)) == {"accuracy"}
        assert checks.check_accuracy(Paired(2, 0, 1_000), 0.001) == []

    def test_what_only_95_percent_would_show_is_no_finding(self) -> None:
        (variant,) = find_variants(["int8.onnx"])  # promises 99 %
        truth = np.arange(1_000) % 10  # collapsed is an answer to over 55 %
        answers = {count: np.where(np.arange(1_000) < count, 3, (np.arange(1_000) % 9 + 4) % 10) for count in (582, 600)}
        assert wilson_interval(582, 1_000)[0] > 0.55
        assert checks.check_collapse(answers[582], truth, LABELS) == []
        assert names(checks.check_collapse(answers[600], truth, LABELS)) == {"collapse"}
        assert wilson_interval(97, 100)[1] < 0.99
        assert checks.check_agreement(variant, verify.Agreement(97, 100)) == []
        assert names(checks.check_agreement(variant, verify.Agreement(96, 100))) == {"agreement"}
        assert checks.check_stability(verify.Agreement(97, 100), verify.Agreement(1_000, 1_000), {}, {}) == []
        assert Paired(25, 10, 12_000).interval()[0] > 0
        assert checks.check_accuracy(Paired(25, 10, 12_000), 0) == []

    def test_a_drop_is_told_with_the_interval_that_decides(self) -> None:
        judged = Paired(54, 0, 1_000).judged_drop()
        (finding,) = checks.check_accuracy(Paired(54, 0, 1_000), 0.001)
        assert f"(99 % interval {100 * judged.low:.2f} to {100 * judged.high:.2f})" in finding.found
        assert describe(Paired(3, 2, 12_000), 0.001).endswith("within 0.1")
        assert "not distinguishable from 0.1: 5,904 pictures are needed" in describe(Paired(1, 2, 1_000), 0.001)
        assert describe(Paired(60, 10, 12_000), 0.001).endswith("exceeds 0.1")

    def test_an_artifact_that_answers_differently_from_float_is_found(self) -> None:
        (variant,) = find_variants(["int8.onnx"])
        assert checks.check_agreement(variant, verify.Agreement(995, 1_000)) == []
        assert names(checks.check_agreement(variant, verify.Agreement(950, 1_000))) == {"agreement"}

    def test_halves_are_disjoint_and_hold_every_class_evenly(self) -> None:
        pixels = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
        first, second = halves(Calibration(pixels, np.tile(np.arange(10), 4), 0))
        assert np.bincount(first.labels).tolist() == np.bincount(second.labels).tolist() == [2] * 10
        assert not set(first.pixels.ravel().tolist()) & set(second.pixels.ravel().tolist())


class TestLayerNames:
    NAMES = LayerNames("net", ("image", "conv2d", "conv2d_1", "bn", "relu", "out"), frozenset({"conv2d", "conv2d_1", "out"}))

    @pytest.mark.parametrize(
        ("tensor", "heavy", "layer"),
        [
            ("net_1/conv2d_1/Relu;net_1/conv2d_1/BiasAdd", True, "conv2d"),
            ("net_1/conv2d_1_2/Squeeze:0", True, "conv2d_1"),
            ("net_1/relu_1/Relu6;net_1/bn_1/batchnorm;net_1/conv2d_1_2/convolution;net_1/out_1/x", True, "conv2d_1"),
            ("net_1/relu_1/Relu6", False, "relu"),
            ("net_1/relu_1/Relu6", True, "conv2d_1"),
            ("net/conv2d_1/Relu", True, "conv2d_1"),
            ("StatefulPartitionedCall_1:0", False, "out"),
            ("tfl.quantize", False, "tfl.quantize"),
        ],
    )
    def test_a_tensor_is_called_by_its_keras_layer(self, tensor: str, heavy: bool, layer: str) -> None:
        assert self.NAMES.readable(tensor, heavy) == layer


@pytest.fixture(scope="module")
def healthy(tiny: Tiny) -> Diagnosis:
    return diagnose(ExaminedModel(opened(tiny.folder)), find_variants(["int8"]))


class TestHealthy:
    def test_has_no_finding(self, healthy: Diagnosis) -> None:
        assert healthy.findings == []

    def test_both_formats_measure_the_same_layers_alike(self, healthy: Diagnosis) -> None:
        tflite, onnx = (
            {error.layer: error for error in one.layers if error.operation != "SOFTMAX"} for one in healthy.examinations
        )
        assert set(tflite) == {"conv2d", "conv2d_1", "conv2d_2", "probabilities"}
        assert set(onnx) == {"conv2d_1", "conv2d_2", "probabilities"}  # the first convolution stays float there
        for layer, error in onnx.items():
            assert error.accumulated_db == pytest.approx(tflite[layer].accumulated_db, abs=3)

    def test_the_first_layer_alone_has_the_error_from_the_picture_on(self, healthy: Diagnosis) -> None:
        first = next(error for error in healthy.examinations[0].layers if error.layer == "conv2d")
        assert first.alone_db == pytest.approx(first.accumulated_db, abs=1e-6)
        assert first.alone_db > 30

    def test_layers_stand_worst_first(self, healthy: Diagnosis) -> None:
        for one in healthy.examinations:
            assert [e.accumulated_db for e in one.layers] == sorted(e.accumulated_db for e in one.layers)


def test_a_constant_without_dimensions_has_a_weight_error_too() -> None:
    matched = {"scale": {"float": np.float32(1.0), "dequantized": np.float32(0.9)}}
    assert weight_errors(matched) == {"scale": pytest.approx(20.0, abs=1e-4)}


class TestPlantedFaults:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_in_the_calibration_that_would_be_used_are_named(self, tiny: Tiny, fault: str) -> None:
        trained = opened(tiny.folder)
        vars(trained)["calibration"] = planted(trained, fault)
        findings, _ = examine_calibration(trained)
        assert names(findings) == {fault}

    @pytest.mark.slow
    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("fault", FAULTS)
    def test_in_an_artifact_are_named(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, key: str
    ) -> None:
        folder = tmp_path / "mnist_cnn@faulty"
        shutil.copytree(tiny.folder, folder)
        for check in ("check_agreement", "check_types"):  # which would not let the worst of them be written
            monkeypatch.setattr(verify, check, lambda *_: None)
        trained, (variant,) = opened(folder), find_variants([key])
        vars(trained)["calibration"] = planted(trained, fault)
        convert_variant(trained, variant, folder / f"mnist_cnn.{key}", None)
        found = names(diagnose(ExaminedModel(opened(folder)), [variant]).findings)
        assert "manifest" in found
        # An ONNX whose first layers are float has no quantized input: there the wrong scale shows in the ranges behind
        assert ("ranges" if (fault, key) == ("scaling", "int8.onnx") else fault) in found

    @pytest.mark.slow
    def test_an_artifact_of_another_training_run_is_named(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = tmp_path / "mnist_cnn@other"
        shutil.copytree(tiny.folder, folder)
        spoil(folder, 1.0)  # the same weights, another file
        assert "source" in names(diagnose(ExaminedModel(opened(folder)), find_variants(["int8.tflite"])).findings)


def spoil(folder: Path, factor: float) -> None:
    """Multiply one channel of the first convolution by a factor, and divide its weights in the second convolution by it.

    The float function stays the same. In int8 this one channel sets the range, and the others lose their precision.
    """
    import keras

    path = folder / "mnist_cnn.keras"
    network = keras.models.load_model(path)
    first, second = network.get_layer("conv2d"), network.get_layer("conv2d_1")
    (kernel, bias), (next_kernel, next_bias) = first.get_weights(), second.get_weights()
    channel = int(np.abs(kernel).sum(axis=(0, 1, 2)).argmax())
    kernel[..., channel] *= factor
    bias[channel] *= factor
    next_kernel[:, :, channel, :] /= factor
    first.set_weights([kernel, bias])
    second.set_weights([next_kernel, next_bias])
    network.save(path)
    card_path = folder / "mnist_cnn.card.json"
    card: dict[str, Any] = json.loads(card_path.read_text())
    card["provenance"]["source_sha256"] = sha256_of(path)
    card_path.write_text(json.dumps(card))


class TestFix:
    MAX_DROP = 0.1  # 80 validation pictures cannot show less

    @pytest.mark.slow
    @pytest.mark.parametrize("key", KEYS)
    def test_leaves_layers_in_float_until_accuracy_is_back_and_names_them(
        self, tiny: Tiny, tmp_path: Path, key: str
    ) -> None:
        folder = tmp_path / "mnist_cnn@spoilt"
        shutil.copytree(tiny.folder, folder, ignore=shutil.ignore_patterns("*.tflite", "*.onnx"))
        spoil(folder, 3_000.0)
        examined, (variant,) = ExaminedModel(opened(folder)), find_variants([key])
        diagnosis = diagnose(examined, [variant], self.MAX_DROP)
        assert "accuracy" in names(diagnosis.findings)
        done = fix(examined, variant, diagnosis.examinations[0].layers, self.MAX_DROP, lambda _: None)
        assert done.artifact is not None
        assert "conv2d_1" in {error.layer for error in done.float_layers}
        assert done.paired.verdict(self.MAX_DROP) is Verdict.PASS
        card = read_card(done.artifact.path)
        assert card is not None
        assert card.variant == "int8_fixed"
        assert {error.node for error in done.float_layers} <= set(card.document["float_layers"])
        (fixed,) = find_variants([f"int8_fixed.{variant.format}"])
        verify.check_types(done.artifact.path, fixed, card.document["float_layers"])
        with pytest.raises(CheckFailed, match="is not quantized"):
            verify.check_types(done.artifact.path, fixed, [])
        tested = classify(done.artifact.path, "--self-test", cwd=tmp_path)
        assert tested.code == 0, tested.stdout + tested.stderr

    def test_an_int8_that_is_good_enough_is_left_alone(self, tiny: Tiny) -> None:
        examined, (variant,) = ExaminedModel(opened(tiny.folder)), find_variants(["int8.tflite"])
        done = fix(examined, variant, [], self.MAX_DROP, lambda _: None)
        assert (done.float_layers, done.artifact) == ((), None)
        assert not tiny.artifact("int8_fixed.tflite").exists()

    def test_a_drop_that_the_sample_cannot_show_is_said_with_the_sample_that_can(self) -> None:
        with pytest.raises(CheckFailed, match=r"not distinguishable on 80 .* 6,629 are needed"):
            check_resolvable(80, 0.001)
        check_resolvable(12_000, 0.001)

    def test_convert_run_says_who_makes_the_fixed_variant(self, tiny: Tiny) -> None:
        trained, (variant,) = opened(tiny.folder), find_variants(["int8_fixed.onnx"])
        with pytest.raises(EdgeproofError, match="doctor"):
            convert_variant(trained, variant, tiny.artifact("int8_fixed.onnx"), None)


class TestCommand:
    @pytest.mark.slow
    def test_prints_one_table_for_both_formats_and_ends_well(self, tiny: Tiny) -> None:
        result = run_module("convert", "doctor", "mnist_cnn@tiny", cwd=tiny.workspace)
        assert result.code == 0, result.stdout + result.stderr
        assert "no finding" in result.stdout
        assert {"tflite", "onnx", "conv2d_1"} <= set(result.stdout.replace("│", " ").split())

    @pytest.mark.slow
    def test_a_finding_is_code_1(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = tmp_path / "build" / "mnist_cnn@tiny"
        shutil.copytree(tiny.folder, folder)
        spoil(folder, 1.0)
        result = run_module("convert", "doctor", "mnist_cnn@tiny", "--variant", "int8.onnx", cwd=tmp_path)
        assert result.code == 1
        assert "error source" in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["mnist_cnn@tiny", "--variant", "float32"], "int8"),
            (["nowhere.keras"], "no such file"),
            (["resnet"], "unknown model"),
        ],
    )
    def test_unusable_input_is_one_line_and_code_2(self, tiny: Tiny, arguments: list[str], found: str) -> None:
        result = run_module("convert", "doctor", *arguments, cwd=tiny.workspace)
        assert result.code == 2
        assert found in result.error_line
