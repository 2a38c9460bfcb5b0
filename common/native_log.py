"""What native libraries write to standard error: some information is nowhere else."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Capture standard error; yields a function that returns the text so far, then and later. At the end it is passed on."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        text = ""

        def so_far() -> str:
            if file.closed:
                return text
            # Not seek and read: they move the offset that descriptor 2 shares, at which a library's thread may be writing
            return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")

        os.dup2(file.fileno(), 2)
        try:
            yield so_far
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            text = so_far()
            os.write(2, text.encode())
