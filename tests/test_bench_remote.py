"""Measuring on a device over SSH, against a real sshd on the loopback with keys of its own."""

import ast
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import device_answers, far_side
from bench.artifacts import find_artifacts
from bench.device_command import measure_devices
from bench.device_file import device_names, find_device, read_device
from bench.link import Link
from bench.loopback import Loopback, find_sshd, loopback_server
from bench.provision import provide
from bench.results import Results, load_results
from bench.run import Mode
from bench.ssh import DeviceLost
from device.classify import EdgeproofError
from tests.conftest import ROOT, Finished, classify, run_room

READY = ROOT / "data" / "ready" / "mnist_cnn_crop.int8.tflite"
PATIENCE_S = 60  # for what must happen sometime: no test hangs on how fast it does


@pytest.fixture(scope="session")
def server() -> Iterator[Loopback]:
    try:
        find_sshd()
    except EdgeproofError as error:
        pytest.skip(str(error))
    with loopback_server() as running:
        yield running


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of class folders with the ready pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("set") / "my dïgits"
    shutil.copytree(ROOT / "data" / "ready" / "pictures", folder)
    (folder / "7" / "broken.png").write_text("no picture")
    return folder


def device_file(home: Path, server: Loopback, name: str = "board", **keys: Any) -> Path:
    """Write a device's file: this machine behind the loopback's sshd, everything in a folder with a difficult name."""
    document = {
        "description": "the loopback",
        "host": "127.0.0.1",
        "user": server.user,
        "port": server.port,
        "key": str(server.key),
        "known_hosts": str(server.known_hosts),
        "python": [sys.executable],
        "ready": True,
        "folder": str(home / "far sidé"),
        **keys,
    }
    path = home / f"{name}.toml"
    path.write_text("".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in document.items()))
    return path


def arguments(*devices: Path, pictures: Path, output: Path, model: Path = READY) -> list[str]:
    where = ["--device", ",".join(map(str, devices)), "--data", str(pictures), "--output", str(output)]
    return ["run", str(model), "--runtime", "litert", "--seconds", "0.01", *where]


def by_command(*devices: Path, pictures: Path, model: Path = READY) -> tuple[Finished, Results]:
    """Measure as a user does."""
    output = devices[0].parent / "bench.json"
    options = arguments(*devices, pictures=pictures, output=output, model=model)
    return run_room("bench", *options, cwd=devices[0].parent), load_results(output)


def measure(*devices: Path, pictures: Path, model: Path = READY) -> tuple[Finished, Results]:
    """Measure as the command does, within this process and with one process a row: trouble needs no more."""
    output = devices[0].parent / "bench.json"
    results, said = load_results(output) if output.exists() else Results(), io.StringIO()
    with contextlib.redirect_stdout(said):
        names, how_long = ",".join(map(str, devices)), Mode(64, 0.0, 1)
        found = find_artifacts([model])
        failures = measure_devices(names, found, ["litert"], how_long, [1], pictures, False, None, results, output)
    return Finished(int(bool(failures)), said.getvalue(), "\n".join(failures)), load_results(output)


