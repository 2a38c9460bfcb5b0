"""One connection to a device: OpenSSH's own client, with bench/remote/agent.py at the other end.

The client notices a broken connection in 15 s (ServerAlive), the agent in 60 s. Host keys are checked, passwords
are never requested.
"""

import contextlib
import json
import secrets
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

from device.errors import CheckFailed

AGENT_SOURCE = Path(__file__).with_name("agent.py")
CONNECT_LIMIT_S = 60
BEAT_S = 5
LOOK_S = 0.5
GREETING_LIMIT_BYTES = 1 << 16  # that a device may print before it counts as broken
OLDEST_PYTHON = (3, 9)
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ControlPath": "none",
    "Compression": "yes",
}


@dataclass(frozen=True)
class Address:
    """The address of a device and how to log in."""

    name: str  # of the device, for messages
    host: str
    user: str = ""
    port: int = 22
    key: str = ""
    known_hosts: str = ""

    @property
    def command(self) -> list[str]:
        """Return the ssh command line up to the host."""
        options = dict(OPTIONS)
        if self.key:
            options["IdentitiesOnly"] = "yes"
        if self.known_hosts:
            options["UserKnownHostsFile"] = str(Path(self.known_hosts).expanduser())
        words = ["ssh", "-T", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
        words += ["-p", str(self.port)] if self.port != 22 else []
        words += ["-i", str(Path(self.key).expanduser())] if self.key else []
        words += ["-l", self.user] if self.user else []
        return [*words, "--", self.host]

    @property
    def by_hand(self) -> str:
        """Return the command that a person can type to try the same."""
        words = [f"-p {self.port}"] if self.port != 22 else []
        words += [f"-i {self.key}"] if self.key else []
        return " ".join(["ssh", *words, f"{self.user}@{self.host}" if self.user else self.host])


class DeviceLost(CheckFailed):
    """A device that cannot be measured; the message says why and what to do. Only this device's rows are lost."""


class ConnectionLost(DeviceLost):
    """A connection that broke: trying again may help."""


class DeviceRefused(DeviceLost):
    """A request that the agent refused."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Connection:
    """An agent that answers requests, one at a time."""

    def __init__(
        self,
        address: Address,
        python: Sequence[str],
        on_event: Callable[[Mapping[str, Any]], None],
        stopping: threading.Event,
    ) -> None:
        """Connect and start the agent with `python`; every wait ends when `stopping` is set.

        Raises DeviceLost that says what is wrong and what to do.
        """
        self.address, self._on_event, self._stopping = address, on_event, stopping
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the connection
        self._said = ""  # what ssh and the agent wrote on standard error, once it is closed
        self._lines: Queue[bytes | None] = Queue()
        self._writing, self._closing, self._closed, self._number = threading.Lock(), threading.Lock(), threading.Event(), 0
        source, token = AGENT_SOURCE.read_bytes(), secrets.token_hex(8)
        command = [*address.command, shlex.join([*python, "-c", _bootstrap(token, len(source))])]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
            )  # a session of its own: Ctrl-C reaches only the run, which closes its connections in order
        except OSError as error:
            raise DeviceLost(f"ssh cannot be started ({error.strerror}): install openssh-client") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.python = self._greet(token, python)
            self._write(source)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._beat, daemon=True).start()

    def ask(self, op: str, limit_s: float, data: bytes = b"", **request: Any) -> dict[str, Any]:
        """Send a request, with the bytes that belong to it, and return the answer.

        Raises DeviceRefused with the agent's reason, ConnectionLost where the connection breaks or is silent for
        `limit_s`, DeviceLost for an invalid answer.
        """
        self._number += 1
        self._write(json.dumps({"id": self._number, "op": op, **request}).encode() + b"\n" + data)
        end_s = None if limit_s == float("inf") else time.monotonic() + limit_s
        while True:
            answer = self._parse(self._next_line(end_s))
            if "event" in answer:
                self._on_event(answer)
                continue
            if answer.get("id") != self._number:
                raise DeviceLost(f"answered to request {answer.get('id')!r} where {self._number} was expected: run again")
            if "error" in answer:
                raise DeviceRefused(str(answer["error"]["kind"]), str(answer["error"]["message"]))
            return dict(answer["ok"])

    def close(self) -> None:
        """Close the connection: the agent then kills what it runs and ends."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
            with contextlib.suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._listener.join(2)
            self._said = self._read_errors()
            self._errors.close()

    # -- the connection

    def _greet(self, token: str, python: Sequence[str]) -> str:
        """Wait until the agent's Python prints its version, and skip what the device's shell prints before."""
        end_s, seen = time.monotonic() + CONNECT_LIMIT_S, b""
        while True:
            line = self._next_line(end_s, python)
            before, found, after = line.partition(token.encode())
            if found:
                break
            seen += before
            if len(seen) > GREETING_LIMIT_BYTES:
                start = seen[:60].decode("utf-8", "replace")
                raise DeviceLost(
                    f"gave an invalid answer that begins with {start!r}: look what `{self.address.by_hand} true` prints"
                )
        version = after.decode("ascii", "replace").strip()
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST_PYTHON:
            raise DeviceLost(
                f"its Python is {version}, classify.py needs {'.'.join(map(str, OLDEST_PYTHON))} or newer: "
                'update the system, or name another in the device\'s file: python = ["python3.11"]'
            )
        return version

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError), self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip()

    def _next_line(self, end_s: float | None, python: Sequence[str] = ()) -> bytes:
        while True:
            try:
                line = self._lines.get(timeout=LOOK_S)
            except Empty:
                if self._stopping.is_set():
                    raise ConnectionLost("interrupted") from None
                if end_s is not None and time.monotonic() > end_s:
                    raise ConnectionLost("gave no answer in time: is it overloaded, or out of memory?") from None
                continue
            if line is None:
                raise self._why_closed(python)
            return line

    def _why_closed(self, python: Sequence[str]) -> DeviceLost:
        code = self._process.wait()
        with self._closing:
            errors = self._said if self._closed.is_set() else self._read_errors()
        if code == 255 or self._closed.is_set():
            return _ssh_failure(errors, self.address)
        last = (errors.splitlines() or ["it said nothing"])[-1]
        if python and code in (126, 127):
            return DeviceLost(
                f"{python[0]} cannot be started there ({last}): install python3, or name it in the device's file"
            )
        return ConnectionLost(f"the agent ended with {code}: {last}")

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            start = line[:60].decode("utf-8", "replace")
            raise DeviceLost(f"answered {start!r} where JSON was expected: a program on it prints into the connection")
        return answer

    def _write(self, data: bytes) -> None:
        try:
            with self._writing:
                assert self._process.stdin is not None
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except (OSError, ValueError):  # reading the answer will say why
            return

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S) and self._process.poll() is None:
            self._write(b'{"op": "beat"}\n')


