"""Why a request is not answered with what it asked for."""

from __future__ import annotations

import sys
from http import HTTPStatus

from device.safe_text import printable


class Refused(Exception):
    """A request that gets an error: the status, and what to do about it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class TooSlow(Exception):
    """The client was silent, or the request incomplete, for longer than the limits allow."""


def tell(text: str) -> None:
    """Say on standard error what went wrong in here, which is not the client's fault."""
    print(printable(f"classify.py: {text}"), file=sys.stderr, flush=True)
