"""Lines of native libraries: unimportant lines are removed from standard error, messages are kept."""

import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CHATTER = (
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795915430.656208   20840 port.cc:153] oneDNN custom operations are on.",
    "W0000 00:00:1795915441.360484   20840 tf_tfl_flatbuffer_helpers.cc:364] Ignored output_format.",
    "fully_quantize: 0, inference_type: 6, input_inference_type: UINT8, output_inference_type: UINT8",
)
MESSAGES = (
    "ERROR: tensorflow/lite/kernels/conv.cc:343 bias->type != input_type (INT8 != INT32)",
    "E0000 00:00:1795915430.656208   20840 port.cc:153] a real error",
    "WARNING: Attempting to use a delegate that only supports static-sized tensors",
    "F0000 00:00:1795915430.656208   20840 port.cc:153] Check failed",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "convert: INFO: stands in the middle",
)
WRITE = """
import os, sys
from common.native_lines import ask_for_silence, filtered
ask_for_silence()
with filtered():
    os.write(2, sys.argv[1].encode())
    {then}
os.write(2, b"after\\n")
"""


def written(text: str, then: str = "pass", **environment: str) -> tuple[int, str]:
    """Return the exit code of a process that writes a text to descriptor 2, and the text that its caller got."""
    command = [sys.executable, "-c", WRITE.format(then=then), text]
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("line", CHATTER)
def test_chatter_is_dropped(line: str) -> None:
    assert written(f"{line}\n") == (0, "after\n")


@pytest.mark.parametrize("line", MESSAGES)
def test_a_message_comes_through(line: str) -> None:
    assert written(f"{line}\n") == (0, f"{line}\nafter\n")


def test_a_last_line_without_an_end_comes_through() -> None:
    assert written("no end") == (0, "no endafter\n")


def test_the_last_words_of_a_crash_come_through() -> None:
    assert written("ERROR: why\n", then="os.abort()") == (-signal.SIGABRT, "ERROR: why\n")


def test_whoever_keeps_a_copy_of_the_descriptor_holds_nobody_up() -> None:
    assert written("ERROR: why\n", then="os.dup(2)") == (0, "ERROR: why\nafter\n")


def test_a_user_who_asks_for_the_libraries_logs_gets_them() -> None:
    assert written(f"{CHATTER[0]}\n", TF_CPP_MIN_LOG_LEVEL="0") == (0, f"{CHATTER[0]}\nafter\n")


def test_a_closed_standard_error_is_no_fault() -> None:
    command = f"exec {sys.executable} -c 'from common.native_lines import filtered\nwith filtered(): print(1)' 2>&-"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")
