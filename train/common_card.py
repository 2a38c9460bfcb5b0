"""The card that training writes: the part that all artifacts of a model share."""

from collections.abc import Sequence
from typing import Any

from common.version import tool_versions
from device.card import CARD_SCHEMA, Step
from train.data.dataset import Dataset
from train.outcome import Outcome
from train.request import Request
from train.spec import ModelSpec

TOOLS = ("tensorflow-cpu", "keras", "numpy", "pillow")


def common_card(
    request: Request,
    recipe_name: str,
    spec: ModelSpec,
    dataset: Dataset,
    steps: Sequence[Step],
    weights: str | None,
    outcome: Outcome,
) -> dict[str, Any]:
    """Return the part of the card that all artifacts of a model share, as JSON; convert adds each artifact's own."""
    reference = dataset.reference
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        "schema": CARD_SCHEMA,
        "model": request.model,
        "name": outcome.folder.name.partition("@")[2] or None,
        "labels": list(dataset.labels),
        "input": {"height": spec.height, "width": spec.width, "channels": spec.channels, "pixels": "0..255"},
        "preprocess": [step.to_json() for step in steps],
        "accuracy": {
            "keras_test": {"correct": outcome.correct, "total": outcome.total, "dataset_sha256": dataset.test.sha256}
        },
        "provenance": {
            "recipe": recipe_name,
            "seed": request.seed,
            "weights": weights,
            "dataset": reference.to_json(),
            "dataset_sha256": {part: split.sha256 for part, split in parts.items()},
            "dataset_count": {part: len(split) for part, split in parts.items()},
            "tools": tool_versions(TOOLS),
        },
    }
