"""Faults: killed runs, full disks, folders that cannot be written, two runs at the same time, wrong clocks."""

import ast
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.results.store import Results, load_results, npz_bytes
from common.files import write_bytes
from common.lock import exclusive
from device.errors import CheckFailed, EdgeproofError
from tests.conftest import ROOT, Finished, run, run_module
from tests.robustness.torture.long_runs import children
from tests.support.files import hidden
from tests.support.models.model_files import ENVIRONMENT, PLANTED, model
from tests.support.packages import MODULES

READY = ROOT / "data" / "ready"
PATIENCE_S = 60


class TestTwoAtATime:
    def test_the_second_is_refused_and_told_the_process_of_the_first(self, tmp_path: Path) -> None:
        code = "import sys; from pathlib import Path; from common.lock import exclusive\n"
        code += "with exclusive(Path('build/m/m')): print('in', flush=True); sys.stdin.read()"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == b"in\n"
            with pytest.raises(CheckFailed, match=rf"build/m/m: process {first.pid} .*is writing there: wait"):
                exclusive(tmp_path / "build" / "m" / "m").__enter__()
            with exclusive(tmp_path / "build" / "m" / "other"):
                pass
            first.kill()
        with exclusive(tmp_path / "build" / "m" / "m"):  # the dead one's lock holds nobody
            pass
        assert list((tmp_path / "build" / "m").iterdir()) == []

    def test_a_folder_that_was_made_for_the_lock_alone_goes_with_it(self, tmp_path: Path) -> None:
        with exclusive(tmp_path / "build" / "m" / "m"):
            assert (tmp_path / "build" / "m").is_dir()
        assert list(tmp_path.iterdir()) == []

    def test_of_two_bench_runs_into_one_file_the_second_ends_with_1_and_the_first_with_0(self, tmp_path: Path) -> None:
        path = model(tmp_path, "healthy")
        with exclusive(tmp_path / "bench.json"):
            options = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", "bench.json"]
            second = run(["-m", "bench", "run", path, *options], tmp_path, **ENVIRONMENT)
        assert second.code == 1
        assert f"bench.json: process {os.getpid()} " in second.error_line
        assert not (tmp_path / "bench.json").exists()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk, as root."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk can be mounted here: run the tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def bench(folder: Path, path: Path, output: Path) -> Finished:
    options: list[str | Path] = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", output]
    return run(["-m", "bench", "run", path, *options], folder, **ENVIRONMENT)


