"""A served model, and requests to it, well-formed or not."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device.card import CardlessOptions
from device.open_model import open_model
from device.serve.limits import Limits
from device.serve.page import load_page
from device.serve.server import Server, listening_socket
from device.serve.service import Service
from tests.conftest import ROOT

READY = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"
FOUR = ROOT / "data" / "ready" / "pictures" / "4" / "corner_shadow.jpg"
PATIENCE_S = 60


@dataclass(frozen=True)
class Answered:
    """A response: its status, its head in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serving(service: Service) -> Iterator[int]:
    """Serve at a free port; yields it."""
    server = Server(listening_socket("127.0.0.1", 0, service.limits.queue), service, load_page())
    server.start()
    try:
        yield server.port
    finally:
        server.end()


@contextmanager
def started(
    words: Sequence[str | Path], cwd: Path, python: str = sys.executable
) -> "Iterator[tuple[subprocess.Popen[str], int]]":
    """Start the command without the checkout on its path; yields the process and its port once it listens."""
    command = [python, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": ""}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.search(r"http://[^ ]+:(\d+)/ \(Ctrl-C ends it\)", line)
        try:
            assert found, (line, process.stderr.read())
            yield process, int(found[1])
        finally:
            process.kill()


def service_of(path: Path = READY, limits: Limits | None = None, min_score: float | None = None) -> Service:
    """Open a model as the command does."""
    session, card = open_model(path, CardlessOptions(), 1, None)
    return Service(session, card, card.min_score if min_score is None else min_score, 3, limits or Limits())


def exchange(port: int, data: bytes) -> Answered:
    """Send bytes, and read until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(data)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answered:
    """Read a response until the connection is closed; a byte that is sent after that ends it with a reset."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        if not received:
            raise
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answered(int(first.split()[1]), headers, body)


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Return a request as bytes; `headers` replace or add, "_" stands for "-", and an empty one is left out."""
    usual = {"Host": "localhost"} | ({} if body is None else {"Content_Length": str(len(body))})
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (usual | headers).items() if value]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + (body or b"")


def post(port: int, picture: bytes, query: str = "", **headers: str) -> Answered:
    """Send a picture as a program does."""
    return exchange(port, request("POST", f"/classify{query}", picture, **headers))
