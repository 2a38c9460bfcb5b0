"""Untrusted text: cards, labels and file names may come from anyone."""

from __future__ import annotations

import unicodedata

NEWLINE = "\n"
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they show text in another order
CONTROL_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # of Unicode: control characters, surrogates, line and paragraph separators


def printable(text: str, allow: str = "") -> str:
    """Return text that is safe to print on a terminal: control characters, except those in `allow`, become their escapes."""
    return "".join(
        letter.encode("unicode_escape").decode() if letter not in allow and is_control(letter) else letter for letter in text
    )


def is_control(letter: str) -> bool:
    """Say whether a terminal acts on a character, cannot encode it, or shows text in another order because of it."""
    return letter in BIDI_CONTROLS or unicodedata.category(letter) in CONTROL_CATEGORIES
