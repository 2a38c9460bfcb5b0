"""How pictures are brought to the size of a model without a card: both ways are tried on labelled pictures."""

from collections.abc import Sequence
from pathlib import Path

from convert.child import Child, Workplace
from device.card import Card
from device.errors import EdgeproofError, PictureError
from device.inference import classify
from device.open_model import open_session
from train.data.dataset import stratified_order
from train.data.folders import labelled_split

MAX_PICTURES = 60  # pictures by which it is tried


def right_answers(path: Path, cards: Sequence[Card], data: Path) -> list[int] | None:
    """Return how many of the same labelled pictures a model answers rightly with each card, or None where it cannot be run.

    In a process of its own: nothing is known of the model, and a runtime may crash on it.
    """
    with Child(lambda _: None) as child:
        try:
            return child.run(right_there, path, cards, data)
        except EdgeproofError:  # the measurement says why
            return None


def right_there(_workplace: Workplace, path: Path, cards: Sequence[Card], data: Path) -> list[int]:
    """Count the right answers with each card, in the child process."""
    pictures, session = labelled_split(data, cards[0].labels), open_session(path, cards[0])
    found = [0] * len(cards)
    for index in stratified_order(pictures.labels, seed=0)[:MAX_PICTURES]:
        for place, card in enumerate(cards):
            try:
                scores = classify(pictures.open(int(index)), session, card).scores
            except PictureError:
                continue
            found[place] += int(scores.argmax() == pictures.labels[index])
    return found
