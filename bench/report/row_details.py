"""The details of one row on the page: confusions, classes, calibration, and the pictures that it answers otherwise."""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.analysis.float_pairs import baseline_of
from bench.analysis.wording import artifact_name
from bench.results.evaluation_set import EvaluationSet
from bench.results.row import HOST, ResultRow
from bench.results.store import Results
from bench.stats.classification import by_class, calibration, confusion, flipped, least_scores

FLIPS_SHOWN = 24  # of a row
CLASSES_DRAWN = 40  # a larger confusion matrix is a list of its largest entries
CONFUSIONS_LISTED = 30


def row_detail(results: Results, row: ResultRow, pictures: dict[str, dict[int, str]]) -> dict[str, Any]:
    """Return the details of one row: confusions, classes, calibration, flips."""
    where = "" if row.subject.device == HOST else f" on {row.subject.device}"
    detail: dict[str, Any] = {"name": artifact_name(row.subject) + where, "model": row.subject.model_name}
    evaluation_set = EvaluationSet.of(results.arrays, row)
    if evaluation_set is None:
        why = "its accuracy was not measured" if row.accuracy is None else "measured before labels were kept: measure again"
        return {**detail, "missing": why}
    answers = results.arrays[f"{row.key}/predictions"]
    truth = evaluation_set.truth[: len(answers)]
    table = confusion(truth, answers, len(evaluation_set.names))
    scores = results.arrays.get(f"{row.key}/top_scores")
    measured = None if scores is None or len(scores) != len(answers) else calibration(scores, answers == truth)
    return {
        **detail,
        "names": evaluation_set.names,
        "drawn": len(evaluation_set.names) <= CLASSES_DRAWN,
        "confusions": confusion_entries(table),
        "classes": [
            [one.name, one.pictures, one.right, one.recall, one.recall_ci95, one.precision]
            for one in by_class(table, evaluation_set.names)
        ],
        "calibration": None if measured is None else [measured.error, [list(vars(part).values()) for part in measured.bins]],
        "unsure": [] if measured is None or scores is None else _unsure(scores, answers == truth),
        "scores": _scores_note(row, scores),
        "flips": _flips(results, row, answers, evaluation_set, pictures),
    }


def _unsure(scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> list[list[float]]:
    return [list(vars(point).values()) for point in least_scores(scores, right)]


def _scores_note(row: ResultRow, scores: npt.NDArray[np.float32] | None) -> str:
    if scores is not None:
        return ""
    if row.subject.format == "tflite" and row.subject.variant.startswith("int8"):
        return "No calibration error: the scores of a uint8 output are multiples of 1/256."
    return "No calibration error: this row's scores were not kept; measure again."


def confusion_entries(table: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the non-zero entries (class, answer, pictures): all of a small table, the largest confusions of a large one.

    The answer after the last class is none at all.
    """
    if len(table) > CLASSES_DRAWN:
        off = table.copy()
        np.fill_diagonal(off, 0)
        flat = np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS_LISTED]
        places = [divmod(int(place), table.shape[1]) for place in flat]
        return [[i, j, int(off[i, j])] for i, j in places if off[i, j]]
    return [[int(i), int(j), int(table[i, j])] for i, j in np.argwhere(table)]


def _flips(
    results: Results,
    row: ResultRow,
    answers: npt.NDArray[Any],
    evaluation_set: EvaluationSet,
    pictures: dict[str, dict[int, str]],
) -> dict[str, Any] | None:
    """Return the pictures that this row and its float32 row answer differently, with thumbnails where they are kept."""
    baseline = baseline_of(row, results.rows)
    if baseline is None or EvaluationSet.of(results.arrays, baseline) is None:
        return None
    before = results.arrays[f"{baseline.key}/predictions"]
    places = flipped(before, answers)
    kept = {int(place): number for number, place in enumerate(evaluation_set.places)}
    shown = [int(place) for place in places if int(place) in kept][:FLIPS_SHOWN]
    pool = pictures.setdefault(evaluation_set.prefix, {})
    for place in shown:
        pool.setdefault(place, png(evaluation_set.pixels[kept[place]]))
    return {
        "against": artifact_name(baseline.subject),
        "count": len(places),
        "of": min(len(before), len(answers)),
        "pool": evaluation_set.prefix,
        "shown": [[place, int(evaluation_set.truth[place]), int(before[place]), int(answers[place])] for place in shown],
    }


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Return prepared pixels (H, W, C) as a PNG in a data URI, in their own size: the page's style enlarges it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
