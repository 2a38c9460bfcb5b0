"""The emulated devices: what they are made of, what a rehearsal compares, what a count says. QEMU runs in slow tests."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.artifacts import Found
from bench.emulated import NOT_A_LATENCY
from bench.emulated.device import NotHere, emulated_names, find_core, find_emulated, of_core, read_emulated
from bench.emulated.overlay import JOB, overlay
from bench.emulated.plugin import SOURCE, read_marks
from bench.emulated.userspace import FOLDER, UserSpace, find_user_space
from bench.host_count import count_here, perf_counts
from bench.instructions import Instructions, of_marks
from bench.measurement import Accuracy, Artifact, Measurement, Samples, Startup, Subject
from bench.phases import Phases, Refused
from bench.rehearse import deviations
from bench.results import Results
from device.classify import EdgeproofError, read_card
from tests.conftest import ROOT, Finished, Tiny, run

COUNTED = Instructions("cortex-a72", "qemu", "abc", 100, 50, 20, 30, 10, (9, 11), 8, 0)
BUILT = ROOT / "build" / "emulated"


def bench(*arguments: str | Path, cwd: Path, **environment: str) -> Finished:
    return run(["-m", "bench", *arguments], cwd, **environment)


def measured(device: str, sha256: str = "1", instructions: Instructions | None = None) -> Measurement:
    steady = np.full(200, 1_000_000, np.int64)
    return Measurement(
        subject=Subject("m", None, "int8", "tflite", "litert", device, "cpu", 1),
        artifact=Artifact(str(SOURCE), sha256, 1),
        runtime_version="2.3.0",
        accuracy=Accuracy(1, 1, None, 0, "d"),
        startup=Startup(1, 1, 1),
        warmup_calls=0,
        peak_rss_bytes=1,
        samples=Samples((steady,), np.zeros(1, np.uint16)),
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
        assert measured("host").to_json()["latency"]["valid"]
        latency = measured("emulated-pi4").to_json()["latency"]
        assert (latency["valid"], latency["why_invalid"]) == (False, NOT_A_LATENCY)

    def test_carry_instructions_only_where_they_were_counted(self) -> None:
        assert "instructions" not in measured("host").to_json()
        counted = measured("host", instructions=COUNTED).to_json()["instructions"]
        assert counted["steady_inference"] == 10
        assert "not time" in counted["cannot_see"]
        json.dumps(counted)

    def test_keep_their_count_when_the_same_artifact_is_measured_again(self) -> None:
        results = Results()
        results.merge([measured("host", instructions=COUNTED)], [], {})
        results.merge([measured("host")], [], {})
        assert results.rows[0]["instructions"]["steady_inference"] == 10
        results.merge([measured("host", sha256="2")], [], {})
        assert "instructions" not in results.rows[0]


class TestMemory:
    def test_of_a_process_that_nothing_emulates_is_what_the_kernel_says(self) -> None:
        from bench.marked import peak_rss_bytes

        status = Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        assert 0.9 * peak < peak_rss_bytes() < 1.1 * peak

    def test_of_a_32_bit_program_is_found_at_its_offset(self) -> None:
        from bench.marked import _offset

        mine = ["00010000-00020000 r-xp 0 08:01 7 /usr/bin/python3.11", "00030000-00040000 rw-p 0 00:00 0"]
        everything = [
            "55000000-55100000 r-xp 0 08:01 9 /usr/bin/qemu-arm",
            "7f0000010000-7f0000020000 r--p 0 08:01 7 /usr/bin/python3.11",
        ]
        assert _offset(mine, everything) == 0x7F0000000000
        assert _offset(mine, mine) == 0


class TestComparison:
    @pytest.fixture
    def found(self, tiny: Tiny) -> Found:
        path = tiny.artifact("int8.tflite")
        card = read_card(path)
        assert card is not None
        return Found(path, "tflite", card)

    @staticmethod
    def result(found: Found, **other: Any) -> dict[str, Any]:
        scores = [[0.0, 0.9] + [0.0] * 8 for _ in found.card.document["golden"]]
        return {"runtime": "litert", "runtime_version": "2", "failed_checks": [], "golden_scores": scores, **other}

    def shifted(self, found: Found, by: float, **other: Any) -> dict[str, Any]:
        result = self.result(found, **other)
        result["golden_scores"][0][0] += by
        return result

    def test_of_equal_answers_finds_nothing(self, found: Found) -> None:
        assert deviations(found, self.result(found), self.result(found)) == []

    def test_allows_int8_one_step_in_the_same_litert_and_no_more(self, found: Found) -> None:
        assert deviations(found, self.shifted(found, 1 / 256), self.result(found)) == []
        assert "golden[0]: scores differ" in deviations(found, self.shifted(found, 2 / 256), self.result(found))[0]

    def test_allows_004_across_versions_and_runtimes(self, found: Found) -> None:
        other = {"runtime_version": "3"}
        assert deviations(found, self.shifted(found, 0.03, **other), self.result(found)) == []
        assert deviations(found, self.shifted(found, 0.05, **other), self.result(found))

    def test_finds_another_top_class_and_a_failed_self_test(self, found: Found) -> None:
        there = self.shifted(found, 0.91, runtime_version="3", failed_checks=["golden[0].top1: 3, expected 5"])
        wrong = " ".join(deviations(found, there, self.result(found)))
        assert "self-test: golden[0].top1" in wrong
        assert "golden[0]: 0 there, 1 here" in wrong

    def test_lets_the_picture_near_the_border_be_another_class_but_in_the_same_litert_no_more_than_a_step_off(
        self, found: Found
    ) -> None:
        found.card.document["golden"][0]["clear"] = False
        there = self.shifted(found, 0.91, runtime_version="3")
        assert deviations(found, there, self.result(found)) == []
        assert "golden[0]: scores differ" in deviations(found, {**there, "runtime_version": "2"}, self.result(found))[0]


class TestCounts:
    def test_are_differences_between_marks_and_the_median_of_the_steady_ones(self) -> None:
        counted = of_marks([100, 150, 170, 175, 205, 216, 226, 235], "c", "q", None, [0, 0, 0, 0, 5, 9, 13, 17])
        assert (counted.start, counted.import_runtime, counted.load, counted.first_inference) == (100, 50, 20, 30)
        assert (counted.steady_inference, counted.steady_range, counted.inferences) == (10, (9, 11), 3)
        assert counted.dot_products == 4

    def test_that_are_cut_off_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "counts"
        for text in ("", "0 1 0\n1 2 0\n", "0 1 0\n2 2 0\n-1 3 0\n", "0 1\n-1 3\n"):
            path.write_text(text)
            with pytest.raises(EdgeproofError, match="incomplete"):
                read_marks(path)
        path.write_text("0 1 0\n1 2 0\n-1 3 0\n")
        assert read_marks(path) == ([1, 2], [0, 0])

    @pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
    def test_come_from_a_plugin_that_compiles_without_a_warning(self, tmp_path: Path) -> None:
        command: list[str | Path] = [
            "cc",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O2",
            "-fPIC",
            "-shared",
            "-o",
            tmp_path / "c.so",
            SOURCE,
        ]
        subprocess.run(command, check=True)

    def test_are_taken_from_perf_by_difference_where_it_can_count(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "perf").write_text(PERF)
        (tmp_path / "perf").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        counted = count_here(Phases(tiny.artifact("int8.tflite"), "litert"))
        assert counted.counter == "perf version 6"
        assert (counted.start, counted.import_runtime, counted.load, counted.first_inference) == (100, 50, 20, 25)
        assert (counted.steady_inference, counted.inferences) == (10, 8)

    def test_are_refused_where_neither_perf_nor_valgrind_counts(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert perf_counts() is None
        with pytest.raises(Refused, match="apt install valgrind"):
            count_here(Phases(tiny.artifact("int8.tflite"), "litert"))


# A perf whose counter reads 100 at START, 150, 170, 175 and then 200 and 10 for each inference
PERF = """#!/bin/sh
[ "$1" = --version ] && echo "perf version 6" && exit
while [ "$1" != -- ]; do [ "$1" = -o ] && out=$2; shift; done
for job; do :; done
number() { grep -o "\\"$1\\": [0-9]*" "$job" | grep -o "[0-9]*$"; }
[ "$job" = true ] && echo "1,,instructions:u,1,100.00,," > "$out" && exit
case $(number stop_after) in
0) n=100 ;; 1) n=150 ;; 2) n=170 ;; 3) n=175 ;; 4) n=$((200 + 10 * $(number inferences))) ;; esac
echo "$n,,instructions:u,1,100.00,," > "$out"
echo "EDGEPROOF {}"
"""


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
        rows = json.loads(output.read_text())["measurements"]
        assert {row["runtime"] for row in rows} == {"litert", "tflite_runtime", "onnxruntime"}
        assert all(row["latency"]["why_invalid"] == NOT_A_LATENCY for row in rows)
        assert all(row["accuracy"]["agreement_with_reference"] == 1 for row in rows)
        assert all(20e6 < row["memory"]["peak_rss_bytes"] < 200e6 for row in rows)
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
        from bench import host_count

        monkeypatch.setattr(host_count, "perf_counts", lambda: None)
        job = Phases(tiny.artifact("int8.tflite"), "litert")
        first, second = count_here(job), count_here(replace(job))
        assert first.counter.startswith("valgrind")
        assert abs(first.steady_inference - second.steady_inference) < 0.01 * first.steady_inference
