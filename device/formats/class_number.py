"""Outputs that are no scores: the number of the chosen class, which ArgMax makes of them."""

from __future__ import annotations

from typing import Optional

from device.formats.model_graph import PASSED, Graph, Node, kind_of

PICKING = ("ArgMax", "ArgMin")
QUANTIZING = ("QuantizeLinear", "DynamicQuantizeLinear")  # of scores; beside them QLinearSoftmax and its kind


def class_number_of(graph: Graph) -> Optional[str]:
    """Return "int64, of ArgMax" where a model's only output is the number of a class; None where it is scores.

    Whole numbers without a scale are no scores; but 8 and 16 bits may have theirs in the operation that made them.
    """
    output, made_by = graph.outputs[0], _maker(graph)
    if made_by in PICKING:
        return f"{output.dtype}, of {made_by}"
    whole = kind_of(output.dtype) in ("i", "u") and output.quantization.scale == 0
    narrow = output.dtype in ("int8", "uint8", "int16", "uint16")
    of_scores = narrow and (isinstance(output.key, int) or made_by in QUANTIZING or made_by.startswith("QLinear"))
    if not whole or of_scores:
        return None
    return f"{output.dtype}, of {made_by}" if made_by else output.dtype


def class_number_text(found: str) -> str:
    """Return what is said of such an output; `found` is as `class_number_of` returns it."""
    before = next((name for name in PICKING if found.endswith(name)), "it")
    return f"its output is a class number ({found}): export the scores that go into {before}"


def _maker(graph: Graph) -> str:
    """Return the operation that made the output, but for those that only change its type or sides; "" for none."""
    key, made_by = graph.outputs[0].key, ""
    for _ in range(len(graph.nodes)):
        node: Optional[Node] = next((node for node in graph.nodes if key in node.outputs), None)
        if node is None:
            return made_by
        made_by = node.operation
        if made_by not in PASSED or not node.inputs:
            return made_by
        key = node.inputs[0]
    return made_by
