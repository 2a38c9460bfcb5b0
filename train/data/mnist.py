"""The bundled MNIST, with the tutorial's split."""

import gzip
from pathlib import Path

import numpy as np

from common.files import sha256_of
from common.paths import DATA
from device.errors import EdgeproofError
from train.data.dataset import DataReference, Dataset, Pixels, array_split

BUNDLED = DATA
SHA256 = {  # of the gzipped files in data/
    "mnist/train-images-idx3-ubyte.gz": "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    "mnist/train-labels-idx1-ubyte.gz": "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    "mnist/t10k-images-idx3-ubyte.gz": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "mnist/t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
    "weights/mobilenet_v2_1.0_imagenet.weights.h5": "a62b65050e10307b0b7a4d2eb72c51af0215d1d4edec44f9708e9de8c2cae0a5",
}
MNIST_TRAINING_IMAGES = 60_000
MNIST_VALIDATION_IMAGES = 12_000  # the tutorial's split: the first 20 % of the training images


def bundled(name: str) -> Path:
    """Return the path of a bundled file after checking it. Raises EdgeproofError for a missing or damaged one."""
    path = BUNDLED / name
    if not path.is_file():
        raise EdgeproofError(f"{path}: is missing: restore it with `git checkout data/{name}`")
    if sha256_of(path) != SHA256[name]:
        raise EdgeproofError(f"{path}: is damaged (its SHA-256 is not {SHA256[name][:12]}…): `git checkout data/{name}`")
    return path


def load_mnist(held_out: int | None = None) -> Dataset:
    """Return MNIST (LeCun, Cortes, Burges): 60,000 training and 10,000 test pictures of 28×28.

    The first `held_out` of the training pictures (None: 12,000) are the validation part.
    Raises EdgeproofError where that leaves a part empty.
    """
    first = MNIST_VALIDATION_IMAGES if held_out is None else held_out
    if not 0 < first < MNIST_TRAINING_IMAGES:
        raise EdgeproofError(
            f"MNIST with {first:,} validation pictures: expected 1 to {MNIST_TRAINING_IMAGES - 1:,} of its training pictures"
        )
    images = _read_idx("mnist/train-images-idx3-ubyte.gz", (MNIST_TRAINING_IMAGES, 28, 28))
    labels = _read_idx("mnist/train-labels-idx1-ubyte.gz", (MNIST_TRAINING_IMAGES,))
    test_images = _read_idx("mnist/t10k-images-idx3-ubyte.gz", (10_000, 28, 28))
    test_labels = _read_idx("mnist/t10k-labels-idx1-ubyte.gz", (10_000,))
    return Dataset(
        reference=DataReference("mnist", held_out=held_out),
        labels=tuple("0123456789"),
        train=array_split(images[first:], labels[first:]),
        val=array_split(images[:first], labels[:first]),
        test=array_split(test_images, test_labels),
    )


def _read_idx(name: str, shape: tuple[int, ...]) -> Pixels:
    """Read an IDX file (yann.lecun.com's format: a header of 4 bytes and 4 for each dimension, then the values)."""
    data = gzip.decompress(bundled(name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
