"""Processes: a watched child, a limit of its memory, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable, NoReturn, Optional

# Log lines of native code that are no errors: from TFLite, absl (I, W) and TensorFlow's quantizer
CHATTER = re.compile(rb"INFO: |[IW]\d{4} \d\d:\d\d:\d+\.\d|WARNING: All log messages before absl|fully_quantize: ")
# Parameters of mallopt, as glibc's malloc.h has them: see mallopt(3)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
_log: Optional[int] = None  # a file in memory that this process shares with its watching parent


def reopen_closed_streams() -> None:
    """Open /dev/null as each standard stream that the caller closed.

    Else the next opened file would have its descriptor, and what is printed to standard error would go into that file or,
    as Python has it, to standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of the descriptors, lowest first
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115  # until the end
            os.set_inheritable(stream.fileno(), True)  # for the programs that this one starts
            setattr(sys, name, stream)


def supervised(command: Callable[[], int], tell_crash: Callable[[str], int]) -> int:
    """Run the command in a child process and end with its exit code; `tell_crash` gets the signal where the child crashes.

    A hostile file can crash C code and with it the process: then the parent is left to report it. The child is
    forked before a runtime is imported or a model opened, so that nothing is loaded twice.
    """
    if not (hasattr(os, "fork") and hasattr(signal, "sigwaitinfo")):
        return command()  # Windows and macOS
    _share_log()
    awaited = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = os.fork()
    if child == 0:
        end_with_parent()
        leave_no_core_file()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        end_at_once(command())
    code = _ended(child, awaited)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if code >= 0:
        end_at_once(code)
    if -code in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # ended on request: this process ends in the same way
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    _pass_log_on(2)
    return tell_crash(signal.Signals(-code).name)


def _share_log() -> None:
    """Make the file in which `without_chatter` keeps what native code writes."""
    global _log
    with suppress(AttributeError, OSError):  # not Linux, or a kernel without it: then nothing is kept back
        _log = os.memfd_create("log")


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep native code's log lines that are no errors from standard error; all other lines are passed on.

    The lines are in a file that the watching process has open too: where native code crashes, that process
    prints the last lines. In a process that is not watched nothing is kept back.
    """
    try:
        kept = None if _log is None else os.dup(2)
    except OSError:  # standard error is closed
        kept = None
    if kept is None or _log is None:
        yield
        return
    os.dup2(_log, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        _pass_log_on(2)


def _pass_log_on(to: int) -> None:
    if _log is None:
        return
    with suppress(OSError):  # standard error is closed or full
        os.lseek(_log, 0, os.SEEK_SET)
        with os.fdopen(os.dup(_log), "rb") as caught:
            lines = [line for line in caught if not CHATTER.match(line)]
        os.truncate(_log, 0)
        os.lseek(_log, 0, os.SEEK_SET)
        os.write(to, b"".join(lines))


def _ended(child: int, awaited: set[signal.Signals]) -> int:
    """Wait for the child, pass on signals that only this process got, and return its exit code or minus its signal."""
    while True:
        got = signal.sigwaitinfo(awaited)
        if got.si_signo != signal.SIGCHLD:
            if got.si_pid:  # sent by a process; the terminal's Ctrl-C has reached the child too
                os.kill(child, got.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)  # 0: it was only stopped, by Ctrl-Z
        if ended:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def end_at_once(code: int) -> NoReturn:
    """End this process at once: nothing is left to tidy up, and with a runtime loaded Python would take long to end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError):  # closed by the caller, or an error that was reported already
            stream.flush()
    os._exit(code)


def end_with_parent(parent_id: int = 0) -> None:
    """Let the kernel kill this process when its parent ends (Linux: prctl(2), PR_SET_PDEATHSIG).

    Where the parent `parent_id` has ended before this call, this process ends at once with 1.
    """
    import ctypes  # numpy has imported it already

    with suppress(AttributeError, TypeError):  # not Linux
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    if parent_id and os.getppid() != parent_id:
        os._exit(1)


def leave_no_core_file() -> None:
    """Make sure that this process leaves no core file when it crashes."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tune_malloc(settings: Mapping[int, int]) -> None:
    """Give these parameters of mallopt(3) their values; without glibc nothing is done. Call it before threads start."""
    import ctypes  # numpy has imported it already

    with suppress(AttributeError, OSError, TypeError):  # another C library, or Windows
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in settings.items():
            mallopt(parameter, value)


def confine_memory(limit_bytes: int) -> None:
    """Limit this process's own memory (RLIMIT_DATA, getrlimit(2)): an allocation beyond the limit fails at once."""
    try:
        import resource
    except ImportError:  # Windows: there is no limit
        return
    limit_bytes = min(limit_bytes, sys.maxsize)  # the most that the system counts: nothing has so much
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
