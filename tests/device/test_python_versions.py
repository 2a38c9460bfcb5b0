"""`classify.py` in the oldest and the newest Python of this machine, with numpy 1 and 2, in environments made for it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.deployment.one_file import write_one_file
from tests.conftest import ROOT, Tiny, run
from tests.support.environments import install
from tests.support.served import post, started

pytestmark = pytest.mark.slow

CLASSIFY = ROOT / "device" / "classify.py"
MINORS = range(9, 20)  # of Python 3, from the oldest that is promised

Python = tuple[int, str]  # minor version, command
Environments = Callable[[Python, str, str], Path]


def pythons() -> list[Python]:
    """Return the interpreters from 3.9 on, ascending: this one, those on PATH, those of pyenv."""
    found = {sys.version_info.minor: sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in MINORS:
        of_pyenv = sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))
        for name in [shutil.which(f"python3.{minor}"), *map(str, of_pyenv)]:
            if name and minor not in found and _runs(name, minor):
                found[minor] = name
    return sorted(found.items())


def _runs(name: str, minor: int) -> bool:
    command = [name, "-c", "import ensurepip, sys; print(sys.version_info.minor)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0 and done.stdout.strip() == str(minor)


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    def make(python: Python, runtime: str, numpy: str) -> Path:
        folder = tmp_path_factory.mktemp(f"python3.{python[0]}-{re.sub('[^a-z]', '', runtime)}")
        return install(folder, [runtime, numpy, "pillow"], python[1])

    return make


@pytest.mark.parametrize(
    ("which", "runtime", "numpy"),
    [(0, "tflite-runtime", "numpy<2"), (0, "ai-edge-litert", "numpy>=2"), (-1, "ai-edge-litert", "numpy>=2")],
    ids=["oldest, tflite-runtime, numpy 1", "oldest, LiteRT, numpy 2", "newest, LiteRT, numpy 2"],
)
def test_answers_as_here_in_another_python(
    tiny: Tiny, digit_png: Path, tmp_path: Path, environments: Environments, which: int, runtime: str, numpy: str
) -> None:
    python = pythons()[which]
    if python[0] == sys.version_info.minor:
        pytest.skip(f"this machine has no Python {'older' if which == 0 else 'newer'} than this one")
    model, name = tiny.artifact("int8.tflite"), {"tflite-runtime": "tflite_runtime"}.get(runtime, "litert")
    other = str(environments(python, runtime, numpy))
    ask: list[str | Path] = [CLASSIFY, model, "--json", digit_png, "--runtime", name]
    there = run(ask, tmp_path, python=other, PYTHONPATH="")
    assert there.code == 0, there.stderr
    first, here = (json.loads(result.stdout)["top"][0]["label"] for result in (there, run(ask, tmp_path)))
    assert first == here
    packed = write_one_file(Path(shutil.copy(model, tmp_path)))  # with byte code of another Python, which is passed over
    one = run([packed, "--json", digit_png, "--runtime", name], tmp_path, python=other, PYTHONPATH="")
    assert json.loads(one.stdout)["top"] == json.loads(there.stdout)["top"], one.stderr
    self_test = run([CLASSIFY, model, "--self-test"], tmp_path, python=other, PYTHONPATH="")
    assert self_test.code == 0, self_test.stdout
    about = run([CLASSIFY, model, "--info"], tmp_path, python=other, PYTHONPATH="").stdout
    assert re.search(rf"^numpy +{'1' if '<2' in numpy else '2'}\.", about, re.MULTILINE), about
    timed = run([CLASSIFY, model, "--bench", "--seconds", "0"], tmp_path, python=other, PYTHONPATH="")
    assert timed.code == 0, timed.stderr
    with started([CLASSIFY, model, "--serve", "0", "--runtime", name], tmp_path, other) as (_, port):
        assert post(port, digit_png.read_bytes()).document["top"] == json.loads(there.stdout)["top"]
