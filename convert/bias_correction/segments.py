"""Cutting a graph after each layer to correct, so that all segments together run the graph only once."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """An operation of a graph: the tensors that it reads, without constants, and those that it writes."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """The operations that compute the output of one layer from known tensors."""

    target: int  # the layer's index among the operations
    operations: tuple[int, ...]  # indices, in the order of execution; the last is the target
    sources: tuple[str, ...]  # tensors that are known: the graph's input, or outputs of earlier targets
    done_with: tuple[str, ...]  # known tensors that no later segment reads


def cut(operations: Sequence[Operation], graph_input: str, targets: Sequence[int]) -> list[Segment]:
    """Return a segment for each target; operations and targets are in an order in which they can run."""
    makers = {name: place for place, operation in enumerate(operations) for name in operation.outputs}
    known, found = {graph_input}, []
    for target in targets:
        places = sorted(_needed(operations, makers, known, target))
        made = {name for place in places for name in operations[place].outputs}
        read = {name for place in places for name in operations[place].inputs}
        found.append((target, tuple(places), tuple(sorted(read - made))))
        known.add(operations[target].outputs[0])
    last = {name: number for number, (_, _, sources) in enumerate(found) for name in sources}
    return [
        Segment(target, places, sources, tuple(name for name in sources if last[name] == number))
        for number, (target, places, sources) in enumerate(found)
    ]


def _needed(operations: Sequence[Operation], makers: Mapping[str, int], known: Set[str], target: int) -> set[int]:
    """Return the indices of the operations between the known tensors and the target."""
    needed, waiting = set(), [target]
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed.add(place)
            waiting += [makers[name] for name in operations[place].inputs if name not in known]
    return needed
