"""One request: its path and method, its answer, and the head of the answer."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Callable, Optional

from device.serve.errors import Refused, TooSlow, tell
from device.serve.page import Page
from device.serve.request import PatientReader, body_length, check_sender, has_body, query_of
from device.serve.service import Service

LINGER_S = 2.0  # for a client that still sends what nobody reads: it would not see the answer
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NOTHING_LOADS = "default-src 'none'; frame-ancestors 'none'"  # the policy of what is no page


@dataclass(frozen=True)
class Response:
    """A status with its body."""

    status: HTTPStatus
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(status: HTTPStatus, document: Mapping[str, Any], **headers: str) -> Response:
    """Return a document as one JSON line."""
    return Response(status, json.dumps(document).encode() + b"\n", headers=headers)


def error_response(status: HTTPStatus, message: str, **headers: str) -> Response:
    """Return an error as one JSON line."""
    return json_response(status, {"error": message}, **headers)


class Handler(BaseHTTPRequestHandler):
    """Answers one request of one connection, then closes it."""

    server_version, sys_version = "edgeproof", ""
    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, address: Any, service: Service, page: Page) -> None:
        self._service, self._page = service, page
        self._routes: dict[str, tuple[str, Callable[[str], Response]]] = {
            "/": ("GET", self._show_page),
            "/model": ("GET", self._show_model),
            "/classify": ("POST", self._classify),
        }
        self._unread = True
        super().__init__(connection, address, None)  # type: ignore[arg-type]  # there is no socketserver

    def setup(self) -> None:
        """Prepare reading in time, and writing into memory."""
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = PatientReader(self.connection, self._service.limits)
        self.rfile = io.BufferedReader(self._reader)
        self.wfile = self._written = io.BytesIO()  # sent whole, in finish()
        self.command, self.requestline = "", ""  # if no head ever comes

    def handle(self) -> None:
        """Answer one request, then close the connection."""
        self.close_connection = True
        try:
            self.handle_one_request()
        except TooSlow:
            self._unread = False
            self._send(error_response(HTTPStatus.REQUEST_TIMEOUT, "the request did not come: send it whole, and at once"))

    def finish(self) -> None:
        """Send the answer. Where the client still sends, let it: if the connection were cut, it would not see the answer."""
        self.connection.settimeout(self._service.limits.silence_s)
        self.connection.sendall(self._written.getvalue())
        if not self._unread:
            return
        self.connection.shutdown(socket.SHUT_WR)
        end_s = time.monotonic() + LINGER_S
        while (left_s := end_s - time.monotonic()) > 0:
            self.connection.settimeout(left_s)
            if not self.connection.recv(65536):
                return

    def handle_expect_100(self) -> bool:
        """Return True, to go on: "100 Continue" is sent before the body is read, if it is."""
        return True

    def log_message(self, *_: Any) -> None:
        """Say nothing of single requests."""

    def send_error(self, code: int, message: Optional[str] = None, explain: Optional[str] = None) -> None:
        """Answer what the base class refuses in the form of all other errors."""
        self._send(error_response(HTTPStatus(code), message or explain or HTTPStatus(code).phrase))

    def _answer(self) -> None:
        self._unread = has_body(self.headers)
        try:
            response = self._routed()
        except Refused as refused:
            response = error_response(refused.status, str(refused))
        except (OSError, TooSlow):
            raise
        except MemoryError:  # other pictures have it, or this one is too large
            response = error_response(HTTPStatus.SERVICE_UNAVAILABLE, "out of memory: send it later, or a smaller picture")
        except Exception as error:  # a defect in here: the client is told that there is one, and the next one is answered
            tell(f"a request failed: {error!r}")
            response = error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "this program has a defect: see what it printed")
        self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _routed(self) -> Response:
        check_sender(self.headers)
        path, _, query = self.path.partition("?")
        method, reply = self._routes.get(path, ("", None))
        if reply is None:
            return error_response(HTTPStatus.NOT_FOUND, f"there is no {path[:40]!r}: there are {', '.join(self._routes)}")
        if self.command != method and (self.command, method) != ("HEAD", "GET"):
            return error_response(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {method}", Allow=method)
        return reply(query)

    def _show_page(self, _: str) -> Response:
        policy = {"Content-Security-Policy": self._page.policy, "Permissions-Policy": "camera=(self), microphone=()"}
        return Response(HTTPStatus.OK, self._page.html, "text/html; charset=utf-8", policy)

    def _show_model(self, _: str) -> Response:
        return json_response(HTTPStatus.OK, self._service.facts())

    def _classify(self, query: str) -> Response:
        wanted = query_of(query, {"top": self._service.top, "prepared": 0})
        length = body_length(self.headers, self._service.limits.body_bytes)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        with self._service.place():
            self._reader.begin()
            picture = self.rfile.read(length)
            self._unread = False
            if len(picture) < length:
                ended = f"the body ended after {len(picture)} of {length} bytes: send it again"
                raise Refused(HTTPStatus.BAD_REQUEST, ended)
            return json_response(*self._service.answer(picture, wanted["top"], bool(wanted["prepared"])))

    def _send(self, response: Response) -> None:
        self.request_version = self.protocol_version  # a head also for a client that speaks something else
        self.send_response(response.status)
        rest = {"Content-Type": response.kind, "Content-Length": str(len(response.body)), "Connection": "close"}
        for name, value in {"Content-Security-Policy": NOTHING_LOADS, **HEADERS, **rest, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)


def answer_connection(connection: socket.socket, address: Any, service: Service, page: Page) -> None:
    """Answer one connection and close it; a client that went away is none of our business."""
    with connection, suppress(OSError):
        Handler(connection, address, service, page)
