"""Measuring on a device over SSH, with a real SSH server on this machine that has its own keys."""

import json
import os
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure.row import MODES
from bench.remote.loopback_sshd import Loopback
from bench.results.store import Results, load_results
from tests.conftest import Finished, classify, run_module
from tests.support.devices import READY, arguments, device_file, measure, patched_python
from tests.support.results_builder import ENVIRONMENT, measurement


def by_command(*devices: Path, pictures: Path, model: Path = READY) -> tuple[Finished, Results]:
    """Measure as a user does."""
    output = devices[0].parent / "bench.json"
    options = arguments(*devices, pictures=pictures, output=output, model=model)
    return run_module("bench", *options, cwd=devices[0].parent), load_results(output)


class TestRun:
    @pytest.mark.slow
    def test_measures_there_and_merges_the_rows_under_the_devices_own_name(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "mein Modell ü.int8.tflite"
        shutil.copy(READY, model)
        result, results = by_command(device_file(tmp_path, server), pictures=pictures, model=model)
        assert result.code == 0, result.stderr
        row = results.rows[0]
        assert (row.subject.device, row.subject.runtime) == ("board", "litert")
        assert row.latency.processes == MODES["rapid"].processes
        assert row.latency.queries >= 64
        assert (row.memory.peak_rss_bytes or 0) > 10_000_000
        assert results.environments["board"].cores >= 1
        assert "host" not in results.environments
        scored = json.loads(classify(model, "--score", "--json", pictures, cwd=tmp_path).stdout)
        assert row.accuracy is not None
        assert (row.accuracy.correct, row.accuracy.total) == (scored["correct"], scored["total"])
        assert "board" in (tmp_path / "report.md").read_text()

    @pytest.mark.slow
    def test_rows_of_another_board_under_its_name_are_refused_before_anything_is_measured(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        another = replace(ENVIRONMENT, cpu="another board")
        before = Results()
        before.merge([measurement(device="board")], [], another, device="board")
        before.save(tmp_path / "bench.json")
        result, results = measure(device_file(tmp_path, server), pictures=pictures)
        assert result.code == 1
        assert "bench.json: holds 1 row of board from another machine (board, another board" in result.stderr
        assert (len(results.rows), results.environments) == (1, {"board": another})

    @pytest.mark.slow
    def test_pushes_only_what_is_missing(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        device = device_file(tmp_path, server)
        assert measure(device, pictures=pictures)[0].code == 0
        there = {path: path.stat().st_ino for path in (tmp_path / "far sidé").rglob("*") if path.is_file()}
        assert measure(device, pictures=pictures)[0].code == 0
        again = {path: path.stat().st_ino for path in (tmp_path / "far sidé").rglob("*") if path.is_file()}
        assert again == there
        damaged = next(path for path in there if path.suffix == ".tflite")
        damaged.write_bytes(damaged.read_bytes()[:-1])
        assert measure(device, pictures=pictures)[0].code == 0
        assert damaged.read_bytes() == READY.read_bytes()

    @pytest.mark.slow
    def test_a_dead_device_costs_its_rows_only(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        with socket.socket() as listener:  # bound and not listening: nobody answers there
            listener.bind(("127.0.0.1", 0))
            dead = device_file(tmp_path, server, "dead", port=listener.getsockname()[1])
            result, results = by_command(device_file(tmp_path, server), dead, pictures=pictures)
        assert result.code == 1
        assert [row.subject.device for row in results.rows] == ["board"]
        assert [row.subject.device for row in results.skipped] == ["dead"]
        # With a port of its own the host key is not known either way; what ssh sees first is the closed port.
        assert "does not answer" in results.skipped[0].reason

    @pytest.mark.slow
    def test_a_row_that_is_measured_elsewhere_stays(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        one = device_file(tmp_path, server, "one")
        two = device_file(tmp_path, server, "two", folder=str(tmp_path / "two"))
        assert measure(one, pictures=pictures)[0].code == 0
        assert measure(two, pictures=pictures)[0].code == 0
        results = load_results(tmp_path / "bench.json")
        assert sorted(row.subject.device for row in results.rows) == ["one", "two"]
        assert set(results.environments) == {"one", "two"}

    def test_times_of_an_emulated_device_are_no_latencies(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        result, results = measure(device_file(tmp_path, server, "emulated-board", emulated="cortex-a72"), pictures=pictures)
        assert result.code == 0, result.stderr
        latency = results.rows[0].latency
        assert latency.valid is False
        assert "emulated, not a latency" in (latency.why_invalid or "")
        assert results.rows[0].health == {"emulated": "cortex-a72"}
        assert (results.rows[0].memory.peak_rss_bytes or 0) > 10_000_000

    @pytest.mark.slow
    @pytest.mark.parametrize("options", [[], ["-E"]], ids=["Python", "a Python that ignores PYTHONPATH"])
    def test_the_golden_pictures_are_held_against_this_machine(
        self, server: Loopback, pictures: Path, tmp_path: Path, options: list[str]
    ) -> None:
        result, results = measure(device_file(tmp_path, server, python=[sys.executable, *options]), pictures=pictures)
        golden = results.rows[0].golden
        assert result.code == 0, result.stdout
        assert golden is not None
        assert (golden.deviations, golden.worst_score) == ((), 0)
        assert golden.pictures > 0
        assert (golden.here or "").startswith("litert")

    def test_a_device_that_answers_otherwise_is_code_1_and_named(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        # As a runtime with a broken kernel would: each score is that of the class before
        code = (
            "import numpy as np, ai_edge_litert.interpreter as there\n"
            "right = there.Interpreter.get_tensor\n"
            "there.Interpreter.get_tensor = lambda self, index: np.roll(right(self, index), 1, axis=-1)\n"
        )
        python = patched_python(tmp_path, code)
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 1
        assert "FAIL: self-test" in result.stdout
        assert "FAIL: self-test" in result.stderr
        golden = results.rows[0].golden
        assert golden is not None
        assert any("self-test" in deviation for deviation in golden.deviations)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["board", "emulated-board"])
    def test_of_each_row_at_most_so_many_pictures_are_answered(
        self, server: Loopback, pictures: Path, tmp_path: Path, name: str
    ) -> None:
        device = device_file(tmp_path, server, name, **({} if name == "board" else {"emulated": "cortex-a72"}))
        options = arguments(device, pictures=pictures, output=tmp_path / "bench.json")
        result = run_module("bench", *options, "--pictures", "3", cwd=tmp_path)
        assert result.code == 0, result.stderr
        accuracy = load_results(tmp_path / "bench.json").rows[0].accuracy
        assert accuracy is not None
        assert accuracy.total == 3

    @pytest.mark.slow
    def test_under_voltage_makes_the_latency_invalid(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "vcgencmd").write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50005\n')
        (tmp_path / "vcgencmd").chmod(0o755)
        python = ["env", f"PATH={tmp_path}:{os.environ['PATH']}", sys.executable]
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 0, result.stderr
        assert results.rows[0].latency.valid is False
        assert (results.rows[0].latency.why_invalid or "").startswith("under-voltage and throttled while measuring")
        assert results.environments["board"].health["throttled_bits"] == 0x50005
