"""search.json is read as it was written, and refused where it cannot be right."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.search.result import FinalTraining, Lead, Limit, SearchResult
from bench.search.store import FILE, find_searches, read_search, search_folder, write_search
from common.paired_accuracy import Paired
from device.errors import EdgeproofError
from tests.support.searching.searches import search, trial, unfinished


@pytest.fixture
def ended() -> SearchResult:
    """Return a search with all that one can have."""
    return search(
        trial(0, 4950, 20_000),
        trial(1, 4960, 30_000, keeps_budget=False),
        unfinished(2, "pruned", "below the median of 3 trials after 2 epochs"),
        unfinished(3, "failed", "the loss is NaN"),
        limits=(Limit("top1", least=0.98), Limit("size_bytes", most=25_000)),
        front=(0, 1),
        winner=0,
        lead=Lead(0, 1, Paired(12, 22, 5000), is_tie=True, why="the sample does not decide"),
        final=(FinalTraining(0, 9911, 10_000, {"size_bytes": 20_000}),),
        bundle="build/mnist_cnn_crop@search/mnist_cnn_crop.int8.tflite",
    )


def test_a_search_is_read_as_it_was_written(ended: SearchResult, tmp_path: Path) -> None:
    write_search(tmp_path, ended)
    assert read_search(tmp_path) == ended


def test_keys_of_a_later_version_are_kept(ended: SearchResult, tmp_path: Path) -> None:
    path = write_search(tmp_path, ended)
    document = json.loads(path.read_text())
    document["trials"][0]["added_later"] = 1
    path.write_text(json.dumps(document))
    write_search(tmp_path, read_search(tmp_path))
    assert json.loads(path.read_text())["trials"][0]["added_later"] == 1


def test_a_folder_without_a_search_says_how_to_search(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match="no such file: search first"):
        read_search(tmp_path)


def test_searches_are_found_by_their_folders(ended: SearchResult, tmp_path: Path) -> None:
    write_search(tmp_path / "b@search", ended)
    write_search(tmp_path / "a@search", ended)
    (tmp_path / "c@search").mkdir()
    assert [path.name for path in find_searches(tmp_path)] == ["a@search", "b@search"]
    assert search_folder("mnist_cnn") == Path("build/mnist_cnn@search")


def test_nothing_is_written_that_could_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match="winner is \\[7\\], expected numbers of trials that are done"):
        write_search(tmp_path, search(trial(0, 4950, 20_000), winner=7))
    assert list(tmp_path.iterdir()) == []


DEFECTS: dict[str, tuple[str, Any, str]] = {
    "a text as the model": ("model", 3, "search.model is 3, expected str"),
    "no trials": ("trials", None, "search.trials is None, expected a list"),
    "an unknown state": ("trials.0.state", "running", "state is 'running', expected done or pruned or failed"),
    "two trials of one number": ("trials.1.number", 0, "expected a number of its own for each trial"),
    "more right answers than pictures": ("trials.0.correct", 5001, "correct is 5001, expected 0 to 5000"),
    "answers without pictures": ("trials.0.total", None, "correct is 4950, expected a number wherever there is a total"),
    "a done trial without figures": ("trials.0.figures", None, "figures is None, expected a value"),
    "a figure as text": ("trials.0.figures", {"size_bytes": "9"}, "figures.size_bytes is '9', expected a number"),
    "a trial without the minimized figure": ("trials.0.figures", {"latency_ms": 1}, "expected size_bytes among"),
    "a setting that is a list": ("trials.0.settings", {"filters": [1]}, "settings.filters is [1], expected a number"),
    "a limit that limits nothing": ("limits.0.least", None, "least is None, expected either a least or a most"),
    "a pruned trial on the front": ("front", [0, 2], "front is [2], expected numbers of trials that are done"),
    "a lead over nobody": ("lead.next_best", 9, "lead is [9], expected numbers of trials that are done"),
    "pairs that are more than their total": ("lead.accuracy.total", 20, "expected counts that are not above their total"),
    "a pair of texts": ("lead.accuracy.only_first", "1", "only_first is '1', expected a number"),
    "no pictures in a final training": ("final.0.total", 0, "correct is 9911, expected 0 to 0"),
    "another schema": ("schema", 2, "schema is 2, this version reads 1"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_damaged_search_is_refused_with_the_field(ended: SearchResult, tmp_path: Path, defect: str) -> None:
    place, value, said = DEFECTS[defect]
    document = json.loads(write_search(tmp_path, ended).read_text())
    *way, last = place.split(".")
    inner = document
    for key in way:
        inner = inner[int(key) if key.isdigit() else key]
    inner[last] = value
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(EdgeproofError) as error:
        read_search(tmp_path)
    assert said in str(error.value)
    assert str(tmp_path / FILE) in str(error.value)


def test_a_number_that_json_does_not_have_is_refused(ended: SearchResult, tmp_path: Path) -> None:
    path = write_search(tmp_path, ended)
    path.write_text(path.read_text().replace("30.0", "NaN"))
    with pytest.raises(EdgeproofError, match="is no readable JSON"):
        read_search(tmp_path)
