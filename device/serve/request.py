"""Reading a request: whom it is meant for, how long it may take, and its body."""

from __future__ import annotations

import io
import ipaddress
import socket
import time
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from typing import Any, Optional
from urllib.parse import SplitResult, parse_qsl, urlsplit

from device.serve.errors import Refused, TooSlow
from device.serve.limits import Limits

LEAST = {"top": 1}  # of the numbers in a query, if it is not 0
LONGEST_NUMBER = 18  # digits: a longer one is no size that anything has


class PatientReader(io.RawIOBase):
    """A connection's bytes, until the client is silent or the request as a whole takes too long: then TooSlow."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        super().__init__()
        self._connection, self._limits = connection, limits
        self.begin()

    def begin(self) -> None:
        """Count the request's time from now on: what it waited in here does not count."""
        self._end_s = time.monotonic() + self._limits.request_s

    def readable(self) -> bool:
        """Return True: io.BufferedReader asks for it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes, 0 at the end. Raises TooSlow."""
        left_s = min(self._limits.silence_s, self._end_s - time.monotonic())
        if left_s <= 0:
            raise TooSlow
        self._connection.settimeout(left_s)
        try:
            return self._connection.recv_into(buffer)
        except socket.timeout as error:  # noqa: UP041  # another class than TimeoutError in Python 3.9
            raise TooSlow from error


def check_sender(headers: Message) -> None:
    """Raise Refused for a request that a page of somebody else makes a browser send.

    A name that its owner points at this machine (DNS rebinding) stands in Host: only addresses, which nobody can point
    elsewhere, and this machine's own names are answered. Any other page's requests have another Origin.
    """
    host = headers.get("Host")
    if host is None or not _is_own(_split(f"//{host}").hostname or ""):
        raise Refused(HTTPStatus.FORBIDDEN, f"Host {host!r} is not this machine: use its address, or localhost")
    origin = headers.get("Origin")
    same = headers.get("Sec-Fetch-Site") == "same-origin" or origin is None or _split(origin).netloc == host
    if not same:
        raise Refused(HTTPStatus.FORBIDDEN, f"Origin {origin!r} is another page: open this program's own")


def _split(address: str) -> SplitResult:
    """Return the parts of an address, all empty where it is none: such as one with half a pair of brackets."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _is_own(name: str) -> bool:
    here = socket.gethostname().lower()
    if name in ("localhost", here, f"{here}.local"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def has_body(headers: Message) -> bool:
    """Say whether a body follows the head."""
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def body_length(headers: Message, max_bytes: int) -> int:
    """Return the length of the body in bytes. Raises Refused where it is not said, too large, or no picture's."""
    if "Transfer-Encoding" in headers:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "a body in chunks: send it whole, with its Content-Length")
    said = headers.get_all("Content-Length") or []
    if not said:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "no Content-Length: send a picture as the body")
    number = said[0].strip()
    if len(set(said)) > 1 or not (number.isascii() and number.isdigit()):
        raise Refused(HTTPStatus.BAD_REQUEST, f"Content-Length {', '.join(said)[:40]!r} is no number")
    if len(number) > LONGEST_NUMBER or int(number) > max_bytes:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {number[:LONGEST_NUMBER]} bytes, at most {max_bytes:,} are read: send a smaller picture",
        )
    if headers.get_content_maintype() == "multipart":
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is a form: send the picture itself (curl --data-binary @FILE)"
        )
    return int(number)


def query_of(text: str, known: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers of a query, `top=5&prepared=1`, and those of `known` that it leaves out. Raises Refused."""
    found = dict(known)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=10) if text else []
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the query {text[:40]!r} cannot be read") from error
    for name, value in pairs:
        number = _number(value)
        if name not in known or number is None or number < LEAST.get(name, 0):
            may = " and ".join(f"{each}=NUMBER" + (f" from {LEAST[each]}" if each in LEAST else "") for each in known)
            raise Refused(HTTPStatus.BAD_REQUEST, f"the query has {f'{name}={value}'[:40]!r}, there are {may}")
        found[name] = number
    return found


def _number(text: str) -> Optional[int]:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None
