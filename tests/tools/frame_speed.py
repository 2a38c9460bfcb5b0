"""How long finding and framing the digit of a photo takes, for both frames, in turns.

    python -m tests.tools.frame_speed [--photos 24] [--rounds 20]

The photos are drawn from MNIST's test digits, of one megapixel each.
"""

import random
import statistics
import time
from dataclasses import replace

import click
import numpy as np
from PIL import Image

from device.pictures.digit_frame import digit_frame
from device.pictures.steps import gray
from device.pictures.stroke_frame import stroke_frame
from tests.support.photo_digits import photo_like, random_scene
from train.data.mnist import load_mnist

SIZE = (1155, 866)  # one megapixel, four to three
FRAMES = {"stroke_frame": stroke_frame, "digit_frame": digit_frame}


def photos(count: int) -> list[Image.Image]:
    """Draw the first test digits as gray photos of one megapixel."""
    test = load_mnist().test
    found = []
    for index in range(count):
        random_of_photo = np.random.default_rng(index)
        scene = replace(random_scene(random_of_photo), size=SIZE)
        found.append(gray(photo_like(np.asarray(test.open(index)), random_of_photo, scene)))
    return found


def measured_ms(pictures: list[Image.Image], rounds: int) -> dict[str, list[float]]:
    """Return for each frame the median time of each picture; what takes turns meets the same moments of the machine."""
    taken: dict[tuple[str, int], list[float]] = {(name, index): [] for name in FRAMES for index in range(len(pictures))}
    shuffle = random.Random(0).shuffle
    for turn in range(rounds + 1):
        jobs = list(taken)
        shuffle(jobs)
        for name, index in jobs:
            start_ns = time.perf_counter_ns()
            FRAMES[name](pictures[index])
            if turn:  # the first turn warms up
                taken[name, index].append((time.perf_counter_ns() - start_ns) / 1e6)
    return {name: [statistics.median(times) for (of, _), times in taken.items() if of == name] for name in FRAMES}


@click.command()
@click.option("--photos", "count", type=click.IntRange(1), default=24, show_default=True, help="Photos to draw.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Times that each is framed.")
def main(count: int, rounds: int) -> None:
    """Print each frame's median and slowest time."""
    for name, times in measured_ms(photos(count), rounds).items():
        click.echo(f"{name}: median {statistics.median(times):.2f} ms, the slowest photo {max(times):.2f} ms")


if __name__ == "__main__":
    main()
