"""Reading what classify.py printed on a device. It is untrusted: every field is validated."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.phase_worker import NO_ANSWER
from bench.results.outcome import RowCrashed


def read_bench(output: str, runtime: str) -> dict[str, Any]:
    """Read what `classify.py --bench --json` printed. Raises RowCrashed for anything else."""
    try:
        document = json.loads(output.strip().splitlines()[-1])
        samples, startup = document["latency_ns"], document["startup_ns"]
        peak_bytes = document["peak_rss_bytes"]
        peak_bytes = 0 if peak_bytes is None else peak_bytes  # null: the system there does not say it, as gVisor
        numbers = [*samples, *startup, document["warmup_calls"], peak_bytes]
        plausible = all(type(number) is int and number >= 0 for number in numbers) and min(samples) > 0
        if not plausible or len(startup) != 4 or document["runtime"] != runtime:
            raise ValueError("implausible figures")
        return {**document, "peak_rss_bytes": peak_bytes, "runtime_version": str(document["runtime_version"])}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RowCrashed(f"answered {output[-60:]!r} where measurements were expected ({error})") from None


def read_answers(output: str, labels: Sequence[str], count: int) -> tuple[npt.NDArray[np.uint16], float]:
    """Read what `classify.py --json` printed: the top class of each picture, uint16 (count,), and the total milliseconds.

    A picture that could not be used is NO_ANSWER. Raises RowCrashed for anything else.
    """
    answers, spent_ms = np.full(count, NO_ANSWER, np.uint16), 0.0
    lines = output.strip().splitlines()
    if len(lines) != count:
        raise RowCrashed(f"answered {len(lines):,} lines for {count:,} pictures, the last {output[-60:]!r}")
    for place, line in enumerate(lines):
        try:
            answer = json.loads(line)
            if "error" not in answer:
                answers[place] = _class_of(answer["top"][0], labels)
                spent_ms += float(answer["latency_ms"]["total"])
        except (ValueError, KeyError, TypeError, IndexError):
            raise RowCrashed(f"answered {line[:60]!r} where a picture's classes were expected") from None
    return answers, spent_ms


def _class_of(best: Mapping[str, Any], labels: Sequence[str]) -> int:
    """Return the number of a class, by its label where an older classify.py printed no more than that.

    Raises ValueError for what is no class, and RowCrashed where the label is that of several.
    """
    label, index = best["label"], best.get("index")
    having_it = labels.count(label)
    if index is None and having_it > 1:
        raise RowCrashed(
            f"its classify.py is older and prints labels alone, and {label!r} is that of {having_it} classes: copy a newer "
            "classify.py there"
        )
    number = labels.index(label) if index is None else index
    if type(number) is not int or not 0 <= number < len(labels) or labels[number] != label:
        raise ValueError(f"{number!r} is not the class {label!r}")
    return number
