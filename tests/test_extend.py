"""docs/extend.md: a runtime is one file, a variant one row and one function; everything else finds them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

RUNTIME = '''"""A runtime that was added."""

from pathlib import Path

from bench.runtimes import Session
from device.card import Card
from device.open_model import open_session as open_on_device

TITLE = "Brand New"
FORMATS = frozenset({"tflite"})
DISTRIBUTIONS = ("pip",)


def import_library() -> None:
    """Import nothing."""


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open a model as LiteRT does."""
    return open_on_device(path, card, threads, "litert")
'''
GPU_RUNTIME = (
    RUNTIME
    + '''
API = "vulkan"


def check_installed() -> None:
    """Find it installed."""
'''
)
ROW = """
    Variant(
        "brand_new",
        "tflite",
        "weights are float16, activations float32",
        HALF_WEIGHTS,
        Types(weights=frozenset({"FLOAT16"}), others=FLOATS),
        "a test",
        slow_because="brand new is not meant to be fast",
    ),
)


def variant_of("""
FUNCTION = '''

def make_brand_new(source: Source) -> bytes:
    """Store the weights as float16."""
    return make_float16(source)
'''
FIND = """
import json, runpy
from bench.analysis.wording import artifact_name, short_name
from bench.measure.doctor import examine
from bench.measure.run import sort_out
from bench.results.row import Subject
from bench.runtimes import cpu_runtimes
from convert.formats import to_tflite
from convert.show import _good_for
from convert.variants import find_variants
row = Subject("m", None, "brand_new", "tflite", "brand_new", "host", "cpu", 1)
print(json.dumps({
    "run": sort_out([], {"tflite"}, 1)[0],
    "cpu": cpu_runtimes(),
    "report": [artifact_name(row), short_name(row)],
    "doctor": [item.name for item in examine()],
    "figures": runpy.run_path(".ci/check_figures.py")["expected_rows"](),
    "converted": [variant.key for variant in find_variants([])],
    "shown": _good_for("brand_new", "tflite"),
}))
"""


def run(folder: Path, *command: str) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout to which a runtime, a GPU's runtime and a variant were added."""
    folder = tmp_path_factory.mktemp("copy")
    for name in run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if not name.startswith("data/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "data").symlink_to(ROOT / "data")
    (folder / "bench" / "runtimes" / "brand_new.py").write_text(RUNTIME)
    (folder / "bench" / "runtimes" / "brand_new_gpu.py").write_text(GPU_RUNTIME)
    variants, functions = folder / "convert/variants.py", folder / "convert/formats/to_tflite.py"
    table = variants.read_text()
    assert table.count("\n)\n\n\ndef variant_of(") == 1
    variants.write_text(table.replace("\n)\n\n\ndef variant_of(", ROW))
    functions.write_text(functions.read_text() + FUNCTION)
    return folder


@pytest.fixture(scope="module")
def found(copy: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(copy, sys.executable, "-c", FIND).splitlines()[-1])
    return document


def test_a_run_measures_in_the_new_runtime(found: dict[str, Any]) -> None:
    assert "brand_new" in found["run"]
    assert "brand_new" in found["cpu"]
    assert "brand_new_gpu" not in found["cpu"]


def test_the_report_calls_the_new_runtime_by_its_title(found: dict[str, Any]) -> None:
    assert found["report"] == ["brand_new.tflite in Brand New", "brand_new · Brand New"]


def test_the_doctor_looks_for_the_new_runtime(found: dict[str, Any]) -> None:
    assert {"brand_new", "brand_new_gpu"} <= set(found["doctor"])


def test_the_promised_figures_expect_rows_of_both(found: dict[str, Any]) -> None:
    rows = {tuple(row) for row in found["figures"]}
    assert ("mnist_cnn", "int8", "tflite", "brand_new") in rows
    assert ("mnist_cnn", "brand_new", "tflite", "litert") in rows
    assert not any("brand_new_gpu" in row for row in rows)


def test_convert_makes_the_new_variant_and_its_card_says_what_it_is_for(found: dict[str, Any]) -> None:
    assert "brand_new.tflite" in found["converted"]
    assert found["shown"] == ": weights are float16, activations float32; good for a test"


def test_make_measures_on_the_gpu_in_the_new_runtime(copy: Path) -> None:
    assert "--runtime brand_new_gpu " in run(copy, "make", "-n", "bench-gpu", "GPU_RUN=python3")


def test_the_contract_tests_run_over_the_new_ones(copy: Path) -> None:
    tests = ("tests/bench/runtimes/test_runtimes.py", "tests/test_docs.py", "tests/convert/test_pipeline.py")
    listed = run(copy, sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *tests)
    for test in (
        "test_opens_its_formats_and_answers_as_keras[brand_new-tflite]",
        "test_every_runtime_variant_and_model_has_its_row_in_a_table[brand_new]",
        "test_every_runtime_variant_and_model_has_its_row_in_a_table[brand_new_gpu]",
    ):
        assert test in listed
