"""A benchmark: the time until 98.6 % of MNIST's test pictures are right, for the tutorial's script and for this project.

Run by `make train-speed`. Both train the same network on one machine in turns; only the ratio has a meaning.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from train.data.dataset import Dataset
from train.data.mnist import load_mnist
from train.examples import Examples, prepared_examples
from train.fitting.fit import fit
from train.models import find_model
from train.spec import Recipe

GOAL = 0.986
REPEATS = 3
MAX_EPOCHS = 12  # a run that has not reached the goal by then never reaches it


def seconds_to_goal(epochs: Sequence[tuple[float, float]]) -> float | None:
    """Return the time until the first epoch whose accuracy reaches the goal; epochs are (accuracy, seconds)."""
    total = 0.0
    for accuracy, seconds in epochs:
        total += seconds
        if accuracy >= GOAL:
            return total
    return None


def tutorial_script(train: Examples, test: Examples, seed: int) -> list[tuple[float, float]]:
    """Train as the tutorial's script does: float arrays, fit(), batch 32, Adam; (test accuracy, seconds) an epoch."""
    import keras

    keras.utils.set_random_seed(seed)
    network = find_model("mnist_cnn").build(10)
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, x_test = train.pixels.astype("float32"), test.pixels.astype("float32")
    epochs: list[tuple[float, float]] = []
    while len(epochs) < MAX_EPOCHS and not (epochs and epochs[-1][0] >= GOAL):
        start_s = time.monotonic()
        network.fit(x, train.labels, batch_size=32, verbose=0)
        _, accuracy = network.evaluate(x_test, test.labels, verbose=0)
        epochs.append((accuracy, time.monotonic() - start_s))
    return epochs


def this_project(recipe: str) -> Callable[[Examples, Examples, int], list[tuple[float, float]]]:
    """Return a function that trains with a recipe of mnist_cnn; the test pictures are used for validation.

    A recipe with a constant rate may run as many epochs as the script, since a shorter run is its beginning.
    """

    def train_with(train: Examples, test: Examples, seed: int) -> list[tuple[float, float]]:
        import keras

        keras.utils.set_random_seed(seed)
        model = find_model("mnist_cnn")
        network: Any = model.build(10)
        given = model.spec.recipe(recipe).phases
        phases = tuple(phase if phase.cosine else replace(phase, epochs=MAX_EPOCHS) for phase in given)
        history = fit(network, Recipe(phases), train, test, seed)
        return [(epoch.val_accuracy, epoch.seconds) for epoch in history]

    return train_with


def main() -> None:
    """Print the seconds of each repeat and the ratio of the medians."""
    dataset: Dataset = load_mnist()
    spec = find_model("mnist_cnn").spec
    train, _ = prepared_examples(dataset, spec.preprocess, Recipe(spec.recipe("tutorial").phases, validation_images=1), 0)
    test = Examples(dataset.test.prepared(spec.preprocess), dataset.test.labels)
    ways = {"the tutorial's script": tutorial_script, "recipe tutorial": this_project("tutorial")}
    ways["recipe fast"] = this_project("fast")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(REPEATS):
        for name, way in ways.items():
            reached = seconds_to_goal(way(train, test, seed))
            seconds[name].append(float("inf") if reached is None else reached)
            print(f"seed {seed}, {name}: " + ("never" if reached is None else f"{reached:.1f} s to {100 * GOAL} %"))
    script = median(seconds["the tutorial's script"])
    for name in ("recipe tutorial", "recipe fast"):
        print(f"{name}: {median(seconds[name]) / script:.2f} of the script's time to {100 * GOAL} % (medians of {REPEATS})")


if __name__ == "__main__":
    main()
