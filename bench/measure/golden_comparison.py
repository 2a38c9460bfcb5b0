"""How far the answers of two runtimes or machines to the golden pictures may differ."""

from typing import Any

import numpy as np

from bench.artifacts.find import Artifact
from device.inference import top_k

STEP = 1 / 256  # of a quantized score
ACROSS_RUNTIMES = 0.04
ROUNDING = 1e-6  # two float32 values of one step


def deviations(found: Artifact, remote: dict[str, Any], local: dict[str, Any]) -> list[str]:
    """Say where a device's answers to the golden pictures differ from this machine's, and which of its self-tests failed.

    Pictures with a clear margin need the same top class and scores within 0.04. Full-integer models in the same LiteRT need
    scores within one step for every picture. (Near the decision border mobilenet_v2's int8 changed its class between x86
    and ARM at margins of up to 0.2 in tflite-runtime and onnxruntime.)
    """
    wrong = [f"self-test: {check}" for check in remote["failed_checks"]]
    own = _is_quantized(found) and local["runtime_version"] == remote["runtime_version"] and _in_litert(local, remote)
    for number, entry in enumerate(found.card.document.get("golden") or []):
        local_scores, remote_scores = (np.array(result["golden_scores"][number], np.float32) for result in (local, remote))
        local_best, remote_best = top_k(local_scores, 1)[0], top_k(remote_scores, 1)[0]
        if local_best != remote_best and entry["clear"]:
            wrong.append(f"golden[{number}]: {found.card.labels[remote_best]} there, {found.card.labels[local_best]} here")
        worst = float(np.abs(local_scores - remote_scores).max())
        limit = STEP + ROUNDING if own else ACROSS_RUNTIMES
        if not np.isfinite(worst) or (worst > limit and (own or entry["clear"])):
            wrong.append(f"golden[{number}]: scores differ by {worst:.2g}, allowed {limit:.2g}")
    return wrong


def _is_quantized(found: Artifact) -> bool:
    return found.card.variant.startswith("int8") and found.format == "tflite"


def _in_litert(*results: dict[str, Any]) -> bool:
    return all(result.get("runtime") == "litert" for result in results)


def worst_difference(remote: dict[str, Any], local: dict[str, Any]) -> float:
    """Return the largest difference of a golden picture's score between two machines."""
    pairs = zip(remote["golden_scores"], local["golden_scores"], strict=True)
    worst = [float(np.abs(np.subtract(*scores)).max()) for scores in pairs]
    return float(np.max(worst, initial=0.0))  # Python's max may lose a NaN
