"""How many photo-like pictures of MNIST's test digits an artifact answers correctly: `make photo-accuracy`.

Exit code 1 if a model is less accurate than docs/figures.md promises.
"""

import functools
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from device.card import Card
from device.errors import PictureError
from device.formats.model_file import read_card
from device.open_model import open_session
from device.preprocessing.prepare import prepare
from device.runtimes import Session
from device.scoring import wilson_interval
from tests.support.photo_digits import photo_like
from train.data.dataset import Split
from train.data.mnist import load_mnist

PHOTOS = 500
MIN_SHARE = 0.95


def opened(path: Path) -> tuple[Session, Card]:
    """Return an artifact's session and card."""
    card = read_card(path)
    if card is None:
        raise SystemExit(f"{path}: has no card")
    return open_session(path, card), card


@functools.cache
def test_digits() -> Split:
    """Return MNIST's test part."""
    return load_mnist().test


def photo_of(index: int) -> Image.Image:
    """Draw the photo of a test digit, which depends on its index alone."""
    return photo_like(np.asarray(test_digits().open(index)), np.random.default_rng(index))


def is_right(session: Session, card: Card, photo: Image.Image, label: int) -> bool:
    """Classify a photo; one in which no digit is found is wrong."""
    try:
        output = session.infer(session.tensor(prepare(photo, card)))
    except PictureError:
        return False
    return int(session.scores(output).argmax()) == label


def main(paths: list[str]) -> int:
    """Print each artifact's share of right answers with its interval."""
    models = {path: opened(Path(path)) for path in paths}
    rights = dict.fromkeys(models, 0)
    for index in range(PHOTOS):
        photo = photo_of(index)  # the dear part: once for all models
        for path, (session, card) in models.items():
            rights[path] += is_right(session, card, photo, int(test_digits().labels[index]))
    short = False
    for path, right in rights.items():
        low, high = wilson_interval(right, PHOTOS)
        short |= right < MIN_SHARE * PHOTOS
        print(
            f"{path}: {100 * right / PHOTOS:.1f} % of {PHOTOS} photos (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
        )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
