"""Real pages in Chromium: answers equal native ones, isolation, threads, and what a runtime refuses."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.artifacts.find import find_artifacts
from bench.measure.row import Mode
from bench.remote.command import measure_devices
from bench.results.row import ResultRow
from bench.results.store import Results, load_results
from common.paths import PROGRAM
from convert.formats.card_writer import embed
from tests.conftest import Tiny
from tests.support.models.model_files import READY, card_json
from tests.support.models.tflite_files import SIDE, brightness_tflite
from tests.tools.browser import find_chromium

PACKAGES = PROGRAM / ".venv-web" / "node_modules"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PACKAGES.exists(), reason="a browser's runtimes are not here: make web"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is here: make chromium"),
]
PICTURES = 8
ON_WEBGPU = ("litert_web_webgpu", "onnxruntime_web_webgpu")


def measure(
    folder: Path, file: Path, pictures: Path, threads: tuple[int, ...] = (1,), runtimes: tuple[str, ...] = ()
) -> tuple[list[str], Results]:
    """Measure as the command does."""
    path = folder / "bench.json"
    mode = Mode(64, 0.5, 2)
    found = find_artifacts([file])
    failures = measure_devices("chromium", found, runtimes, mode, threads, pictures, False, PICTURES, Results(), path)
    return failures, load_results(path)


def native_answers(file: Path, pictures: Path) -> list[int]:
    """Return what the runtime of this machine answers."""
    from bench.remote.picture_shards import DevicePictureStore
    from device.inference import top_k
    from device.open_model import open_session

    (found,) = find_artifacts([file])
    test = DevicePictureStore(pictures).of(found)
    session = open_session(file, found.card)
    pixels = test.split.prepared(found.card.preprocess, test.order[:PICTURES], {})
    return [top_k(session.scores(session.infer(session.tensor(picture))), 1)[0] for picture in pixels]


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> ResultRow:
    failures, results = measure(tmp_path_factory.mktemp("chromium"), READY, pictures)
    assert (failures, results.skipped) == ([], [])
    (found,) = results.rows
    return found


def test_a_browser_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, pictures: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # a short path, for the browser's sockets
        home, scratch = Path(name, "home"), Path(name, "tmp")
        home.mkdir()
        scratch.mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        monkeypatch.setenv("TMPDIR", str(scratch))
        failures, _ = measure(Path(name), READY, pictures)
        assert failures == []
        assert [*home.iterdir(), *scratch.iterdir()] == []


def test_golden_scores_of_an_int8_tflite_equal_the_native_ones_in_every_bit(row: ResultRow) -> None:
    assert row.golden is not None
    assert (row.golden.deviations, row.golden.worst_score) == ((), 0.0)


def test_a_page_is_isolated_and_its_clock_has_steps_of_microseconds(row: ResultRow) -> None:
    assert row.browser is not None
    assert row.browser.isolated
    assert 0 < row.browser.clock_step_us < 100
    assert row.browser.block > 1
    assert row.browser.browser.startswith("Chromium ")


def test_each_part_of_the_start_up_takes_time_and_the_runtime_is_downloaded(row: ResultRow) -> None:
    found = row.browser
    assert found is not None
    assert min(found.fetch_ms, found.compile_ms, found.first_inference_ms) > 0
    assert found.download_bytes > 9_000_000
    assert found.download_gzip_bytes < found.download_bytes / 2
    assert (row.memory.peak_rss_bytes or 0) > 50_000_000


def test_pictures_are_answered_as_by_the_native_runtime(row: ResultRow) -> None:
    assert row.browser is not None
    assert row.browser.same_class == row.browser.compared > 0


@pytest.mark.parametrize("key", ["int8.onnx", "float32.onnx", "float32.tflite", "float16.tflite", "float16.onnx"])
def test_every_kind_of_file_is_answered_as_here(tiny: Tiny, tmp_path: Path, pictures: Path, key: str) -> None:
    file = tiny.artifact(key)
    failures, results = measure(tmp_path, file, pictures)
    assert (failures, results.skipped) == ([], [])
    (found,) = results.rows
    answers = results.arrays[f"{found.key}/predictions"]
    usable = answers != 0xFFFF
    assert (answers[usable] == np.array(native_answers(file, pictures))[usable]).all()


def test_two_threads_work_and_are_a_row_of_their_own(tmp_path: Path, pictures: Path) -> None:
    failures, results = measure(tmp_path, READY, pictures, threads=(1, 2))
    assert failures == []
    assert [row.subject.threads for row in results.rows] == [1, 2]


@pytest.mark.parametrize(("dtype", "is_measured"), [("uint8", True), ("int8", False)])
def test_what_a_runtime_refuses_is_a_skipped_row_with_its_reason(tmp_path: Path, dtype: str, is_measured: bool) -> None:
    file = brightness_tflite(tmp_path / "m.int8.tflite", dtype, 1 / 127.5, 127 if is_measured else -1)
    steps = [["rgb"], ["resize", {"size": SIDE, "filter": "bilinear"}], ["center_crop", {"size": SIDE}], ["input_bytes", {}]]
    sides = {"height": SIDE, "width": SIDE, "channels": 3, "pixels": "0..255"}
    embed(file, card_json(labels=["dark", "light"], input=sides, preprocess=steps))
    for label, level in (("dark", 20), ("light", 230)):
        (tmp_path / "set" / label).mkdir(parents=True)
        Image.new("RGB", (SIDE, SIDE), (level,) * 3).save(tmp_path / "set" / label / "a.png")
    failures, results = measure(tmp_path, file, tmp_path / "set")
    assert failures == []
    assert [row.accuracy.correct for row in results.rows if row.accuracy] == ([2] if is_measured else [])
    reasons = [skip.reason for skip in results.skipped]
    assert reasons == ([] if is_measured else ["the runtime refuses the model: Element type INT8 is not supported."])


def test_webgpu_on_an_adapter_of_software_is_named_answers_as_here_and_has_no_valid_latency(
    tiny: Tiny, tmp_path: Path, pictures: Path
) -> None:
    file = tiny.artifact("float32.tflite")
    failures, results = measure(tmp_path, file, pictures, runtimes=ON_WEBGPU)
    assert (failures, results.skipped) == ([], [])
    (found,) = results.rows
    assert (found.subject.accelerator, found.latency.valid) == ("gpu-software", False)
    assert "swiftshader" in str(found.accelerator_name)
    answers = results.arrays[f"{found.key}/predictions"]
    usable = answers != 0xFFFF
    assert (answers[usable] == np.array(native_answers(file, pictures))[usable]).all()


def test_what_webgpu_does_not_take_whole_is_refused_and_never_runs_on_webassembly(
    tiny: Tiny, tmp_path: Path, pictures: Path
) -> None:
    failures, results = measure(tmp_path, tiny.artifact("int8.onnx"), pictures, runtimes=ON_WEBGPU)
    assert (failures, results.rows) == ([], [])
    assert ["fallback to CPU EP has been explicitly disabled" in skip.reason for skip in results.skipped] == [True]
