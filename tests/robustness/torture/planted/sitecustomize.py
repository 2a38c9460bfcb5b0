"""Counts what this process writes below a folder. At the N-th time it kills the process or reports a full disk.

EDGEPROOF_FAULT is kill:N:FOLDER, full:N:FOLDER (every time from the N-th on), count:FILE:FOLDER (into FILE, at the end) or
clock:0:FOLDER (the clock jumps back and forth, by days, weeks and years).
Python's audit events name each file that is opened to be written, moved or removed, before it is; libraries that write
without Python are not seen. Processes that this one starts are left alone.
"""

import atexit
import errno
import itertools
import os
import signal
import sys
import time
from typing import Any

MOVES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Fault:
    """What is to happen, and how often something was written so far."""

    def __init__(self, how: str, number: str, folder: str) -> None:
        self.how, self.number, self.folder, self.seen = how, number, folder + os.sep, 0
        if how == "clock":
            real, jumps = time.time, itertools.cycle([0.0, 1e6, -1e6, 86_400.0, -3e8])
            time.time = lambda: real() + next(jumps)
        if how == "count":
            atexit.register(self.tell)

    def tell(self) -> None:
        how, self.how = self.how, "told"
        assert how == "count"
        with open(self.number, "w", encoding="ascii") as file:  # noqa: PTH123  # pathlib is not needed for one file
            file.write(str(self.seen))

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & WRITES:
                return
        elif event not in MOVES:
            return
        name = arguments[1] if event == "os.rename" else arguments[0]
        if not isinstance(name, (str, bytes, os.PathLike)) or not os.path.abspath(os.fsdecode(name)).startswith(self.folder):  # noqa: PTH100
            return
        self.seen += 1
        if self.how == "kill" and self.seen == int(self.number):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "full" and self.seen >= int(self.number) and event not in ("os.remove", "os.rmdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(name))


if "EDGEPROOF_FAULT" in os.environ:
    sys.addaudithook(Fault(*os.environ.pop("EDGEPROOF_FAULT").split(":", 2)).hook)
