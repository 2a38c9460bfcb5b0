"""Opening a model file with its card in a runtime, and checking that they fit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional

from device.card import Card, CardlessOptions
from device.errors import CardError
from device.formats.model_file import read_card, read_model_bytes
from device.runtimes import OnnxSession, Session, TfliteSession
from device.safe_text import printable


def open_session(path: Path, card: Optional[Card], threads: int = 1, runtime: Optional[str] = None) -> Session:
    """Open a model file and compare it with its card. Raises CardError where shape or labels do not fit."""
    onnx = path.suffix.lower() == ".onnx"
    session: Session = OnnxSession(path, threads, card) if onnx else TfliteSession(path, threads, runtime)
    if card is not None:
        session.fit(path, card)
    return session


def open_model(path: Path, options: CardlessOptions, threads: int, runtime: Optional[str]) -> tuple[Session, Card]:
    """Open a model with its card, or with what the options say where it has none. Raises EdgeproofError with the reason."""
    card = read_card(path)
    if card is not None:
        if options.names:
            raise CardError(f"{path}: has a card, which says it: {' and '.join(options.names)}: leave it out")
        _check_same_labels(path, card, options)
        return open_session(path, card, threads, runtime), card
    # Only here: another Python compiles what it imports from the archive at every start
    from device.cardless import describe
    from device.formats.model_facts import classifier_facts

    card, said = describe(classifier_facts(path, read_model_bytes(path)), options)
    session = open_session(path, card, threads, runtime)
    print(printable(said), file=sys.stderr)
    return session, card


def _check_same_labels(path: Path, card: Card, options: CardlessOptions) -> None:
    """Raise CardError for --labels that are not the card's, EdgeproofError where they cannot be read."""
    if options.labels is None:
        return
    from device.formats.labels import read_labels

    if tuple(read_labels(options.labels)) != card.labels:
        raise CardError(f"{path}: has a card, which says other labels than --labels {options.labels}: leave it out")
