"""A connection to a device that reconnects when it breaks: every request may be repeated."""

import contextlib
import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.remote.ssh import Address, Connection, ConnectionLost, DeviceRefused

PATIENCE_S = (1, 2, 4, 8, 15, 30)  # between tries; long enough for a board to restart
LOSSES_AT_A_REQUEST = 3
SHORT_S = 60.0


class Link:
    """A locked device. Use it as a context manager: its end frees the lock."""

    def __init__(
        self, address: Address, python: Sequence[str], folder: str, say: Callable[[str], None], stopping: threading.Event
    ) -> None:
        """Connect and take the lock; wait while another run has it. Raises DeviceLost."""
        self._address, self._python, self._folder = address, python, folder
        self._say, self._stopping = say, stopping
        self.facts: dict[str, Any] = {}
        self.pushed_bytes = 0
        self._connection = self._connect()

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the device then ends what it runs. May be called from another thread."""
        self._connection.close()

    def ask(self, op: str, limit_s: float = SHORT_S, data: bytes = b"", **request: Any) -> dict[str, Any]:
        """Ask the agent; reconnect and ask again where the connection was lost. Raises DeviceLost."""
        for loss in range(1, LOSSES_AT_A_REQUEST + 1):
            try:
                return self._connection.ask(op, limit_s, data, **request)
            except ConnectionLost as error:
                if self._stopping.is_set() or loss == LOSSES_AT_A_REQUEST:
                    raise
                self._say(f"{error}: trying again")
                self._reconnect()
        raise AssertionError("unreachable")

    def push(self, path: str, data: bytes, sha256: str, unpack: bool = False) -> None:
        """Put a file on the device; it gets its name when it is complete. Raises DeviceLost."""
        limit_s = SHORT_S + len(data) / 50_000  # enough for a slow wireless link
        try:
            self.ask("put", limit_s, data, path=path, size=len(data), sha256=sha256, unpack=unpack)
        except DeviceRefused as refusal:
            if refusal.kind != "disk_full":
                raise
            raise DeviceRefused(refusal.kind, disk_full_text(self.facts["folder"], len(data))) from refusal
        self.pushed_bytes += len(data)

    def _reconnect(self) -> None:
        self._connection.close()
        for number, wait_s in enumerate(PATIENCE_S):
            if self._stopping.wait(wait_s):
                raise ConnectionLost("interrupted")
            try:
                self._connection = self._connect()
            except ConnectionLost:
                if number == len(PATIENCE_S) - 1:
                    raise
            else:
                self._say("connected again, continuing")
                return

    def _connect(self) -> Connection:
        connection = Connection(self._address, self._python, self._hear, self._stopping)
        try:
            self.facts = connection.ask("open", SHORT_S, folder=self._folder)
            self.facts["clock_off_s"] = float(self.facts["time_s"]) - time.time()
            owner = {
                "who": f"{getpass.getuser()}@{socket.gethostname()}",
                "process": os.getpid(),
                "since_s": int(time.time()),
            }
            connection.ask("lock", float("inf"), owner=json.dumps(owner))
        except BaseException:
            connection.close()
            raise
        return connection

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event.get("event") != "waiting":
            return
        holder = "another run"
        with contextlib.suppress(ValueError, TypeError, KeyError):
            said = json.loads(str(event["text"]))
            minutes = (time.time() - float(said["since_s"])) / 60
            holder = f"the run of {said['who']} (process {said['process']}, {minutes:.0f} minutes)"
        self._say(f"waiting for {holder} to finish there")


def disk_full_text(folder: str, needed_bytes: int) -> str:
    """Say that a device's disk is full, and what to do."""
    return (
        f"its disk is full: {needed_bytes / 1e6:,.1f} MB more are needed in {folder}: "
        "free some space there (df -h), or name another folder in the device's file"
    )
