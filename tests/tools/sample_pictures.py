"""Draw the sample pictures of data/ready: `make ready`. Photo-like, of MNIST test digits, in class folders."""

import numpy as np

from common.paths import DATA
from tests.support.photo_digits import photo_like
from train.data.mnist import load_mnist

FOLDER = DATA / "ready" / "pictures"
CHOSEN = {4043: "green_pen", 4024: "corner_shadow", 4054: "half_in_shade", 4022: "far_away", 4061: "red_pen", 4011: "chalk"}
QUALITY = 80


def main() -> None:
    """Write each chosen test digit's photo, which depends on its index alone."""
    test = load_mnist().test
    for index, name in CHOSEN.items():
        photo = photo_like(np.asarray(test.open(index)), np.random.default_rng(index))
        path = FOLDER / str(test.labels[index]) / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.convert("RGB").save(path, quality=QUALITY)


if __name__ == "__main__":
    main()
