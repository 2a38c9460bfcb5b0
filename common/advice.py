"""Commands that a message tells a person to type."""

import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """Return "edgeproof convert card 'My model.tflite'": to be copied into a shell as it stands."""
    return shlex.join(["edgeproof", *map(str, words)])
