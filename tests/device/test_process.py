"""The process: lines of native code that are not errors are removed, the last lines before a crash are kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


READY = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"


def in_a_shell(words: str, picture: Path) -> "subprocess.CompletedProcess[str]":
    """Run classify.py in a shell, whose redirections come last."""
    command = f'exec "$PYTHON" "$CLASSIFY" "$MODEL" {words}'
    program = {"PYTHON": sys.executable, "CLASSIFY": str(ROOT / "device" / "classify.py"), "MODEL": str(READY)}
    environment = {**os.environ, **program, "PICTURE": str(picture)}
    return subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False)


REOPENS = """
import os, subprocess, sys
from device.process import reopen_closed_streams
reopen_closed_streams()
says = "import os, sys; [print(os.readlink(f'/proc/self/fd/{n}'), file=sys.stderr) for n in (0, 1)]"
subprocess.run([sys.executable, "-c", says])
"""


class TestClosedStreams:
    @pytest.mark.parametrize("closed", ["<&-", "< /dev/null", "0> /dev/null"])
    def test_no_picture_on_standard_input_is_a_line_and_code_1(self, digit_png: Path, closed: str) -> None:
        done = in_a_shell(f"- {closed}", digit_png)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("-: standard input ")
        assert done.stderr.count("\n") == 1

    def test_what_is_said_on_a_closed_standard_error_is_not_in_the_json(self, digit_png: Path, tmp_path: Path) -> None:
        """A file that is left out is said on standard error; the answers alone are on standard output."""
        picture = Path(shutil.copy(digit_png, tmp_path))
        (tmp_path / "notes.txt").touch()
        assert in_a_shell('--json "$(dirname "$PICTURE")"', picture).stderr == "left out: 1 no picture (.txt)\n"
        done = in_a_shell('--json "$(dirname "$PICTURE")" 2>&-', picture)
        assert done.returncode == 0
        assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == [str(picture)]

    @pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
    def test_closed_outputs_are_no_fault(self, digit_png: Path, closed: str) -> None:
        done = in_a_shell(f'"$PICTURE" {closed}', digit_png)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_programs_that_are_started_inherit_what_was_opened(self) -> None:
        """Else the first file that such a program opens would be its standard output."""
        command = ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", REOPENS]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr.splitlines() == ["/dev/null"] * 2


WITHOUT_UNIX = """
import os, runpy, signal, sys
import numpy, ai_edge_litert.interpreter
for module, names in ((os, "uname fork memfd_create getuid pread sysconf sched_getaffinity"),
                      (signal, "SIGKILL SIGHUP SIGCHLD sigwaitinfo pthread_sigmask")):
    for name in names.split():
        delattr(module, name)
sys.modules.update(resource=None, fcntl=None)
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("words", [["--info"], ["--self-test"], ["--bench", "--seconds", "0"], []], ids=str)
def test_what_only_unix_has_is_not_needed(digit_png: Path, words: list[str]) -> None:
    """Windows has no os.uname, no fork, no module resource."""
    program = [str(ROOT / "device" / "classify.py"), str(READY), *(words or [str(digit_png)])]
    command = [sys.executable, "-c", WITHOUT_UNIX, *program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
