"""Results that were edited, or whose samples are damaged, are refused with the place."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.results.integrity import load_sound_results, load_verified_results, results_so_far
from bench.results.store import load_results, npz_bytes
from common.paths import PROGRAM
from device.errors import EdgeproofError
from device.scoring import wilson_interval
from tests.support.results_builder import make_results, make_row, usual

Change = Callable[[Any], Any]
KEY = "m/float32.tflite/litert/host/cpu/1"
PICTURES = "pictures/m/" + "d" * 64


def written(folder: Path) -> Path:
    """Write float32, with 10 of 2,000 wrong answers, and int8."""
    usual().save(folder / "bench.json")
    return folder / "bench.json"


def refused(path: Path) -> str:
    with pytest.raises(EdgeproofError) as error:
        load_verified_results(path)
    return str(error.value)


def _more_right(row: Any) -> None:
    row["accuracy"].update(correct=2_000, top1=1.0, ci95=list(wilson_interval(2_000, 2_000)))


EDITED: dict[str, tuple[Change, str]] = {
    "more-right-answers": (_more_right, "accuracy.correct is 2000, its samples give 1990"),
    "narrow-accuracy": (lambda row: row["accuracy"].update(ci95=[0.1, 0.2]), "accuracy.ci95 is [0.1, 0.2]"),
    "fast-p90": (lambda row: row["latency"].update(p90_ms=1e-6), "latency.p90_ms is 1e-06"),
    "a-p99-of-too-few": (lambda row: row["latency"].update(p99_ms=0.5), "latency.p99_ms is 0.5, its samples give None"),
    "low-minimum": (lambda row: row["latency"].update(min_ms=0.1), "latency.min_ms is 0.1"),
    "wide-interval": (lambda row: row["latency"].update(ci95_p50_ms=[0.5, 1.5]), "latency.ci95_p50_ms is [0.5, 1.5]"),
    "fewer-samples": (lambda row: row["samples"].update(count=3), "samples.count is 3, its samples give 600"),
}


@pytest.mark.parametrize("defect", EDITED)
def test_a_figure_that_its_samples_do_not_give_is_named(tmp_path: Path, defect: str) -> None:
    change, says = EDITED[defect]
    path = written(tmp_path)
    document = json.loads(path.read_text())
    change(next(row for row in document["measurements"] if row["samples"]["key"] == KEY))
    path.write_text(json.dumps(document))
    message = refused(path)
    assert says in message
    assert KEY in message


DAMAGED: dict[str, tuple[str, Change, str]] = {
    "latency-of-text": (f"{KEY}/latency_ns", lambda v: v.astype(str), "expected int64 of 1"),
    "latency-of-two-dimensions": (f"{KEY}/latency_ns", lambda v: v[:, None], "int64 of 2 dimensions, expected int64 of 1"),
    "predictions-of-fractions": (f"{KEY}/predictions", lambda v: v + 0.5, "expected uint16 of 1"),
    "predictions-that-a-cast-hides": (f"{KEY}/predictions", lambda v: v.astype(np.int64) + 65_536, "predictions is int64"),
    "negative-queries": (f"{KEY}/queries", lambda v: v + np.array([900, -900, 0]), "queries is [1100, -700, 200]"),
    "path-of-three-times": (f"{KEY}/path_ns", lambda v: v[:, :3], "expected five times a picture"),
    "labels-of-text": (f"{PICTURES}/truth", lambda v: v.astype(str), "truth is <U11 of 1 dimensions, expected integers"),
    "labels-of-another-set": (f"{PICTURES}/truth", lambda v: (v + 1) % 10, "accuracy.correct is 1990"),
    "labels-of-few-pictures": (f"{PICTURES}/truth", lambda v: v[:1995], "2000 answers, but labels of 1995 pictures"),
    "few-names": (f"{PICTURES}/names", lambda v: v[:3], "truth holds 0 to 9, expected -1 to 2"),
    "flat-pixels": (f"{PICTURES}/pixels", lambda v: v.reshape(-1), "pixels is uint8 of 1 dimensions"),
    "pixels-of-two-channels": (f"{PICTURES}/pixels", lambda v: v.repeat(2, axis=3), "pixels is uint8 of shape"),
}


@pytest.mark.parametrize("defect", DAMAGED)
def test_samples_of_another_type_or_shape_are_named(tmp_path: Path, defect: str) -> None:
    name, change, says = DAMAGED[defect]
    path = written(tmp_path)
    arrays = load_results(path).arrays
    arrays[name] = change(arrays[name])
    path.with_suffix(".npz").write_bytes(npz_bytes(arrays))
    assert says in refused(path)


def test_a_row_without_its_samples_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    arrays = load_results(path).arrays
    del arrays[f"{KEY}/latency_ns"]
    path.with_suffix(".npz").write_bytes(npz_bytes(arrays))
    assert f"KeyError: '{KEY}/latency_ns'" in refused(path)


def test_the_kept_baseline_of_an_early_version_is_sound() -> None:
    assert len(load_sound_results(PROGRAM / "data" / "baseline" / "bench.json").rows) == 2


def test_results_without_a_hash_are_shown_and_not_judged(tmp_path: Path) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text())
    for row in document["measurements"]:
        del row["samples"]["sha256"]
    path.write_text(json.dumps(document))
    assert len(load_verified_results(path).rows) == 2
    with pytest.raises(EdgeproofError, match=r"samples\.sha256 is None"):
        load_sound_results(path)


@pytest.mark.parametrize(("agreeing", "sound"), [(1_990, True), (2_000, False)])
def test_an_agreement_with_keras_that_the_answers_do_not_give_is_named(tmp_path: Path, agreeing: int, sound: bool) -> None:
    row = make_row("float32", wrong=range(10))
    row = replace(row, answers=replace(row.answers, agree_with_reference=agreeing, reference_total=2_000))
    path = tmp_path / "bench.json"
    make_results([make_row("float32", "keras"), row]).save(path)
    if sound:
        assert len(load_verified_results(path).rows) == 2
    else:
        assert "accuracy.agreement_with_reference is 1.0, its samples give 0.995" in refused(path)


def test_a_run_is_not_merged_into_rows_that_were_edited(tmp_path: Path) -> None:
    assert results_so_far(tmp_path / "bench.json").rows == []
    path = written(tmp_path)
    assert len(results_so_far(path).rows) == 2
    path.write_text(path.read_text().replace('"correct": 1990', '"correct": 1991'))
    with pytest.raises(EdgeproofError, match=r"accuracy\.top1 is 0\.995.* remove bench\.json and its \.npz"):
        results_so_far(path)
