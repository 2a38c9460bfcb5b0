"""The process: lines of native code that are not errors are removed, the last lines before a crash are kept."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

SCRIPT = """
import os, sys
from device import process
def work():
    with process.without_chatter():
        os.write(2, b"INFO: chatter\\nERROR: the reason\\n")
        {then}
    return 0
def tell(name):
    print("told", name, file=sys.stderr)
    return 1
sys.exit(process.supervised(work, tell))
"""


def run_watched(then: str) -> tuple[int, str]:
    command = [sys.executable, "-c", SCRIPT.format(then=then)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_chatter_is_dropped_and_an_error_passed_on() -> None:
    assert run_watched("pass") == (0, "ERROR: the reason\n")


def test_a_crash_has_its_last_words() -> None:
    assert run_watched("os.abort()") == (1, f"ERROR: the reason\ntold {signal.SIGABRT.name}\n")


def test_an_exception_has_its_lines_too() -> None:
    code, errors = run_watched("os._exit(7) if False else sys.exit('refused')")
    assert "INFO" not in errors
    assert "ERROR: the reason" in errors
    assert code != 0


def test_an_answer_comes_without_a_line_of_the_runtime(digit_png: Path) -> None:
    model = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"
    command = [sys.executable, str(ROOT / "device" / "classify.py"), str(model), str(digit_png)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
