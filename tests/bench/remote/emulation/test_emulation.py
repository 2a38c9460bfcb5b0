"""The emulated devices: how they are made, what a rehearsal compares, what a count says. QEMU runs only in slow tests."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.measure.host_counter import count_here
from bench.measure.phases import Phases
from bench.remote.emulation.counting_plugin import SOURCE
from bench.remote.emulation.device import NotHere, emulated_names, find_core, find_emulated, of_core, read_emulated
from bench.remote.emulation.overlay import JOB, overlay
from bench.remote.emulation.user_space import FOLDER, UserSpace, find_user_space
from bench.results.emulated import NOT_A_LATENCY
from bench.results.instruction_counts import Instructions
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import ArtifactFile, Startup, Subject
from bench.results.samples import Samples
from bench.results.store import Results, load_results
from device.errors import EdgeproofError
from tests.conftest import ROOT, Finished, Tiny, run

COUNTED = Instructions("cortex-a72", "qemu", "abc", 100, 50, 20, 30, 10, (9, 11), 8, 0)
BUILT = ROOT / "build" / "emulated"


def bench(*arguments: str | Path, cwd: Path, **environment: str) -> Finished:
    return run(["-m", "bench", *arguments], cwd, **environment)


def measured(device: str, sha256: str = "1", instructions: Instructions | None = None) -> Measurement:
    steady = np.full(200, 1_000_000, np.int64)
    return Measurement(
        subject=Subject("m", None, "int8", "tflite", "litert", device, "cpu", 1),
        artifact=ArtifactFile(str(SOURCE), sha256, 1),
        runtime_version="2.3.0",
        answers=AnswerCounts(1, 1, None, 0, "d"),
        startup=Startup(1, 1, 1),
        warmup_calls=0,
        peak_rss_bytes=1,
        samples=Samples((steady, steady), np.zeros(1, np.uint16)),
        instructions=instructions,
    )


class TestDevices:
    @pytest.mark.parametrize("name", emulated_names())
    def test_each_is_an_arm_board_whose_core_is_known(self, name: str) -> None:
        device = find_emulated(name)
        assert (device.qemu, device.debian) == (
            ("qemu-aarch64", "arm64") if device.target.bits == 64 else ("qemu-arm", "armhf")
        )
        assert of_core(device.core.name) == device

    def test_they_are_the_raspberry_pis_3_4_5_and_a_32_bit_one(self) -> None:
        cores = {find_emulated(name).core.name for name in emulated_names()}
        assert cores == {"cortex-a53", "cortex-a72", "cortex-a76", "cortex-a7"}

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('description = ""\nemulated = "cortex-a72"', "key 'target': found nothing"),
            ('description = ""\ntarget = "pi3"\nemulated = 72', "key 'emulated': found 72, expected a string"),
            ('description = ""\ntarget = "pi3"\nemulated = "z80"', "unknown core 'z80': there are cortex-a53, "),
            ('description = ""\ntarget = "ai_edge_litert_2_3"\nemulated = "cortex-a72"', "is no machine, expected ARM"),
            ("description", "is no readable TOML"),
        ],
    )
    def test_a_defect_in_a_file_is_named_with_its_key(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "emulated-x.toml"
        path.write_text(text)
        with pytest.raises(EdgeproofError) as caught:
            read_emulated(path)
        assert str(path) in str(caught.value)
        assert found in str(caught.value)

    def test_unknown_ones_are_refused_with_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="there are emulated-pi3, emulated-pi4"):
            find_emulated("emulated-pi9")
        with pytest.raises(EdgeproofError, match=r"cortex-a76.* and host"):
            of_core("cortex-m0")

    def test_an_overlay_shows_the_core_in_place_of_the_host(self, tmp_path: Path) -> None:
        (tmp_path / "arm64" / "usr").mkdir(parents=True)
        space = UserSpace(tmp_path / "arm64", "/usr/bin/python3.11", "", ())
        with overlay(find_emulated("emulated-pi5"), space) as folder:
            cpuinfo = (folder / "proc" / "cpuinfo").read_text()
            assert cpuinfo.count(find_core("cortex-a76", "").part) == 4
            assert "asimddp" in cpuinfo
            assert (folder / "usr").resolve() == space.root / "usr"
            assert list((folder / JOB).iterdir()) == []
        assert not folder.exists()
        assert (space.root / "usr").is_dir()


class TestWithoutOne:
    def test_a_missing_user_space_says_how_to_build_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(FOLDER, str(tmp_path))
        with pytest.raises(NotHere, match="run `make emulated-device`"):
            find_user_space(find_emulated("emulated-pi4"))

    def test_a_damaged_record_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(FOLDER, str(tmp_path))
        (tmp_path / "arm64").mkdir()
        for text in ("{", "[]", '{"python": 1}'):
            (tmp_path / "arm64" / "user-space.json").write_text(text)
            with pytest.raises(EdgeproofError, match=r"user-space\.json"):
                find_user_space(find_emulated("emulated-pi4"))

    @pytest.mark.slow
    def test_a_count_is_skipped_with_the_reason_and_a_rehearsal_fails(self, tiny: Tiny, tmp_path: Path) -> None:
        options: list[str | Path] = ["--runtime", "litert", "--output", tmp_path / "bench.json"]
        for command, code in (("count", 0), ("rehearse", 1)):
            result = bench(command, tiny.artifact("int8.tflite"), *options, cwd=tiny.workspace, **{FOLDER: str(tmp_path)})
            assert result.code == code, result.stderr
            skipped = json.loads((tmp_path / "bench.json").read_text())["skipped"]
            assert len(skipped) == 1
            assert "run `make emulated-device`" in skipped[0]["reason"]

    def test_unusable_input_is_one_line_and_code_2(self, tiny: Tiny) -> None:
        artifact = tiny.artifact("int8.tflite")
        for arguments, found in (
            (["count", artifact, "--core", "z80"], "unknown core 'z80'"),
            (["rehearse", artifact, "--device", "pi4"], "unknown emulated device 'pi4'"),
            (["rehearse", tiny.folder / "mnist_cnn.keras"], "Keras runs on no device"),
            (["emulate", "nowhere"], "unknown emulated device"),
        ):
            result = bench(*arguments, cwd=tiny.workspace)
            assert result.code == 2
            assert found in result.error_line


class TestRows:
    def test_of_an_emulated_device_have_no_latency_however_steady(self) -> None:
        assert measured("host").row.latency.valid
        latency = measured("emulated-pi4").row.latency
        assert (latency.valid, latency.why_invalid) == (False, NOT_A_LATENCY)

    def test_carry_instructions_only_where_they_were_counted(self) -> None:
        assert "instructions" not in measured("host").row.to_json()
        counted = measured("host", instructions=COUNTED).row.to_json()["instructions"]
        assert counted["steady_inference"] == 10
        assert "not time" in counted["cannot_see"]
        json.dumps(counted)

    def test_keep_their_count_when_the_same_artifact_is_measured_again(self) -> None:
        results = Results()
        results.merge([measured("host", instructions=COUNTED)], [], None)
        results.merge([measured("host")], [], None)
        assert results.rows[0].instructions == COUNTED
        results.merge([measured("host", sha256="2")], [], None)
        assert results.rows[0].instructions is None


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (BUILT / "arm64" / "user-space.json").is_file():
        pytest.skip("no emulated device: `make emulated-device` builds it")
    monkeypatch.setenv(FOLDER, str(BUILT))


@pytest.mark.slow
@pytest.mark.usefixtures("emulated")
class TestOnQemu:
    def test_int8_and_float32_answer_as_here_in_every_runtime(self, tiny: Tiny, tmp_path: Path) -> None:
        files = [tiny.artifact(key) for key in ("int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx")]
        output = tmp_path / "bench.json"
        result = bench("rehearse", *files, "--pictures", "20", "--output", output, cwd=tiny.workspace)
        assert result.code == 0, result.stdout
        rows = load_results(output).rows
        assert {row.subject.runtime for row in rows} == {"litert", "tflite_runtime", "onnxruntime"}
        assert all(row.latency.why_invalid == NOT_A_LATENCY for row in rows)
        assert all(row.golden and row.golden.deviations == () for row in rows)
        assert all(row.accuracy and row.accuracy.total == 20 for row in rows)
        assert all(20e6 < (row.memory.peak_rss_bytes or 0) < 200e6 for row in rows)
        assert NOT_A_LATENCY in result.stdout

    def test_counts_are_the_same_in_every_run_and_a_cortex_a76_takes_dot_products(self, tiny: Tiny, tmp_path: Path) -> None:
        artifact, rows = tiny.artifact("int8.tflite"), []
        for name in ("first.json", "second.json"):
            options: list[str | Path] = [
                "--runtime",
                "litert",
                "--core",
                "cortex-a72,cortex-a76",
                "--output",
                tmp_path / name,
            ]
            assert bench("count", artifact, *options, cwd=tiny.workspace).code == 0
            document = json.loads((tmp_path / name).read_text())
            rows.append([{**row["instructions"], "start": 0} for row in document["measurements"]])
        assert rows[0] == rows[1]
        old, new = rows[0]
        assert old["dot_products"] == 0 < new["dot_products"]
        assert new["steady_inference"] < old["steady_inference"]

    @pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")
    def test_valgrind_counts_here_nearly_the_same_twice(self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        from bench.measure import host_counter

        monkeypatch.setattr(host_counter, "perf_counts", lambda: None)
        job = Phases(tiny.artifact("int8.tflite"), "litert")
        first, second = count_here(job), count_here(replace(job))
        assert first.counter.startswith("valgrind")
        assert abs(first.steady_inference - second.steady_inference) < 0.01 * first.steady_inference
