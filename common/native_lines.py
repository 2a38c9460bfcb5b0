"""Log lines of native libraries that are not meant for a user, and how they are kept from standard error.

Environment variables turn most of them off. TFLite and TensorFlow's quantizer have none, and TensorFlow writes
some lines before it reads its variable. Their output goes through a filter process, which drops the known lines and
passes all others on at once, even when this process crashes: no error message is lost.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from device.process import CHATTER

LEVEL, ERRORS_AS_EXCEPTIONS = "TF_CPP_MIN_LOG_LEVEL", "3"  # what TensorFlow logs of an error is in its exception too
END = b"\0end of what is filtered\n"  # closing the pipe is not enough: a process with a copy of the descriptor keeps it open
FILTER = f"""
import re, sys
chatter = re.compile({CHATTER.pattern!r})
for line in sys.stdin.buffer:
    text = line.removesuffix({END!r})
    if not chatter.match(text):
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()
    if text != line:
        break
"""


def ask_for_silence() -> None:
    """Set TensorFlow's variable, unless the user has set it. Call it before the import; child processes inherit it."""
    os.environ.setdefault(LEVEL, ERRORS_AS_EXCEPTIONS)


@contextmanager
def filtered() -> Iterator[None]:
    """Keep the known lines from standard error in this context, unless the user has turned the libraries' logs on."""
    kept = None
    if os.environ.get(LEVEL) == ERRORS_AS_EXCEPTIONS:
        with suppress(OSError):  # it is closed: there is nothing to filter
            kept = os.dup(2)
    if kept is None:
        yield
        return
    import subprocess

    command = [sys.executable, "-I", "-S", "-c", FILTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:  # Ctrl-C must not end it
        assert process.stdin is not None
        os.dup2(process.stdin.fileno(), 2)
        process.stdin.close()
        try:
            yield
        finally:
            sys.stderr.flush()
            os.write(2, END)
            os.dup2(kept, 2)
            os.close(kept)
