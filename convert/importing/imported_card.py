"""The common card of a model from elsewhere."""

from collections.abc import Sequence
from typing import Any

from common.version import tool_versions
from convert.importing.model_io import InputSpec
from convert.importing.sources import Source
from device.card import CARD_SCHEMA
from device.pictures.input_range import InputRange
from train.data.dataset import Dataset

TOOLS = ("numpy", "pillow")
KERAS_TOOLS = ("tensorflow-cpu", "keras")
FRAMEWORK_TOOLS = {"Keras": KERAS_TOOLS, "TensorFlow": KERAS_TOOLS, "tf_keras": (*KERAS_TOOLS, "tf-keras")}


def imported_card(
    name: str,
    labels: Sequence[str],
    source: Source,
    input_spec: InputSpec,
    input_range: InputRange,
    added: Sequence[str],
    dataset: Dataset,
) -> dict[str, Any]:
    """Return the common card, as train/common_card.py does of a model that was trained here."""
    height, width, channels = input_spec.shape
    by = source.understood.framework.split()[0]
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        "schema": CARD_SCHEMA,
        "model": name,
        "name": None,
        "labels": list(labels),
        "input": {"height": height, "width": width, "channels": channels, "pixels": "0..255"},
        "preprocess": [step.to_json() for step in input_spec.steps],
        "accuracy": {},
        "provenance": {
            "source": {
                **source.understood.origin,
                "sha256": source.sha256,
                "parameters": source.parameters,
                "input_range": input_range.to_json(),
                "added": list(added),
            },
            "weights": None,
            "dataset": dataset.reference.to_json(),
            "dataset_sha256": {part: split.sha256 for part, split in parts.items()},
            "dataset_count": {part: len(split) for part, split in parts.items()},
            "tools": tool_versions((*FRAMEWORK_TOOLS.get(by, ()), *TOOLS)),
        },
    }
