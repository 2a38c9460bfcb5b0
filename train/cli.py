"""The one place where exceptions become a line on stderr and an exit code, for all rooms' commands."""

import os
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from types import FrameType
from typing import Never

import click

from device.classify import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    NEWLINE,
    EdgeproofError,
    printable,
    reopen_closed_output,
)

INTERRUPTS_AT_MOST = 2


def _terminated(_signal: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


def _end_at_the_second_interrupt(name: str) -> None:
    """Let the first Ctrl-C stop in order and a second one at once, also where the main thread is deep in a library.

    Python's own handler waits for the library to return; the byte that the C handler writes for each signal does not.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        interrupts = 0
        while interrupts < INTERRUPTS_AT_MOST:
            interrupts += os.read(reading, 64).count(signal.SIGINT)
        os.write(2, f"{name}: interrupted again: stopped at once\n".encode())
        os._exit(EXIT_INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a shell's background job
        threading.Thread(target=watch, daemon=True).start()


def _say_what_the_system_refused(error: OSError, name: str) -> None:
    """Print what could not be read or written and why. A write that fails names no file; the rooms' own files are named."""
    where = error.filename or f"standard output, or a scratch file in {tempfile.gettempdir()}"
    with suppress(OSError):  # standard error may be on the same full disk
        click.echo(f"{name}: {where}: {error.strerror or error}: make room, or choose another place", err=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's own end would stumble over it again


def run_cli(command: click.Command, name: str) -> Never:
    """Run a click command and exit: 0 done, 1 failed, 2 unusable, 130 interrupted (Ctrl-C or SIGTERM)."""
    reopen_closed_output()
    signal.signal(signal.SIGTERM, _terminated)
    _end_at_the_second_interrupt(name)
    try:
        code = command.main(prog_name=f"python -m {name}", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else EXIT_OK)
    except click.exceptions.Abort:
        click.echo(f"{name}: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        click.echo(f"{name}: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except EdgeproofError as error:
        click.echo(f"{name}: {printable(str(error), keep=NEWLINE)}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as in `... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_OK)
    except OSError as error:  # what no room has turned into a message of its own: a full disk, most likely
        _say_what_the_system_refused(error, name)
        sys.exit(EXIT_FAILED)
    except MemoryError:
        click.echo(f"{name}: out of memory: close other programs or use fewer pictures", err=True)
        sys.exit(EXIT_FAILED)
    finally:  # what ends now ends at once at a further signal: an exception in Python's own end would be a traceback
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
