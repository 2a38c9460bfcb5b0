"""The files in a folder."""

from pathlib import Path


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]
