"""What native libraries write to file descriptor 2: sometimes the only place where they say what they did."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Catch file descriptor 2 meanwhile; yields what returns the text so far, then and later. It is passed on at the end."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        text = ""

        def so_far() -> str:
            if file.closed:
                return text
            file.seek(0)
            return file.read().decode(errors="replace")

        os.dup2(file.fileno(), 2)
        try:
            yield so_far
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            text = so_far()
            os.write(2, text.encode())
