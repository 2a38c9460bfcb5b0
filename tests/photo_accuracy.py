"""How many photo-like pictures of MNIST's test digits an artifact reads right: `make photo-accuracy`.

Exit code 1 where a model falls short of what the README promises.
"""

import sys
from pathlib import Path

import numpy as np

from device.classify import Card, PictureError, Session, open_session, prepare, read_card, wilson_interval
from tests.photos import photo_like
from train.data import load_mnist

PHOTOS = 500
LEAST = 0.95


def is_right(session: Session, card: Card, index: int, label: int) -> bool:
    """Draw the photo of a test digit, which depends on its index alone, and classify it."""
    digit = np.asarray(TEST.open(index))
    photo = photo_like(digit, np.random.default_rng(index))
    try:
        output = session.infer(session.tensor(prepare(photo, card)))
    except PictureError:
        return False
    return int(session.scores(output).argmax()) == label


def main(paths: list[str]) -> int:
    """Print each artifact's share of right answers with its interval."""
    short = False
    for path in map(Path, paths):
        card = read_card(path)
        if card is None:
            raise SystemExit(f"{path}: has no card")
        session = open_session(path, card)
        right = sum(is_right(session, card, index, int(TEST.labels[index])) for index in range(PHOTOS))
        low, high = wilson_interval(right, PHOTOS)
        short |= right < LEAST * PHOTOS
        print(
            f"{path}: {100 * right / PHOTOS:.1f} % of {PHOTOS} photos (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
        )
    return 1 if short else 0


TEST = load_mnist().test

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
