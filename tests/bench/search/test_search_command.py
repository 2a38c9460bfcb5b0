"""`bench search` from its start to the winner's bundle: here, interrupted and gone on with, and on a Dask cluster."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.search.run import run_search
from bench.search.spec import Effort
from bench.search.store import FILE, read_search
from common.lock import exclusive
from device.errors import CheckFailed
from tests.conftest import classify, run_module
from tests.support.searching.dask_cluster import Cluster, dask_cluster
from tests.support.searching.search_trials import spec

MODEL = "mnist_cnn_crop"
SPACE = """
[build]
filters = [4, 6, 8]
[recipe]
epochs = 4
batch_size = 16
learning_rate = 5e-3
weight_average = 0.0
"""
TRIALS = 2
WAIT_S = 1200  # it takes a minute; busy machines take many times as long


def options(folder: Path, data: Path) -> list[str]:
    path = folder / "space.toml"
    path.write_text(SPACE)
    limits = ["--minimize", "size", "--min-top1", "0.2"]
    return ["search", MODEL, "--space", str(path), "--data", str(data), *limits, "--trials", str(TRIALS)]


def started(cluster: Cluster, words: Sequence[str]) -> "subprocess.Popen[str]":
    """Start `bench search` without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        cwd=cluster.folder,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_first_trial(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Wait until a trial has shown something."""
    deadline_s = time.monotonic() + WAIT_S
    while not list((folder / "trials").glob("*.state.tar")) and not (folder / FILE).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def check_complete(workspace: Path) -> None:
    """Check what a whole search leaves."""
    folder = workspace / "build" / f"{MODEL}@search"
    found = read_search(folder)
    assert len(found.trials) == TRIALS
    assert found.winner is not None
    assert [one.seed for one in found.final] == [1, 2, 3]
    assert {one.total for one in found.final} == {80}
    artifact = folder / f"{MODEL}.int8.tflite"
    assert classify(artifact, "--self-test", cwd=workspace).code == 0
    provenance = json.loads((folder / f"{MODEL}.card.json").read_text())["provenance"]
    assert provenance["settings"] == found.trial(found.winner).settings
    assert found.bundle is not None
    assert (workspace / found.bundle).stat().st_size > artifact.stat().st_size
    assert not list((folder / "trials").glob("*.state.tar"))


@pytest.mark.slow
def test_an_interrupted_search_tells_what_it_knows_and_goes_on_to_the_bundle(digit_folder: Path, tmp_path: Path) -> None:
    words = options(tmp_path, digit_folder)
    folder = tmp_path / "build" / f"{MODEL}@search"
    searching = started(Cluster(tmp_path), words)
    wait_for_first_trial(searching, folder)
    searching.send_signal(signal.SIGINT)
    stdout, stderr = searching.communicate(timeout=60)
    assert searching.returncode == 130, stderr
    assert stderr.strip().splitlines()[-1] == "bench: interrupted"
    assert "the same command goes on from here" in stdout
    result = run_module("bench", *words, cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert "goes on: " in result.stdout
    check_complete(tmp_path)
    again = run_module("bench", *words, cwd=tmp_path)
    assert again.code == 0, again.stderr
    assert "training trial" not in again.stdout
    check_complete(tmp_path)


@pytest.mark.slow
def test_a_dask_cluster_searches_and_a_killed_worker_costs_at_most_its_trial(digit_folder: Path, tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=2) as cluster:
        searching = started(cluster, [*options(tmp_path, digit_folder), "--dask", cluster.address])
        wait_for_first_trial(searching, tmp_path / "build" / f"{MODEL}@search")
        cluster.kill_worker()
        stdout, stderr = searching.communicate(timeout=WAIT_S)
        assert searching.returncode == 0, stdout + stderr
    check_complete(tmp_path)


def test_a_second_search_of_the_same_name_is_refused(tmp_path: Path) -> None:
    effort = Effort(trials=1, max_time_s=None, jobs=1, dask=None, target=None)
    with exclusive(tmp_path / FILE), pytest.raises(CheckFailed, match="is writing there: wait until it has ended"):
        run_search(spec(tmp_path), tmp_path, effort, print)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["no_model", "--trials", "1"], "unknown model 'no_model'"),
        ([MODEL], "give --max-time, as 30m, or --trials"),
        ([MODEL, "--trials", "1", "--name", "other"], "expected search, or a name that begins with search-"),
        ([MODEL, "--trials", "1", "--name", "search-/../x"], "expected letters, digits, '-', '_' and '.' only"),
        ([MODEL, "--trials", "1", "--name", "search-a\\b"], "expected letters, digits, '-', '_' and '.' only"),
        ([MODEL, "--trials", "1", "--reference", "missing.tflite"], "missing.tflite: no such file"),
        ([MODEL, "--trials", "1", "--space", "missing.toml"], "missing.toml"),
        (["mobilenet_v2", "--trials", "1"], "write one and name it with --space FILE"),
        ([MODEL, "--trials", "1", "--min-top1", "1.2"], "is not in the range"),
    ],
)
def test_a_wrong_request_is_one_line(words: list[str], found: str, tmp_path: Path) -> None:
    result = run_module("bench", "search", *words, cwd=tmp_path)
    assert result.code == 2
    assert found in result.error_line
    assert not (tmp_path / "build").exists()
