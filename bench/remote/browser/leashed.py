"""Starts a command that the kernel ends together with the process that wanted it: `leashed PARENT_ID COMMAND...`."""

import os
import sys

from device.process import end_with_parent


def main() -> None:
    """Become the command; what is set here stays with it."""
    end_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # without a shell, as everywhere


if __name__ == "__main__":
    main()
