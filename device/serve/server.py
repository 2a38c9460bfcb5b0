"""The server: a listening socket, and threads that take connections from it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time

from device.errors import EdgeproofError
from device.serve.errors import tell
from device.serve.handler import answer_connection
from device.serve.page import Page
from device.serve.service import Service

GRACE_S = 3.0  # for the requests in work when the program is to end
STACK_BYTES = 2 << 20  # of a thread, and --max-memory-mb counts it
NO_DESCRIPTOR_S = 0.1
NOT_THIS_MACHINES = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)  # what bind says of such an address


def listening_socket(host: str, port: int, queue: int) -> socket.socket:
    """Listen at an address; port 0 is any that is free. Raises EdgeproofError where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":  # a port of a program that ended may be taken at once; Windows would share it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(queue)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise EdgeproofError(f"cannot listen at {host}, port {port}: {why}: {_advice(error)}") from error
    return listener


def _advice(error: Exception) -> str:
    """Say what to do: name another port, unless it is the address that is wrong."""
    if isinstance(error, (socket.gaierror, UnicodeError)) or getattr(error, "errno", None) in NOT_THIS_MACHINES:
        return "give --listen an address of this machine, or no ADDRESS for all of them"
    return "name another port, as --serve 8001 (0: any that is free)"


class Server:
    """Answers connections, as many at a time as the limits allow. The others wait in the listening socket's queue."""

    def __init__(self, listener: socket.socket, service: Service, page: Page) -> None:
        self._listener, self._service, self._page = listener, service, page
        self._ending = threading.Event()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(service.limits.connections)]

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Start the threads that answer."""
        before = threading.stack_size(STACK_BYTES)
        for worker in self._workers:
            worker.start()
        threading.stack_size(before)

    def run(self) -> None:
        """Answer until Ctrl-C; what is in work then is finished, for at most GRACE_S."""
        with contextlib.suppress(KeyboardInterrupt):
            self.start()  # the first threads answer already while others are started
            while not self._ending.wait(1):  # on Windows Ctrl-C waits for the end of a wait
                pass
        self.end()

    def end(self) -> None:
        """Take no more connections, and wait a moment for the requests in work."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the threads that wait for a connection
        end_s = time.monotonic() + GRACE_S
        for worker in self._workers:
            if worker.is_alive():  # one that was never started cannot be joined
                worker.join(max(0.0, end_s - time.monotonic()))
        self._listener.close()

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:  # the end, or no file descriptor is free
                self._ending.wait(NO_DESCRIPTOR_S)
                continue
            try:
                answer_connection(connection, address, self._service, self._page)
            except Exception as error:  # a defect must not end the thread: the next request is answered
                tell(f"a request failed: {error!r}")