def _bootstrap(token: str, size: int) -> str:
    """Return the Python program that prints its version and then runs the `size` bytes that it reads.

    It is one line without quotes, for any login shell, and must be valid in the oldest Python.
    """
    code = (
        "import os,sys\n"
        f"os.write(1,('\\n{token}%d.%d.%d\\n'%sys.version_info[:3]).encode())\n"
        "b=b''\n"
        f"while len(b)<{size}:\n"
        f" c=os.read(0,{size}-len(b))\n"
        " if not c: sys.exit(0)\n"
        " b+=c\n"
        "exec(compile(b,'agent.py','exec'),{'__name__':'agent'})\n"
    )
    return f"import binascii;exec(binascii.unhexlify('{code.encode().hex()}'))"


def _ssh_failure(errors: str, address: Address) -> DeviceLost:
    """Turn the message of ssh into ours: what happened and what to do next."""
    last = (errors.splitlines() or ["the connection broke"])[-1]
    where = f"{address.host} port {address.port}" if address.port != 22 else address.host
    if "IDENTIFICATION HAS CHANGED" in errors:
        return DeviceLost(
            f"the host key of {where} is not the one that is known: another machine, or a new system on it. "
            f"If that is so: ssh-keygen -R {shlex.quote(_known_name(address))}, then `{address.by_hand}` once by hand"
        )
    if "Host key verification failed" in errors or "No matching host key" in errors:
        return DeviceLost(
            f"the host key of {where} is not known: connect once by hand with `{address.by_hand}` and compare it"
        )
    if "Permission denied" in errors:
        return DeviceLost(
            f"{where} refuses the key: copy one there with `ssh-copy-id` and name it in the device's file as key"
        )
    if "Could not resolve" in errors:
        return DeviceLost(f"no machine is called {address.host}: correct host in the device's file, or check that it is on")
    if "no such identity" in errors.lower() or "bad permissions" in errors.lower():
        return DeviceLost(f"the key {address.key} cannot be used ({last}): correct key in the device's file")
    if any(text in errors for text in ("refused", "timed out", "No route", "unreachable")):
        return ConnectionLost(f"{where} does not answer ({last}): check that it is on and runs an SSH server")
    return ConnectionLost(f"the connection to {where} was lost ({last})")


def _known_name(address: Address) -> str:
    return address.host if address.port == 22 else f"[{address.host}]:{address.port}"
