"""A child process for code that may crash: libraries that read untrusted files, and converters.

It does tasks one after another, keeps open files between them, and is started again after a crash: one process
for a whole run, so that a library is imported once. The output of the libraries goes to a log file, which is named where
something unexpected happens and removed otherwise.
"""

import os
import signal
import tempfile
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from common.extras import missing_extra
from common.files import make_temporary_files_in, scratch_folder
from common.memory import keep_freed_memory
from convert.reasons import reason_of
from device.errors import EXIT_INTERRUPTED, CheckFailed, EdgeproofError
from device.process import end_with_parent, leave_no_core_file

P = ParamSpec("P")
R = TypeVar("R")
Say = Callable[[str], None]
Kind = Literal["said", "done", "raised", "unexpected"]


LOGGED = "what the libraries said"  # before the log's path, after a crash or an unexpected exception of a library


class Crashed(CheckFailed):
    """The child process crashed during the task."""


class Unexpected(CheckFailed):
    """A library raised an unexpected exception."""


@dataclass
class Workplace:
    """The state of the child process: a function for messages, and what earlier tasks left open."""

    say: Say
    kept: dict[str, Any] = field(default_factory=dict)
    exit: ExitStack = field(default_factory=ExitStack)  # closed when the child ends normally


class Child:
    """One child process. A task must be a top-level function of a module, since it is sent by its name."""

    def __init__(self, say: Say, who: str = "the converter") -> None:
        """`who` is what the message about a crash calls it."""
        self._say, self._who = say, who
        self._process: BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._exit = ExitStack()
        self._scratch = self._exit.enter_context(scratch_folder())
        handle, name = tempfile.mkstemp(prefix="edgeproof-convert-", suffix=".log")
        os.close(handle)
        self._log, self._log_is_named = Path(name), False

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, _type: type | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        self._end(interrupted=isinstance(error, KeyboardInterrupt))
        self._exit.close()
        if not self._log_is_named:
            self._log.unlink(missing_ok=True)

    def run(self, task: Callable[Concatenate[Workplace, P], R], *arguments: P.args, **named: P.kwargs) -> R:
        """Do a task in the child and return its result; its messages are printed by this process.

        Raises what the task raises of EdgeproofError, OSError and MemoryError; Unexpected for anything else; Crashed.
        """
        kind, content = self._answer(task, arguments, named)
        if kind == "raised":
            raise content
        if kind != "done":
            raise Unexpected(f"{content}{self._see_log()}")
        result: R = content
        return result

    def _answer(self, *task: Any) -> tuple[str, Any]:
        """Send a task and return what ends it; its messages are printed meanwhile. Raises Crashed.

        What the task raises is not raised here: a ConnectionError of its own must not look like the end of the child.
        """
        try:
            connection = self._started()
            connection.send(task)
            while True:
                kind, content = connection.recv()
                if kind != "said":
                    return kind, content
                self._say(content)
        except (EOFError, ConnectionError) as error:
            raise Crashed(f"{self._died()}{self._see_log()}") from error

    def kill(self) -> None:
        """End the process at once, whatever it does; a task that runs in another thread then raises Crashed."""
        if self._process is not None:
            self._process.kill()

    def _started(self) -> "Connection[Any, Any]":
        if self._connection is None:
            context = get_context("spawn")  # TensorFlow does not survive a fork
            self._connection, child_end = context.Pipe()
            self._process = context.Process(
                target=_work, args=(child_end, self._log, self._scratch, os.getpid()), daemon=True
            )
            self._process.start()
            child_end.close()
        return self._connection

    def _see_log(self) -> str:
        self._log_is_named = True
        return f" ({LOGGED}: {self._log})"

    def _died(self) -> str:
        """Clear the state of the dead process and say how it ended."""
        process, self._process, self._connection = self._process, None, None
        assert process is not None
        process.join()
        code = process.exitcode or 0
        if code == -signal.SIGKILL:
            process_of = self._who if self._who.endswith("process") else f"{self._who}'s process"
            return f"{process_of} was killed: is there too little memory?"
        return f"{self._who} crashed ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"

    def _end(self, interrupted: bool) -> None:
        if self._process is None or self._connection is None:
            return
        with suppress(OSError):
            if interrupted and self._process.pid is not None:
                os.kill(self._process.pid, signal.SIGINT)  # if the terminal's Ctrl-C has not reached it
            self._connection.close()  # it ends when its parent is gone
        self._process.join()
        self._process, self._connection = None, None


def _alone(error: Exception) -> Exception:
    """Return an error without its causes: TensorFlow has them pickled too (by tblib), and to read them is to import it."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _work(connection: "Connection[Any, Any]", log: Path, scratch: Path, parent: int) -> None:
    """Do tasks until the parent is gone."""
    keep_freed_memory()
    make_temporary_files_in(scratch)
    end_with_parent()
    leave_no_core_file()
    if os.getppid() != parent:
        os._exit(1)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(handle, standard)

    def tell(kind: Kind, content: Any) -> None:
        connection.send((kind, content))

    workplace = Workplace(lambda line: tell("said", line))
    code = 0
    try:
        with workplace.exit:
            while True:
                task, arguments, named = connection.recv()
                try:
                    tell("done", task(workplace, *arguments, **named))
                except (EdgeproofError, OSError, MemoryError) as error:
                    tell("raised", _alone(error))
                except ImportError as error:
                    traceback.print_exc()
                    extra = missing_extra(error)
                    tell("raised", EdgeproofError(extra)) if extra else tell("unexpected", reason_of(error))
                except Exception as error:
                    traceback.print_exc()
                    tell("unexpected", reason_of(error))
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except (EOFError, ConnectionError):
        pass
    os._exit(code)  # Python with TensorFlow loaded takes long to end
