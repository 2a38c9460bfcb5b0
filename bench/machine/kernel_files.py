"""Reading /proc and /sys: a file that is not there, or holds something else than expected, is unknown."""

import re
from pathlib import Path

DIGITS = "[0-9]{1,18}"  # no figure of a kernel is longer; text that is would be refused by int()


def text_of(path: Path) -> str | None:
    """Return a file's text without white space around it; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def number_of(path: Path) -> int | None:
    """Return the whole number that is all of a file's text."""
    text = text_of(path)
    return int(text) if text is not None and re.fullmatch(f"-?{DIGITS}", text) else None


def hexadecimal_in(text: str) -> int | None:
    """Return the hexadecimal number that is all of a text, such as the bits of Raspberry Pi's firmware."""
    return int(text.strip(), 16) if re.fullmatch("(0x)?[0-9a-fA-F]{1,16}", text.strip()) else None
