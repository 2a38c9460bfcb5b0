"""The whole path of a picture, from its file to its scores, through the functions that a device runs."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.results.samples import NO_PATH
from device.card import Card
from device.inference import classify

MIN_PICTURES = 8
MAX_PICTURES = 256
DURATION_NS = 125_000_000


def time_pictures(session: Any, card: Card, files: Sequence[str]) -> npt.NDArray[np.int64]:
    """Classify picture files in turn: (pictures, 5), nanoseconds of decode, prepare, invoke, postprocess, end to end.

    The four parts come from `device/inference.py: classify`, as on a user's device; the end-to-end time is taken around the
    call by the same clock, and the rest of it is unaccounted. The first round, which reads the files from disk
    and initializes Pillow, is not kept.
    """
    if not files:
        return NO_PATH
    clock = time.perf_counter_ns
    for file in files[:MIN_PICTURES]:
        classify(file, session, card)
    rows: list[tuple[int, ...]] = []
    begin_ns = clock()
    while len(rows) < MIN_PICTURES or (len(rows) < MAX_PICTURES and clock() - begin_ns < DURATION_NS):
        file = files[len(rows) % len(files)]
        start_ns = clock()
        answer = classify(file, session, card)
        end_ns = clock()
        rows.append((answer.decode_ns, answer.prepare_ns, answer.invoke_ns, answer.postprocess_ns, end_ns - start_ns))
    return np.array(rows, np.int64)
