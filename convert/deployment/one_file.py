"""The device package as one file that Python runs (PEP 441), optionally with a model inside.

    python -m convert.deployment.one_file build/classify.pyz

The same source, model and Python give the same bytes. It holds byte code for the Python that built it, beside the source:
that Python need not compile at each start, other versions ignore it.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from common.advice import command
from common.files import write_bytes
from common.paths import PROGRAM
from common.python_process import PYTHON
from device.errors import CardError, EdgeproofError
from device.formats.model_file import model_format, read_card, read_model_bytes, whole_model

NAME = "classify.pyz"
DEVICE = PROGRAM / "device"
ENDINGS = (".py", ".html", ".css", ".js")  # of what the program consists of: modules, and the page of --serve
# In a file that is cut off Python finds no archive and reads this as source: its error then says what to do
SHEBANG = b"#!/usr/bin/env python3\n# coding: this-file-is-damaged.copy-it-again\n"
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # that a ZIP can store
# zipimport checks no sums, and damaged byte code can crash Python: so each part is checked before it is imported
# It is written so that any older Python can read it too, and say what it needs
MAIN = '''"""Classify pictures: made by edgeproof. SUMS are the CRC-32 of the parts."""

import sys
import zlib

if sys.version_info < (3, 9):
    here = ".".join(map(str, sys.version_info[:2]))
    sys.stderr.write(sys.argv[0] + ": needs Python 3.9 or newer, this is " + here + "\\n")
    sys.exit(2)

MODEL = {model!r}
SUMS = {sums!r}

try:
    for name, crc in SUMS.items():
        if zlib.crc32(__loader__.get_data(__loader__.archive + "/" + name)) != crc:
            raise ValueError(name)
    from device.classify import start
except Exception as error:
    sys.stderr.write(sys.argv[0] + ": is damaged (" + str(error) + "): copy it again\\n")
    sys.exit(2)
sys.exit(start(sys.argv[0] + "/" + MODEL if MODEL else ""))
'''
# Beside the archive in a bundle, so that `python classify.py MODEL PICTURE...` works
STARTER = f'''"""Start {NAME}, which lies beside this file."""

import os
import runpy
import sys

ARCHIVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "{NAME}")
if not os.path.isfile(ARCHIVE):
    sys.stderr.write("classify.py: {NAME} is missing beside it: copy both\\n")
    sys.exit(2)
sys.argv[0] = ARCHIVE
runpy.run_path(ARCHIVE, run_name="__main__")
'''


def device_archive(model: Path | None = None) -> bytes:
    """Return the archive: `python ARCHIVE MODEL PICTURE...`, or with a model inside `python ARCHIVE PICTURE...`.

    Raises EdgeproofError for a model that cannot be read.
    """
    parts = _parts()
    if model is not None:
        data = whole_model(model)
        parts[model.name] = data
    sums = {name: zlib.crc32(data) for name, data in parts.items()}
    parts["__main__.py"] = MAIN.format(model=model.name if model else None, sums=sums).encode()
    buffer = io.BytesIO(SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, data in sorted(parts.items()):
            member = zipfile.ZipInfo(name, OLDEST_DATE)
            # A model is not compressed: quantized weights hardly shrink, and can be read directly
            member.compress_type = zipfile.ZIP_STORED if model and name == model.name else zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return buffer.getvalue()


def _parts() -> dict[str, bytes]:
    """Return the package's files and the byte code of its modules, compiled in a separate process."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "device"
        shutil.copytree(DEVICE, package, ignore=lambda _, names: [name for name in names if _is_no_part(name)])
        # Byte code beside the source, by its name in the archive, without a check of the source's date
        words = [
            *PYTHON,
            "-m",
            "compileall",
            "-q",
            "-b",
            "-d",
            "device",
            "--invalidation-mode",
            "unchecked-hash",
            ".",
        ]
        done = subprocess.run(
            words, cwd=package, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EdgeproofError(f"{DEVICE}: cannot be compiled: {done.stdout.strip() or done.stderr.strip()}")
        files = sorted(path for path in package.rglob("*") if path.is_file())
        return {path.relative_to(scratch).as_posix(): path.read_bytes() for path in files}


def _is_no_part(name: str) -> bool:
    return name == "__pycache__" or ("." in name and not name.endswith(ENDINGS))


def write_one_file(artifact: Path, output: Path | None = None) -> Path:
    """Write the program with the model inside: NAME.pyz beside NAME.tflite, or `output`. Return its path.

    Raises CardError for a model without a card, which such a file could not run by itself.
    """
    if read_card(artifact) is None:
        part = "card" if model_format(artifact, read_model_bytes(artifact)) == "tflite" else "run"
        raise CardError(
            f"{artifact}: has no card, so nothing in one file would say its labels and preprocessing: make one with a card "
            f"first: `{command('convert', part, artifact)}`"
        )
    path = output or artifact.with_suffix(".pyz")
    write_bytes(path, device_archive(artifact))
    return path


def one_file_line(path: Path) -> str:
    """Return a line for people about the file."""
    return f"{path}: {path.stat().st_size / 1000:,.0f} kB: python {path.name} PICTURE... (needs numpy, Pillow, a runtime)"


def main() -> int:
    """Write the archive without a model to the given path."""
    write_bytes(Path(sys.argv[1]), device_archive())
    return 0


if __name__ == "__main__":
    sys.exit(main())
