"""Whether a command survived a bad input, and if not, why."""

import hashlib
import re
from pathlib import Path

from tests.robustness.corpus.defect import Bad
from tests.robustness.torture.jail import MEMORY_LIMIT_BYTES, End

REFUSED = (1, 2)


def judge(bad: Bad, what: str, answer: str, end: End) -> str | None:
    """Return why the command `what` did not survive an input, or None. An output that matches `answer` is a refusal."""
    said = end.output + end.errors
    if end.hung:
        return f"took {end.seconds:.0f} s"
    if end.code < 0:
        return f"ended by signal {-end.code}"
    if "Traceback" in said:
        return f"a traceback: {said.strip().splitlines()[-1]}"
    if end.peak_bytes > MEMORY_LIMIT_BYTES:
        return f"took {end.peak_bytes / 1e6:.0f} MB"
    concerned = re.search(bad.by, what) is not None
    if end.code == 0:
        return "was taken for good" if concerned and not (bad.valid or bad.any_end) else None
    if answer and re.search(answer, end.output + end.errors):
        return None
    if end.code not in REFUSED:
        return f"exit code {end.code}"
    if bad.valid and concerned:
        return f"was refused: {end.errors.strip()[-200:]}"
    return _message(bad, concerned, end)


def _message(bad: Bad, concerned: bool, end: End) -> str | None:
    """Say what is missing in a refusal: the input's name, or its defect."""
    name = bad.path.name
    lines = [line for line in (end.errors + end.output).splitlines() if name in line or (bad.named and bad.named in line)]
    if not lines:
        return f"no message names it: {(end.errors or end.output).strip()[-200:]}"
    if concerned and bad.says and not re.search(bad.says, "\n".join(lines)):
        return f"its message does not say {bad.says!r}: {lines[-1][-200:]}"
    return None


def content(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder by its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
