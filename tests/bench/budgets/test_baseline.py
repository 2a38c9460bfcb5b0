"""Saving and loading a baseline."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.artifacts.find import Artifact
from bench.budgets.baseline import Baseline, load, save
from common.files import sha256_of
from device.errors import CheckFailed, EdgeproofError
from tests.conftest import run_module
from tests.support.baselines import COMMITTED, PICTURES, READY, changed, measured, rules


def spoiled(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each way in which a baseline's folder can be damaged, one at a time, with the text of its message."""
    index, model = folder / "baseline.json", next(folder.glob("*/*.tflite"))
    whole = {path: path.read_bytes() for path in (index, model, folder / "bench.json", folder / "bench.npz")}
    document = json.loads(whole[index])
    for path, data, found in (
        (index, b"{", "no readable JSON"),
        (index, b"[]", "schema is None"),
        (index, whole[index].replace(b'"schema": 1', b'"schema": 7'), "schema is 7"),
        (index, json.dumps({"schema": 1, "sha256": {}}).encode(), "names no files"),
        (index, json.dumps({"schema": 1, "sha256": {**document["sha256"], "../x": "0"}}).encode(), "outside"),
        (index, json.dumps({"schema": 1, "sha256": {**document["sha256"], "gone": "0"}}).encode(), "no such file"),
        (model, whole[model][:-1], "is not what was saved"),
        (folder / "bench.json", whole[folder / "bench.json"].replace(b"0.99", b"0.98"), "is not what was saved"),
        (folder / "bench.npz", whole[folder / "bench.npz"] + b"x", "is not what was saved"),
    ):
        path.write_bytes(data)
        yield found, str(path.name)
        path.write_bytes(whole[path])


class TestBaseline:
    def test_is_read_as_it_was_saved(self, baseline: Baseline, artifact: Artifact) -> None:
        again = load(baseline.folder)
        assert [sha256_of(found.path) for found in again.artifacts] == [sha256_of(artifact.path)]
        accuracy = again.rows_of(again.artifacts[0])[0].accuracy
        assert accuracy is not None
        assert accuracy.correct == PICTURES - 70

    def test_a_damaged_one_is_refused(self, baseline: Baseline) -> None:
        for found, name in spoiled(baseline.folder):
            with pytest.raises(EdgeproofError, match=found):
                load(baseline.folder)
            assert name
        assert load(baseline.folder).artifacts

    def test_a_failing_one_is_refused_and_nothing_is_written(self, artifact: Artifact, tmp_path: Path) -> None:
        with pytest.raises(CheckFailed, match="breaks min_top1"):
            save(tmp_path / "b", [artifact], measured(artifact, wrong=500), rules(tmp_path, "[[budget]]\nmin_top1 = 0.98\n"))
        assert not (tmp_path / "b").exists()

    def test_one_that_was_not_measured_is_refused(self, artifact: Artifact, tmp_path: Path) -> None:
        other = changed(artifact, tmp_path / "new")
        with pytest.raises(EdgeproofError, match="was not measured as it is now"):
            save(tmp_path / "b", [other], measured(artifact), rules(tmp_path))

    def test_replaces_an_older_one_but_no_other_folder(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        (baseline.folder / "stale").write_text("x")
        save(baseline.folder, [artifact], measured(artifact), rules(tmp_path))
        assert not (baseline.folder / "stale").exists()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("x")
        with pytest.raises(EdgeproofError, match="not a baseline"):
            save(tmp_path / "mine", [artifact], measured(artifact), rules(tmp_path))
        assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"

    def test_the_committed_one_holds_the_ready_artifacts(self) -> None:
        committed = load(COMMITTED)
        ready = {sha256_of(path) for path in READY.glob("*.tflite")}
        assert {sha256_of(found.path) for found in committed.artifacts} == ready

    def test_what_is_removed_by_saving_fewer_files_is_named(self, tmp_path: Path) -> None:
        def save_files(*files: Path) -> str:
            options: list[str | Path] = ["--results", COMMITTED / "bench.json"]
            done = run_module("bench", "baseline", "save", "b", *files, *options, cwd=tmp_path)
            assert done.code == 0, done.stderr
            return done.stdout

        both = sorted(READY.glob("*.tflite"))
        assert "removed" not in save_files(*both)
        assert "removed" not in save_files(*both)
        assert "removed from b: mnist_cnn_crop int8.tflite, which was not named" in save_files(both[0])
        assert [found.card.model for found in load(tmp_path / "b").artifacts] == ["mnist_cnn"]
