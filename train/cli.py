"""The one place where exceptions become a line on stderr and an exit code, for all rooms' commands."""

import os
import signal
import sys
from types import FrameType
from typing import Never

import click

from device.classify import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, EdgeproofError


def _terminated(_signal: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


def run_cli(command: click.Command, name: str) -> Never:
    """Run a click command and exit: 0 done, 1 failed, 2 unusable, 130 interrupted (Ctrl-C or SIGTERM)."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = command.main(prog_name=f"python -m {name}", standalone_mode=False)
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
        click.echo(f"{name}: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as in `... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_OK)
    except OSError as error:  # the doors know their files; this is what they did not think of, as a folder that is not ours
        click.echo(f"{name}: {error.filename or 'system'}: {error.strerror or error}", err=True)
        sys.exit(EXIT_USAGE)
    except MemoryError:
        click.echo(f"{name}: out of memory: close other programs or use fewer pictures", err=True)
        sys.exit(EXIT_FAILED)
