"""The one place where exceptions become a line on stderr and an exit code, for all commands."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, Never

import click

from common import progress
from common.native_lines import ask_for_silence
from device.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, EdgeproofError
from device.process import reopen_closed_streams
from device.safe_text import NEWLINE, printable

INTERRUPTS_AT_MOST = 2
MAX_NUMBER = 1e9  # of a number that is given: of seconds a life, of kB or MB more than anything has
SEEDS = click.IntRange(0, 2**31 - 1)  # numpy takes 32 bits, and some seeds are made by counting on


class Number(click.FloatRange):
    """A number in a range, at most MAX_NUMBER. Click's own takes NaN, which is on no side of a border, and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not abs(number) <= MAX_NUMBER:
            self.fail(f"{value} is no number up to {MAX_NUMBER:g}.", param, ctx)
        return number


def count_from(least: int) -> click.IntRange:
    """Return the type of a number of things, at most MAX_NUMBER: more overflows in the system's calls."""
    return click.IntRange(least, int(MAX_NUMBER))


def is_name(text: str) -> bool:
    """Say whether a --name may be a part of a folder's: it leads to no other folder, and a card can hold it."""
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum()


class Commands(click.Group):
    """A group whose --help lists each command with the whole first sentence of its own help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for --help."""
        rows = [(name, first_sentence(self.commands[name])) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def first_sentence(command: click.Command) -> str:
    """Return the summary of a command: the first paragraph of its help, on one line."""
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _terminated(_signal: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


def _end_at_the_second_interrupt(name: str) -> None:
    """Let the first Ctrl-C stop the run in order and the second one at once, even while the main thread is inside a library.

    Python's own handler waits for the library to return; the byte that the C handler writes for each signal does not.
    """
    import threading

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        interrupts = 0
        while interrupts < INTERRUPTS_AT_MOST:
            interrupts += os.read(reading, 64).count(signal.SIGINT)
        os.write(2, f"{name}: interrupted again: stopped at once\n".encode())
        os._exit(EXIT_INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # ignored, as in a shell's background job
        threading.Thread(target=watch, daemon=True).start()


def _say_what_the_system_refused(error: OSError, name: str) -> None:
    """Print what could not be read or written and why. A failed write does not name its file."""
    import tempfile

    from common.files import NO_SPACE

    where = error.filename or f"standard output, or a scratch file in {tempfile.gettempdir()}"
    full = error.errno in NO_SPACE or not error.filename
    advice = "free some space, or choose another place" if full else "look whether it is there and may be used"
    with suppress(OSError):  # standard error may be on the same full disk
        click.echo(f"{name}: {where}: {error.strerror or error}: {advice}", err=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python would fail again when it flushes at exit


def _main(command: click.Command, program: str) -> object:
    """Run a click command. Raises EdgeproofError, too, where it needs an extra that is not installed."""
    try:
        return command.main(prog_name=program, standalone_mode=False)
    except ImportError as error:
        from common.extras import missing_extra

        said = missing_extra(error)
        if said is None:
            raise
        raise EdgeproofError(said) from error


def run_cli(command: click.Command, name: str, program: str = "") -> Never:
    """Run a click command and exit: 0 done, 1 failed, 2 unusable, 130 interrupted (Ctrl-C or SIGTERM).

    `program` is what a person typed to start it, `python -m NAME` without it.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # Python that is started from here on: not from the working directory
    reopen_closed_streams()
    ask_for_silence()
    progress.show_progress()
    signal.signal(signal.SIGTERM, _terminated)
    _end_at_the_second_interrupt(name)
    try:
        code = _main(command, program or f"python -m {name}")
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
        click.echo(f"{name}: {printable(str(error), allow=NEWLINE)}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as in `... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_OK)
    except OSError as error:  # not turned into a message of its own by a command: most likely a full disk
        _say_what_the_system_refused(error, name)
        sys.exit(EXIT_FAILED)
    except MemoryError:
        click.echo(f"{name}: out of memory: close other programs or use fewer pictures", err=True)
        sys.exit(EXIT_FAILED)
    finally:  # a further signal now ends it at once: an exception during Python's exit would print a traceback
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
