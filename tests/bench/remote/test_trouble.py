"""Connections that break, devices that die."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.remote.device_config import read_device
from bench.remote.loopback_sshd import Loopback
from bench.remote.reconnecting_link import Link
from convert.deployment.one_file import NAME, device_archive
from tests.conftest import ROOT
from tests.support.devices import arguments, device_file, measure, patched_python
from tests.support.processes import PATIENCE_S, eventually, is_gone


def wrapped_python(folder: Path, script: str) -> str:
    """Return a command that is this Python after a few lines of shell."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n{script}\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


HANG_ONCE = 'case "$*" in *--bench*) if mkdir "{0}/hung" 2>/dev/null; then echo $$ > "{0}/pid"; exec sleep 600; fi;; esac'


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
    @pytest.mark.slow
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

    @pytest.mark.slow
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

    @pytest.mark.slow
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
        size = len(device_archive()) + 60_000  # room for the program, and not for the model
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(f"no small disk can be made here: {mounted.stderr.decode().strip()}: run the tests as root")
        try:
            result, results = measure(device_file(tmp_path, server, folder=str(small / "far")), pictures=pictures)
            whole = [path.name for path in small.rglob("*") if path.is_file() and path.name != "lock"]
        finally:
            subprocess.run(["umount", "-l", small], check=True)
        assert result.code == 1
        assert "its disk is full" in results.skipped[0].reason
        assert "free some space there" in results.skipped[0].reason
        assert whole == [NAME]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("script", "found"),
        [
            ("yes", "gave an invalid answer that begins with"),
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
        assert found in results.skipped[0].reason

    @pytest.mark.slow
    def test_what_a_shell_prints_at_login_does_no_harm(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        python = wrapped_python(tmp_path, 'case "$*" in *unhexlify*) echo "Welcome to {board}"; echo;; esac')
        result, results = measure(device_file(tmp_path, server, python=[python]), pictures=pictures)
        assert result.code == 0, result.stderr
        assert len(results.rows) == 1

    @pytest.mark.slow
    def test_a_wrong_clock_is_said_and_changes_no_figure(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        python = patched_python(tmp_path, "import time\nreal = time.time\ntime.time = lambda: real() - 3e8\n")
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 0, result.stderr
        assert "clock is -300,000,00" in result.stdout
        assert results.environments["board"].health["clock_off_s"] == pytest.approx(-3e8, abs=60)
        assert 0 < results.rows[0].latency.p50.ms < 10_000

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
        assert found in results.skipped[0].reason

    def test_another_host_key_than_the_known_one_is_refused(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
        other = (tmp_path / "other.pub").read_text().split()[:2]
        (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
        result, results = measure(device_file(tmp_path, server, known_hosts=str(tmp_path / "known")), pictures=pictures)
        assert result.code == 1
        assert "is not the one that is known" in results.skipped[0].reason
        assert "ssh-keygen -R" in results.skipped[0].reason

    def test_an_older_python_is_named(self, server: Loopback, pictures: Path, tmp_path: Path) -> None:
        python = patched_python(tmp_path, "import sys\nsys.version_info = (3, 7, 3)\n")
        _, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert "its Python is 3.7.3, classify.py needs 3.9 or newer" in results.skipped[0].reason
