"""How many digits that people drew an artifact reads right: `make real-digits DIGITS=FOLDER`.

FOLDER holds a folder of pictures for each digit. A picture in which no digit is found is wrong. Of this project's own
drawings, exit code 1 where a model reads fewer than docs/figures.md promises, less five: another processor trains other
weights.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from device.card import Card
from device.errors import PictureError
from device.inference import classify
from device.pictures.sources import labelled_pictures
from device.runtimes import Session
from device.scoring import wilson_interval
from tests.tools.photo_accuracy import opened

DRAWINGS = Path(__file__).parent / "drawings"
MIN_RIGHT = {"mnist_cnn": 207, "mnist_cnn_crop": 207, "mobilenet_v2": 207}  # of DRAWINGS


@dataclass(frozen=True)
class Reading:
    """What a model made of one picture."""

    right: bool
    score: float | None  # of its answer; None where no digit was found


def readings(session: Session, card: Card, files: list[tuple[Path, int]]) -> list[Reading]:
    """Read each picture."""
    found = []
    for path, truth in files:
        try:
            scores = classify(str(path), session, card).scores
            found.append(Reading(int(scores.argmax()) == truth, float(scores.max())))
        except PictureError:
            found.append(Reading(False, None))
    return found


def line(found: list[Reading], min_score: float) -> str:
    """Return the share of right answers with its interval, and which answers the card's threshold makes unsure."""
    right, total = sum(one.right for one in found), len(found)
    low, high = wilson_interval(right, total)
    answered = [one for one in found if one.score is not None]
    unsure = [one.right for one in answered if one.score is not None and one.score < min_score]
    wrong = sum(not one.right for one in answered)
    which = f"{unsure.count(True)} of {right} right answers and {unsure.count(False)} of {wrong} wrong ones"
    share = f"{100 * right / total:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    return f"{right} of {total} right, {share}; unsure, below {min_score:g}: {which}"


def main(folder: str, paths: list[str]) -> int:
    """Print each artifact's line."""
    short = False
    for path in paths:
        session, card = opened(Path(path))
        found = readings(session, card, labelled_pictures(Path(folder), card.labels).files)
        print(f"{path}: {line(found, card.min_score)}")
        right = sum(one.right for one in found)
        short |= Path(folder).resolve() == DRAWINGS.resolve() and right < MIN_RIGHT.get(card.model, 0)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
