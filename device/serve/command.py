"""The command `--serve`: open the model, listen, say where, answer until Ctrl-C."""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
from contextlib import suppress

from device.commands import cardless_options, least_score
from device.errors import EXIT_INTERRUPTED
from device.open_model import open_model
from device.process import M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, tune_malloc
from device.safe_text import printable
from device.serve.limits import Limits
from device.serve.page import load_page
from device.serve.server import Server, listening_socket
from device.serve.service import Service

LOOPBACK = "127.0.0.1"
GIVING_BACK = {M_ARENA_MAX: 1, M_MMAP_THRESHOLD: 8 << 20, M_TRIM_THRESHOLD: 32 << 20}  # one arena for all threads; bytes
TEST_NET = ("192.0.2.1", 9)  # RFC 5737: an address of nobody


def serve(arguments: argparse.Namespace) -> int:
    """Serve the page and the address for programs. The model is opened and tried before anything listens."""
    tune_malloc(GIVING_BACK)  # else malloc keeps a large picture's memory for its thread, and nothing is left for others
    page, limits = load_page(), Limits()
    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    service = Service(session, card, least_score(arguments, card), arguments.top, limits)
    service.warm_up()
    host = arguments.listen or LOOPBACK
    server = Server(listening_socket(host, arguments.serve, limits.queue), service, page)
    where = f"http://{_shown(host)}:{server.port}/"
    print(printable(f"{card.model} {card.variant} in {session.runtime}: {where} (Ctrl-C ends it)"), flush=True)
    if arguments.listen:
        print("everybody who reaches this machine can use it, without a password", file=sys.stderr)
    server.run()
    return EXIT_INTERRUPTED


def _shown(host: str) -> str:
    """Return what to type into a browser: where it listens at every address, that of the network in use."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return host
    if not address.is_unspecified:
        return f"[{host}]" if address.version == 6 else host
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(TEST_NET)  # sends nothing: it chooses the way, and with it the own address
        return str(probe.getsockname()[0])
    return socket.gethostname()
