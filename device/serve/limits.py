"""What a client of the server may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that a request may take, and how many there are at a time; all others wait."""

    body_bytes: int = 20_000_000
    pixels: int = 50_000_000  # a telephone's picture has 12 to 50 million
    pictures: int = 16  # bodies that are read, or kept until their turn comes: together a third of --max-memory-mb
    connections: int = 48  # browsers open some that they may never use
    queue: int = 1024  # connections that wait; Linux cuts it to net.core.somaxconn
    silence_s: float = 5.0  # without a byte from the client
    request_s: float = 30.0  # from the connection to the whole body; also until there is a place, and until its turn
