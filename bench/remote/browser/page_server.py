"""Serves pages on the loopback: to those alone who know a visit's token, and isolated: for a fine clock and for threads."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.remote.browser.visit import Visit
from bench.runtimes.browser import browser_runtime_names, script_of

PAGE = Path(__file__).resolve().parent / "page"
LOOPBACK = "127.0.0.1"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
}
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
KEPT = "private, max-age=3600"  # what is fetched first and opened afterwards; its address is another in each visit
NOT_KEPT = "no-store"


class PageServer(ThreadingHTTPServer):
    """The visits that are awaited, by their tokens."""

    daemon_threads = True

    def __init__(self, packages: Path) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.packages = packages.resolve()
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that went away."""

    def visit_of(self, token: str) -> Visit | None:
        """Return the visit of a token, or None."""
        with self._lock:
            return self._visits.get(token)

    @contextmanager
    def awaiting(self, visit: Visit) -> Iterator[str]:
        """Serve a visit while the block runs; yields the address of its page."""
        with self._lock:
            self._visits[visit.token] = visit
        try:
            yield f"http://{LOOPBACK}:{self.server_port}/{visit.token}/"
        finally:
            with self._lock:
                del self._visits[visit.token]


@contextmanager
def serving(packages: Path) -> Iterator[PageServer]:
    """Serve at a free port of the loopback."""
    with PageServer(packages) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: PageServer
    server_version, sys_version = "edgeproof", ""
    protocol_version = "HTTP/1.1"
    timeout = 60  # a client that opened a connection and says nothing

    def log_message(self, *_: Any) -> None:
        """Say nothing of single requests."""

    def do_GET(self) -> None:  # the base class calls it
        found = self._visited()
        if found is None:
            return
        visit, name = found
        first, _, rest = name.partition("/")
        if name in ("", "device.js"):
            self._send_file(PAGE / (name or "index.html"))
        elif name == "task":
            self._send(json.dumps(visit.task.to_json()).encode(), ".json")
        elif name == "model":
            self._send_needed(visit, visit.task.model)
        elif first == "tensors" and rest.isdecimal() and len(rest) < 10:
            self._send(visit.task.tensor_bytes(int(rest)), "")
        elif name.removesuffix(".js") in browser_runtime_names():
            self._send_file(script_of(name.removesuffix(".js")))
        elif first == "npm":
            self._send_package(visit, rest)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        found = self._visited()
        if found is None:
            return
        visit, name = found
        length = self.headers.get("Content-Length", "")
        if name != "result" or not length.isdecimal():
            self._refuse(HTTPStatus.NOT_FOUND if name != "result" else HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > visit.task.max_result_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif not visit.take(self.rfile.read(int(length))):
            self._refuse(HTTPStatus.CONFLICT)
        else:
            self._send(b"", "")

    def _visited(self) -> tuple[Visit, str] | None:
        """Return the visit that the address names, and what is wanted of it; without one, the answer is given."""
        token, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
        visit = self.server.visit_of(token)
        # By its address, not by a name that somebody has bent to this machine
        here = self.headers.get("Host") == f"{LOOPBACK}:{self.server.server_port}"
        if visit is None or not here:
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        visit.seen()
        return visit, name

    def _send_package(self, visit: Visit, name: str) -> None:
        path = (self.server.packages / name).resolve()
        if path.is_relative_to(self.server.packages) and path.is_file():
            self._send_needed(visit, path)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _send_needed(self, visit: Visit, path: Path) -> None:
        """Send a file that an application in a browser would have to download, too."""
        visit.fetched[path] = path.stat().st_size
        self._send_file(path, KEPT)

    def _send_file(self, path: Path, keep: str = NOT_KEPT) -> None:
        self._send(path.read_bytes(), path.suffix, keep)

    def _send(self, body: bytes, suffix: str, keep: str = NOT_KEPT) -> None:
        self.send_response(HTTPStatus.OK)
        kind = KINDS.get(suffix, "application/octet-stream")
        for name, value in {**HEADERS, "Content-Type": kind, "Cache-Control": keep}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # a body may still come, which nobody reads
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
