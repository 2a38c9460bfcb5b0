"""Microcontroller boards: one TOML file in convert/boards/ for each, found by its name; or a file of one's own."""

from dataclasses import dataclass
from pathlib import Path

from common.paths import BOARDS
from common.toml_config import build, read_toml
from device.errors import EdgeproofError
from device.safe_text import printable

KIB = 1024
OWN_FILE = ".toml"


@dataclass(frozen=True)
class Board:
    """A board's processor and memory, as its makers' data sheets say them. Their kB and MB are 1,024 and 1,024 × 1,024."""

    name: str
    description: str
    core: str
    flash_kib: int
    ram_kib: int
    source: str  # the data sheets
    arena_kib: int = 0  # the largest block of RAM in one piece, where that is not all of it: an arena lies in one

    @property
    def flash_bytes(self) -> int:
        """Return the size of the flash in bytes."""
        return self.flash_kib * KIB

    @property
    def arena_limit_bytes(self) -> int:
        """Return the largest arena that there can be: all of the RAM, or its largest block."""
        return (self.arena_kib or self.ram_kib) * KIB

    @property
    def ram_text(self) -> str:
        """Return what the arena has to lie in."""
        return "RAM in one piece" if self.arena_kib else "RAM"


def board_names() -> list[str]:
    """Return the names of the boards: the files in convert/boards/."""
    return sorted(path.stem for path in BOARDS.glob("*.toml"))


def is_board(name: str) -> bool:
    """Say whether a name is that of a board, or a file of one's own."""
    return name.endswith(OWN_FILE) or _plain(name) in board_names()


def find_board(name: str) -> Board:
    """Return the board of that name ("pico-2" is pico2), or of a file that ends in .toml. Raises EdgeproofError."""
    if name.endswith(OWN_FILE):
        return read_board(Path(name))
    if _plain(name) not in board_names():
        raise EdgeproofError(
            f"{name!r} is no microcontroller's board: there are {', '.join(board_names())}, or name a file that ends in "
            ".toml; for a device that runs Python use `edgeproof convert bundle`"
        )
    return read_board(BOARDS / f"{_plain(name)}.toml")


def read_board(path: Path) -> Board:
    """Read a board's file. Raises EdgeproofError that names the file and the key."""
    board = build(Board, read_toml(path), str(path), name=path.stem)
    for key in ("flash_kib", "ram_kib"):
        if getattr(board, key) <= 0:
            raise EdgeproofError(f"{path}: key {key!r}: found {getattr(board, key)}, expected more than 0")
    if not 0 <= board.arena_kib <= board.ram_kib:
        raise EdgeproofError(f"{path}: key 'arena_kib': found {board.arena_kib}, expected at most ram_kib, {board.ram_kib}")
    for key in ("description", "core", "source"):
        text = getattr(board, key)
        if not text or printable(text) != text or "*/" in text:  # it gets into a comment of C
            raise EdgeproofError(f"{path}: key {key!r}: found {text!r:.60}, expected a text on one line, without */")
    return board


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "")
