"""What a model file without a card says: its input and output, and the values that it takes where they are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from device.errors import ModelError
from device.formats.class_number import class_number_of, class_number_text
from device.formats.model_graph import Front, TensorFacts, activation_of, front_of
from device.formats.onnx_graph import read_onnx_graph
from device.formats.tflite_graph import read_tflite_graph
from device.formats.tflite_metadata import NO_METADATA, Metadata, metadata_labels, read_metadata


@dataclass(frozen=True)
class ModelFacts:
    """One input and one output, and what is known of them."""

    path: Path
    input: TensorFacts
    output: TensorFacts
    front: Front
    activation: Optional[str]  # "softmax", "sigmoid", "logits"; None: unknown
    metadata: Metadata = NO_METADATA
    labels: Optional[tuple[str, ...]] = None  # inside standard metadata
    class_number: Optional[str] = None  # what its output is, where it is no scores: "int64, of ArgMax"


def model_facts(path: Path, data: bytes) -> ModelFacts:
    """Read a `.tflite` or `.onnx`. Raises ModelError for a damaged one, and for other than one input and one output."""
    tflite = path.suffix.lower() == ".tflite"
    try:
        graph = read_tflite_graph(data) if tflite else read_onnx_graph(data)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(f"{path}: is damaged ({error}): copy it again") from error
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(f"{path}: has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one of each")
    metadata = read_metadata(data) if tflite else NO_METADATA
    labels = metadata_labels(data, metadata.labels_file) if metadata.labels_file else None
    return ModelFacts(
        path,
        graph.inputs[0],
        graph.outputs[0],
        front_of(graph),
        activation_of(graph),
        metadata,
        None if labels is None else tuple(labels),
        class_number_of(graph),
    )


def classifier_facts(path: Path, data: bytes) -> ModelFacts:
    """Read a model that gives scores. Raises ModelError as `model_facts`, and for one that gives a class number."""
    facts = model_facts(path, data)
    if facts.class_number is not None:
        raise ModelError(f"{path}: {class_number_text(facts.class_number)}")
    return facts