class TestDisk:
    @pytest.mark.parametrize(
        ("number", "said"),
        [
            (errno.ENOSPC, "free some space or choose another folder"),
            (errno.EROFS, "this user may only read there: work in another folder, or change its rights"),
            (errno.EPERM, "this user may only read there: work in another folder, or change its rights"),
            (errno.EIO, "choose another folder"),
        ],
    )
    def test_the_advice_is_that_for_the_cause(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
    ) -> None:
        def refusing(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("common.lock._locked", refusing)
        with pytest.raises(EdgeproofError, match=f"cannot be written: {os.strerror(number)}: {said}$"):
            exclusive(tmp_path / "build" / "m").__enter__()

    @pytest.mark.parametrize("inside", ["m", "m/m"])
    def test_a_file_where_a_folder_is_needed_is_named(self, tmp_path: Path, inside: str) -> None:
        (tmp_path / "build").write_text("")
        with pytest.raises(EdgeproofError, match="/build is a file, and a folder of that name is needed: rename it, or"):
            exclusive(tmp_path / "build" / inside).__enter__()

    def test_a_full_disk_keeps_the_old_results_and_is_said(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "small", "size=64k") as small:
            Results().save(small / "bench.json")
            before = [(small / name).read_bytes() for name in ("bench.json", "bench.npz")]
            (small / "filler").write_bytes(bytes(50_000))
            done = bench(tmp_path, model(tmp_path, "healthy"), small / "bench.json")
            after = [(small / name).read_bytes() for name in ("bench.json", "bench.npz")]
            left = hidden(small)
        assert done.code in (1, 2)
        assert f"{small}/" in done.error_line
        assert "No space left on device" in done.error_line
        assert after == before
        assert left == []

    def test_a_folder_that_can_only_be_read_is_said_before_anything_is_measured(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "small", "size=64k") as small:
            Results().save(small / "bench.json")
            subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
            done = bench(tmp_path, model(tmp_path, "healthy"), small / "bench.json")
            assert load_results(small / "bench.json").rows == []  # and it can be read
        assert done.code == 2
        assert "Read-only file system" in done.error_line
        assert f"{small}/bench.json" in done.error_line
        assert "latency" not in done.stdout

    def test_a_file_that_may_not_grow_is_said(self, tmp_path: Path) -> None:
        write_bytes(tmp_path / "a.json", b"old")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(EdgeproofError, match=r"a\.json: cannot be written: File too large"):
                write_bytes(tmp_path / "a.json", bytes(10_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (tmp_path / "a.json").read_bytes() == b"old"
        assert hidden(tmp_path) == []

    @pytest.mark.parametrize("arguments", [["-m", "train", "list"], ["-m", "bench", "--help"]])
    def test_a_full_standard_output_is_one_line_and_code_1(self, tmp_path: Path, arguments: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"{arguments[1]}: standard output")
        assert "No space left on device" in line

    @pytest.mark.parametrize(
        "arguments",
        [
            [ROOT / "device" / "classify.py", READY / "mnist_cnn_crop.int8.tflite", READY / "pictures"],
            ["-m", "train", "list"],
        ],
        ids=["classify", "train"],
    )
    def test_a_closed_standard_output_changes_nothing_else(self, tmp_path: Path, arguments: list[str | Path]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        closed = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, *arguments]
        done = subprocess.run(closed, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0
        assert b"Traceback" not in done.stderr


class TestInterrupt:
    def test_a_second_ctrl_c_ends_at_once_even_deep_in_a_library(self, tmp_path: Path) -> None:
        code = (
            "import ctypes, functools, operator, click\nfrom common.cli import run_cli\n"
            "libc = ctypes.CDLL(None)\n"
            "say = functools.partial(libc.write, 1, b'in\\n')\n"
            "@click.command()\ndef main():\n"
            # One call from "in" to the last sleep: a signal ends a sleep, and Python sees none of them in between.
            "    list(map(operator.call, [say] + [libc.sleep] * 9, [3] + [600] * 9))\n"
            "run_cli(main, 'train')"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"in\n"
            end_s = time.monotonic() + PATIENCE_S
            while process.poll() is None and time.monotonic() < end_s:
                process.send_signal(signal.SIGINT)
                time.sleep(0.2)
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert b"stopped at once" in errors
        assert b"Traceback" not in errors

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_during_python_s_own_end_is_no_traceback(self, tmp_path: Path, number: signal.Signals) -> None:
        code = (
            "import atexit, time, click\nfrom common.cli import run_cli\n"
            "atexit.register(lambda: (print('end', flush=True), time.sleep(600)))\n"
            "run_cli(click.Command('main', callback=lambda: None), 'train')"
        )
        command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"end\n"
            process.send_signal(number)
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (-number, b"")


MAY_ASK_FOR_THE_TIME = {
    "bench/remote/reconnecting_link.py": "how far a device's clock is off, and since when it is in use: said, not used",
    "bench/remote/agent.py": "the same, on the device",
    "common/files.py": "the age of a dead run's scratch folder",
}


class TestClock:
    def test_no_duration_is_taken_from_a_clock_that_can_jump(self) -> None:
        found = set()
        for path in MODULES:
            nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
            if {"time.time", "time.time_ns"} & {ast.unparse(node) for node in nodes}:
                found.add(path.relative_to(ROOT).as_posix())
        assert found == set(MAY_ASK_FOR_THE_TIME)

    @pytest.mark.slow
    def test_a_clock_that_jumps_to_and_fro_and_before_1980_harms_no_run(self, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import itertools, time\nreal = time.time\njumps = itertools.cycle([0, 1e6, -1e6, -real()])\n"
            "time.time = lambda: real() + next(jumps)\n"
        )
        path = os.pathsep.join(map(str, (tmp_path, PLANTED, ROOT)))
        looked = run(["-c", "import time; print(*(time.time() for _ in range(8)))"], tmp_path, PYTHONPATH=path)
        days = sorted(float(seconds) / 86_400 for seconds in looked.stdout.split())
        assert days[0] < 1 < 10 < days[-1] - days[-3], "the planted clock does not jump"
        options = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", "bench.json"]
        for _ in range(2):
            done = run(["-m", "bench", "run", model(tmp_path, "healthy"), *options], tmp_path, PYTHONPATH=path)
            assert done.code == 0, done.stderr
        (row,) = load_results(tmp_path / "bench.json").rows
        assert 0 < row.latency.p50.ms < 1_000
        assert hidden(tmp_path) == []

    def test_samples_are_written_whatever_the_date(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.time", lambda: 0.0)
        arrays = {"a/b": np.arange(5), "c": np.zeros((0, 2), np.uint16)}
        import io

        with np.load(io.BytesIO(npz_bytes(arrays)), allow_pickle=False) as loaded:
            assert all(np.array_equal(loaded[name], arrays[name]) for name in arrays)


def test_what_killed_runs_left_is_no_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "m"
    folder.mkdir(parents=True)
    (folder / ".m.int8.abcdefgh.tmp.int8.tflite").write_bytes(b"half")
    done = run_module("bench", "run", cwd=tmp_path)
    assert "holds no artifacts" in done.error_line


def test_a_sweep_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import time\nfrom train.points import executor_for\n"
        "if __name__ == '__main__':\n"
        "    with executor_for(1, None) as executor:\n"
        "        executor.submit(print, 'in', flush=True).result()\n"
        "        executor.submit(time.sleep, 600).result()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        end_s = time.monotonic() + PATIENCE_S
        while not (started := children(process.pid)) and time.monotonic() < end_s:
            time.sleep(0.1)
        process.kill()
        process.communicate(timeout=PATIENCE_S)  # ends when the last process that holds the other end is gone
    assert started
