"""What a client of the server may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that one request may take, and how many are worked on at a time; all others wait in the system's queue."""

    body_bytes: int = 20_000_000
    pixels: int = 50_000_000  # a telephone's picture has 12 to 50 million
    requests: int = 16
    silence_s: float = 5.0  # without a byte from the client
    request_s: float = 30.0  # from the connection to the whole body, and again until the picture's turn comes
    queue: int = 1024  # connections that wait; Linux cuts it to net.core.somaxconn
