"""A process that marks its phases."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.measure.host_counter import count_here, perf_counts
from bench.measure.phases import Phases
from bench.remote.emulation.counting_plugin import SOURCE, read_marks
from bench.results.instruction_counts import of_marks
from bench.results.outcome import RowRefused
from device.errors import EdgeproofError
from tests.conftest import Tiny


class TestMemory:
    def test_of_a_process_that_nothing_emulates_is_what_the_kernel_says(self) -> None:
        from bench.measure.phase_worker import own_peak_rss_bytes

        status = Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        assert 0.9 * peak < (own_peak_rss_bytes() or 0) < 1.1 * peak

    def test_is_unknown_where_the_system_does_not_say_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """gVisor's /proc/self/status has no VmHWM."""
        from bench.measure import phase_worker

        monkeypatch.setattr(phase_worker, "peak_rss_bytes", lambda: None)
        assert phase_worker.own_peak_rss_bytes() is None

    def test_of_a_32_bit_program_is_found_at_its_offset(self) -> None:
        from bench.measure.phase_worker import _offset

        mine = ["00010000-00020000 r-xp 0 08:01 7 /usr/bin/python3.11", "00030000-00040000 rw-p 0 00:00 0"]
        everything = [
            "55000000-55100000 r-xp 0 08:01 9 /usr/bin/qemu-arm",
            "7f0000010000-7f0000020000 r--p 0 08:01 7 /usr/bin/python3.11",
        ]
        assert _offset(mine, everything) == 0x7F0000000000
        assert _offset(mine, mine) == 0


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
        with pytest.raises(RowRefused, match="apt install valgrind"):
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
