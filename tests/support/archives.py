"""ZIP archives that cannot be read, each named by its defect."""

import zipfile
from collections.abc import Callable
from pathlib import Path

MEMBER, CONTENT = "m.tflite", bytes(range(256)) * 40


def _packed(path: Path, method: int) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(MEMBER, CONTENT)
    return bytearray(path.read_bytes())


def _defective(method: int, change: Callable[[bytearray], object]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        data = _packed(path, method)
        change(data)
        path.write_bytes(data)
        return path

    return write


def _encrypt(data: bytearray) -> None:
    """Set the flag of a password in both heads."""
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1


def _overwrite(data: bytearray) -> None:
    """Damage the packed content behind its first bytes."""
    start = 30 + len(MEMBER) + 12
    data[start : start + 60] = b"\xff" * 60


def _name_unknown_method(data: bytearray) -> None:
    data[8] = data[data.index(b"PK\1\2") + 10] = 77


def _point_outside(data: bytearray) -> None:
    """Let the member begin where no file has a place."""
    at = data.index(b"PK\1\2") + 42
    data[at : at + 4] = b"\xfe\xff\xff\xff"


UNREADABLE: dict[str, Callable[[Path], Path]] = {
    "encrypted": _defective(zipfile.ZIP_DEFLATED, _encrypt),
    "damaged deflate": _defective(zipfile.ZIP_DEFLATED, _overwrite),
    "damaged LZMA": _defective(zipfile.ZIP_LZMA, _overwrite),
    "damaged bzip2": _defective(zipfile.ZIP_BZIP2, _overwrite),
    "unknown method": _defective(zipfile.ZIP_DEFLATED, _name_unknown_method),
    "member outside": _defective(zipfile.ZIP_DEFLATED, _point_outside),
    "cut off": _defective(zipfile.ZIP_STORED, lambda data: data.__delitem__(slice(200, 400))),
    "no directory": _defective(zipfile.ZIP_STORED, lambda data: data.__delitem__(slice(-60, None))),
}