def wrapped_python(folder: Path, script: str) -> str:
    """Return a command that is this Python after a few lines of shell."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n{script}\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def patched_python(folder: Path, code: str) -> list[str]:
    """Return a command that is this Python with some code run at its start."""
    (folder / "sitecustomize.py").write_text(code)
    return ["env", f"PYTHONPATH={folder}", sys.executable]


def eventually(condition: Any) -> bool:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.1)
    return False


def is_gone(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


HANG_ONCE = 'case "$*" in *--bench*) if mkdir "{0}/hung" 2>/dev/null; then echo $$ > "{0}/pid"; exec sleep 600; fi;; esac'


class TestRun:
    def test_measures_there_and_merges_the_rows_under_the_devices_own_name(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "mein Modell ü.int8.tflite"
        shutil.copy(READY, model)
        result, results = by_command(device_file(tmp_path, server), pictures=pictures, model=model)
        assert result.code == 0, result.stderr
        row = results.rows[0]
        assert (row["device"], row["runtime"], row["latency"]["processes"]) == ("board", "litert", 3)
        assert row["latency"]["queries"] >= 64
        assert row["memory"]["peak_rss_bytes"] > 10_000_000
        assert results.environments["board"]["cores"] >= 1
        assert "host" not in results.environments
        scored = json.loads(classify(model, "--score", "--json", pictures, cwd=tmp_path).stdout)
        assert (row["accuracy"]["correct"], row["accuracy"]["total"]) == (scored["correct"], scored["total"])
        assert "board" in (tmp_path / "report.md").read_text()

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

    def test_a_dead_device_costs_its_rows_only(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        with socket.socket() as listener:  # bound and not listening: nobody answers there
            listener.bind(("127.0.0.1", 0))
            dead = device_file(tmp_path, server, "dead", port=listener.getsockname()[1])
            result, results = by_command(device_file(tmp_path, server), dead, pictures=pictures)
        assert result.code == 1
        assert [row["device"] for row in results.rows] == ["board"]
        assert [row["device"] for row in results.skipped] == ["dead"]
        # With a port of its own the host key is not known either way; what ssh sees first is the closed port.
        assert "does not answer" in results.skipped[0]["reason"]

    def test_a_row_that_is_measured_elsewhere_stays(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        one = device_file(tmp_path, server, "one")
        two = device_file(tmp_path, server, "two", folder=str(tmp_path / "two"))
        assert measure(one, pictures=pictures)[0].code == 0
        assert measure(two, pictures=pictures)[0].code == 0
        results = load_results(tmp_path / "bench.json")
        assert sorted(row["device"] for row in results.rows) == ["one", "two"]
        assert set(results.environments) == {"one", "two"}

    def test_times_of_an_emulated_device_are_no_latencies(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        result, results = measure(device_file(tmp_path, server, "emulated-board", emulated="cortex-a72"), pictures=pictures)
        assert result.code == 0, result.stderr
        latency = results.rows[0]["latency"]
        assert latency["valid"] is False
        assert "emulated, not a latency" in latency["why_invalid"]
        assert results.rows[0]["health"] == {"emulated": "cortex-a72"}
        assert results.rows[0]["memory"]["peak_rss_bytes"] > 10_000_000

    def test_the_golden_pictures_are_held_against_this_machine(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        result, results = measure(device_file(tmp_path, server), pictures=pictures)
        golden = results.rows[0]["golden"]
        assert result.code == 0, result.stdout
        assert (golden["deviations"], golden["worst_score"]) == ([], 0)
        assert golden["pictures"] > 0
        assert golden["here"].startswith("litert")

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
        assert any("self-test" in deviation for deviation in results.rows[0]["golden"]["deviations"])

    @pytest.mark.parametrize("name", ["board", "emulated-board"])
    def test_of_each_row_at_most_so_many_pictures_are_answered(
        self, server: Loopback, pictures: Path, tmp_path: Path, name: str
    ) -> None:
        device = device_file(tmp_path, server, name, **({} if name == "board" else {"emulated": "cortex-a72"}))
        options = arguments(device, pictures=pictures, output=tmp_path / "bench.json")
        result = run_room("bench", *options, "--pictures", "3", cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert load_results(tmp_path / "bench.json").rows[0]["accuracy"]["total"] == 3

    def test_under_voltage_makes_the_latency_invalid(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "vcgencmd").write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50005\n')
        (tmp_path / "vcgencmd").chmod(0o755)
        python = ["env", f"PATH={tmp_path}:{os.environ['PATH']}", sys.executable]
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 0, result.stderr
        assert results.rows[0]["latency"]["valid"] is False
        assert results.rows[0]["latency"]["why_invalid"].startswith("under-voltage and throttled while measuring")
        assert results.environments["board"]["health"]["throttled_bits"] == 0x50005


class Proxy:
    """A line to the server that can be cut."""

    def __init__(self, port: int) -> None:
        self._target, self._sockets = port, list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self.connections += 1
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(1 << 16):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def cut(self) -> None:
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def behind(server: Loopback, proxy: Proxy, folder: Path) -> Loopback:
    known = folder / "known_hosts"
    known.write_text(server.known_hosts.read_text().replace(str(server.port), str(proxy.port)))
    return replace(server, port=proxy.port, known_hosts=known)


class TestTrouble:
    def test_a_connection_cut_in_the_middle_is_made_again_and_leaves_no_process(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        proxy = Proxy(server.port)
        python = wrapped_python(tmp_path, HANG_ONCE.format(tmp_path))
        device = device_file(tmp_path, behind(server, proxy, tmp_path), python=[python])

        def cut_when_busy() -> None:
            if eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
                proxy.cut()

        watcher = threading.Thread(target=cut_when_busy)
        watcher.start()
        result, results = measure(device, pictures=pictures)
        watcher.join()
        proxy.close()
        assert result.code == 0, result.stderr + result.stdout
        assert "trying again" in result.stdout
        assert proxy.connections == 2
        assert len(results.rows) == 1
        assert eventually(lambda: is_gone(int((tmp_path / "pid").read_text())))

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
    def test_a_run_that_is_ended_leaves_no_process_no_half_file_and_no_lock(
        self, server: Loopback, pictures: Path, tmp_path: Path, number: int
    ) -> None:
        python = wrapped_python(tmp_path, HANG_ONCE.format(tmp_path))
        device = device_file(tmp_path, server, python=[python])
        command = [sys.executable, "-m", "bench", *arguments(device, pictures=pictures, output=tmp_path / "bench.json")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
            process.send_signal(number)
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == (130 if number == signal.SIGINT else -number), errors
        assert b"Traceback" not in errors
        assert eventually(lambda: is_gone(int((tmp_path / "pid").read_text())))
        result, results = measure(device, pictures=pictures)
        assert result.code == 0, result.stderr
        assert len(results.rows) == 1
        assert list((tmp_path / "far sidé" / "tmp").iterdir()) == []

    def test_two_runs_at_a_time_queue_and_say_for_whom(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        path = device_file(tmp_path, server)
        device = read_device(path)
        stopping = threading.Event()
        with Link(device.address, device.python, device.folder, print, stopping) as first:
            command = [
                sys.executable,
                "-u",
                "-m",
                "bench",
                *arguments(path, pictures=pictures, output=tmp_path / "bench.json"),
            ]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert f"(process {os.getpid()}, 0 minutes)" in process.stdout.readline()
                first.close()
                process.communicate(timeout=600)
        assert process.returncode == 0

    def test_a_full_disk_is_said_and_leaves_no_half_file(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        small = tmp_path / "small"
        small.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=120k", "none", small], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(f"no small disk can be made here: {mounted.stderr.decode().strip()}: run the tests as root")
        try:
            result, results = measure(device_file(tmp_path, server, folder=str(small / "far")), pictures=pictures)
            whole = [path.name for path in small.rglob("*") if path.is_file() and path.name != "lock"]
        finally:
            subprocess.run(["umount", "-l", small], check=True)
        assert result.code == 1
        assert "its disk is full" in results.skipped[0]["reason"]
        assert "make room there" in results.skipped[0]["reason"]
        assert whole == ["classify.py"]

    @pytest.mark.parametrize(
        ("script", "found"),
        [
            ("yes", "answers what is no answer"),
            ('case "$*" in *--bench*) echo ouch; exit 0;; esac', "where measurements were expected"),
            ('case "$*" in *--bench*) kill -9 $$;; esac', "out of memory?"),
            ('case "$*" in *--top*) echo "{}"; exit 0;; esac', "1 lines for"),
        ],
        ids=["a flood", "no measurements", "killed", "no answers"],
    )
    def test_a_device_that_answers_garbage_is_named_and_brings_no_row(
        self, server: Loopback, pictures: Path, tmp_path: Path, script: str, found: str
    ) -> None:
        result, results = measure(
            device_file(tmp_path, server, python=[wrapped_python(tmp_path, script)]), pictures=pictures
        )
        assert result.code == 1
        assert results.rows == []
        assert found in results.skipped[0]["reason"]

    def test_what_a_shell_prints_at_login_does_no_harm(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        python = wrapped_python(tmp_path, 'case "$*" in *unhexlify*) echo "Welcome to {board}"; echo;; esac')
        result, results = measure(device_file(tmp_path, server, python=[python]), pictures=pictures)
        assert result.code == 0, result.stderr
        assert len(results.rows) == 1

    def test_a_wrong_clock_is_said_and_changes_no_figure(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        python = patched_python(tmp_path, "import time\nreal = time.time\ntime.time = lambda: real() - 3e8\n")
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 0, result.stderr
        assert "clock is -300,000,00" in result.stdout
        assert results.environments["board"]["health"]["clock_off_s"] == pytest.approx(-3e8, abs=60)
        assert 0 < results.rows[0]["latency"]["p50_ms"] < 10_000

    @pytest.mark.parametrize(
        ("keys", "found"),
        [
            ({"known_hosts": "/dev/null"}, "is not known: connect once by hand"),
            ({"key": "/dev/null"}, "refuses the key"),
            ({"host": "no-such-machine.invalid"}, "no machine is called"),
            ({"python": ["no-such-python"]}, "no-such-python cannot be started there"),
            ({"python": [sys.executable, "-S"]}, "numpy or Pillow cannot be imported there"),
            ({"folder": "/proc/edgeproof"}, "/proc/edgeproof"),
        ],
        ids=["host key", "key", "name", "python", "numpy", "folder"],
    )
    def test_what_stands_in_the_way_is_said_with_the_way_out(
        self, server: Loopback, pictures: Path, tmp_path: Path, keys: dict[str, Any], found: str
    ) -> None:
        result, results = measure(device_file(tmp_path, server, **keys), pictures=pictures)
        assert result.code == 1
        assert "Traceback" not in result.stderr
        assert found in results.skipped[0]["reason"]

    def test_another_host_key_than_the_known_one_is_refused(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
        other = (tmp_path / "other.pub").read_text().split()[:2]
        (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
        result, results = measure(device_file(tmp_path, server, known_hosts=str(tmp_path / "known")), pictures=pictures)
        assert result.code == 1
        assert "is not the one that is known" in results.skipped[0]["reason"]
        assert "ssh-keygen -R" in results.skipped[0]["reason"]

    def test_an_older_python_is_named(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        python = patched_python(tmp_path, "import sys\nsys.version_info = (3, 7, 3)\n")
        _, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert "its Python is 3.7.3, classify.py needs 3.9 or newer" in results.skipped[0]["reason"]


class FakeLink:
    """A far side that has the given facts and nothing on its disk."""

    def __init__(self, free_bytes: int = 10**10, **facts: Any) -> None:
        known = {"machine": "aarch64", "bits": 64, "python": "3.11.2", "glibc": "2.36", "folder": "/f", "clock_off_s": 0.0}
        self.facts = {**known, **facts}
        self.free_bytes = free_bytes

    def ask(self, op: str, *_: Any, **__: Any) -> dict[str, Any]:
        assert op == "have", "nothing is started before it is known that it can end well"
        return {"have": [], "free_bytes": self.free_bytes}


class TestProvision:
    @pytest.mark.parametrize(
        ("facts", "found"),
        [
            ({"machine": "riscv64"}, "has no wheel for riscv64"),
            ({"python": "3.9.2", "glibc": "2.28"}, "no runtime can be installed there"),
            ({"free_bytes": 50_000_000}, "has 50 MB free"),
        ],
        ids=["architecture", "old system", "no room"],
    )
    def test_what_cannot_be_installed_is_said_before_anything_is_done(self, facts: dict[str, Any], found: str) -> None:
        link: Any = FakeLink(**facts)
        with pytest.raises(DeviceLost, match=found):
            provide(link, find_device("pi4"), ["litert", "tflite_runtime"], False, print)

    def test_a_32_bit_system_under_a_64_bit_kernel_is_armv7l(self) -> None:
        from bench.provision import real_target

        said: list[str] = []
        target = real_target(find_device("zero"), FakeLink(bits=32).facts, said.append)
        assert (target.architecture, target.system_packages) == ("armv7l", ("python3-numpy", "python3-pil"))
        other = real_target(find_device("zero"), FakeLink().facts, said.append)
        assert (other.architecture, other.system_packages) == ("aarch64", ())
        assert len(said) == 1

    def test_a_runtime_that_is_not_there_is_a_row_skipped_with_the_command_that_installs_it(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        hide = "from importlib import metadata\nreal = metadata.version\ndef version(name):\n"
        hide += "    if name == 'ai-edge-litert': raise metadata.PackageNotFoundError(name)\n    return real(name)\n"
        python = patched_python(tmp_path, hide + "metadata.version = version\n")
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 0, result.stderr
        assert "ai-edge-litert is not installed there" in results.skipped[0]["reason"]
        assert "pip install ai-edge-litert==" in results.skipped[0]["reason"]

    @pytest.mark.slow
    def test_a_virtual_environment_is_made_once_from_wheels_that_are_pushed(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        device = device_file(tmp_path, server, ready=False)
        options = [*arguments(device, pictures=pictures, output=tmp_path / "bench.json"), "--offline"]
        first = run_room("bench", *options, cwd=tmp_path)
        assert first.code == 0, first.stdout + first.stderr
        assert "making a virtual environment there, once" in first.stdout
        assert load_results(tmp_path / "bench.json").environments["board"]["installed"]["ai-edge-litert"]
        assert not any((tmp_path / "far sidé" / "wheels").iterdir())
        second = run_room("bench", *options, cwd=tmp_path)
        assert second.code == 0, second.stderr
        assert "virtual environment" not in second.stdout


class TestDeviceFiles:
    @pytest.mark.parametrize("name", device_names())
    def test_each_can_be_read_and_names_no_password(self, name: str) -> None:
        device = find_device(name)
        assert device.description
        assert device.host or device.loopback

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "description"),
            ('description = "d"', "key 'host'"),
            ('description = "d"\nhost = "-oProxyCommand=sh"', "begins with '-'"),
            ('description = "d"\nhost = "h"\npassword = "p"', "unknown key 'password'"),
            ('description = "d"\nhost = "h"\ntarget = "pdp11"', "unknown target"),
            ('description = "d"\nhost = "h"\nport = "22"', "key 'port'"),
            ('description = "d"\nhost = "h"\nemulated = "cortex-a72"', "are called emulated-NAME"),
            ("host = ", "no readable TOML"),
        ],
    )
    def test_what_is_wrong_with_one_is_named(self, tmp_path: Path, text: str, found: str) -> None:
        (tmp_path / "d.toml").write_text(text)
        with pytest.raises(EdgeproofError, match=found):
            read_device(tmp_path / "d.toml")

    def test_one_that_only_says_how_to_recognise_a_machine_cannot_be_measured_on(self, tmp_path: Path) -> None:
        (tmp_path / "d.toml").write_text('description = "a laptop"\n[match]\ncpu = "*Celeron*"')
        with pytest.raises(EdgeproofError, match=r"d\.toml: has a \[match\] and no host: .* give it a host"):
            find_device(str(tmp_path / "d.toml"))

    @pytest.mark.parametrize(
        ("names", "found"),
        [("pdp11", "unknown device 'pdp11'"), ("pi4,pi4", "each once"), (",", "expected names"), ("host", "host")],
    )
    def test_an_unknown_device_is_code_2_before_anything_is_measured(self, tmp_path: Path, names: str, found: str) -> None:
        result = run_room("bench", "run", READY, "--device", names, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line
        assert list(tmp_path.iterdir()) == []

    def test_a_keras_file_is_for_no_device(self, tmp_path: Path) -> None:
        result = run_room("bench", "run", READY, "--device", "pi4", "--runtime", "keras", cwd=tmp_path)
        assert result.code == 2
        assert "none of the given files runs on a device" in result.error_line


def test_a_loopback_server_ends_with_the_run_that_started_it_even_when_that_is_killed(server: Loopback) -> None:
    assert server.port  # there is an sshd
    code = "import time\nfrom bench.loopback import loopback_server\n"
    code += "with loopback_server() as server:\n    print(server.process_id, flush=True)\n    time.sleep(600)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process_id = int(process.stdout.readline())
        assert not is_gone(process_id)
        process.kill()
    assert eventually(lambda: is_gone(process_id))


class TestFarSide:
    def test_is_written_for_python_3_7_and_the_standard_library_alone(self) -> None:
        tree = ast.parse(Path(far_side.__file__).read_text(), feature_version=(3, 7))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert names <= set(sys.stdlib_module_names)

    def test_ends_by_itself_and_ends_its_command_when_its_client_falls_silent(self, tmp_path: Path) -> None:
        source = Path(far_side.__file__).read_text().replace("QUIET_LIMIT_S = 60", "QUIET_LIMIT_S = 2")
        script = tmp_path / "far.py"
        script.write_text(source)
        busy = [
            sys.executable,
            "-c",
            f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)",
        ]
        requests = [{"id": 1, "op": "open", "folder": str(tmp_path / "f")}]
        requests += [{"id": 2, "op": "run", "argv": busy, "kill_after_s": 600}]
        with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
            process.stdin.flush()  # and it stays open: no end of file tells that nobody is there
            assert process.wait(PATIENCE_S) == 0
        assert not (tmp_path / "pid").exists() or eventually(lambda: is_gone(int((tmp_path / "pid").read_text() or 0)))

    def test_touches_nothing_outside_its_folder(self, tmp_path: Path) -> None:
        far = far_side.FarSide()
        far.folder = str(tmp_path / "f")
        for name in ("../x", "/etc/passwd", "a/../../x", ""):
            with pytest.raises(far_side.Refused, match="outside"):
                far.path(name)


@pytest.mark.parametrize(
    "output",
    ["", "[]", "{}", '{"runtime": "litert", "latency_ns": [-1], "startup_ns": [1, 2, 3]}', '{"latency_ns": "x"}', "\x00"],
)
def test_figures_that_cannot_be_are_refused(output: str) -> None:
    with pytest.raises(device_answers.RowCrashed, match="where measurements were expected"):
        device_answers.read_bench(output, "litert")


@pytest.mark.parametrize("line", ["{", "[]", '{"top": []}', '{"top": [{"label": "cat"}], "latency_ms": {"total": 1}}'])
def test_answers_that_are_none_are_refused(line: str) -> None:
    with pytest.raises(device_answers.RowCrashed, match="expected"):
        device_answers.read_answers(line, ["0", "1"], 1)
