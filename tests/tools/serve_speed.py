"""What a served picture costs over `classify` with the model already open, in turns.

    python -m tests.tools.serve_speed [MODEL...] [--rounds 40]

Each picture of data/ready is decoded from its bytes, prepared and classified in this process, and sent to `classify.py
MODEL --serve` in another, alternately. Exit code 1 where the median of a served picture is over 1.1 times that of the
other, plus 3 ms.
"""

import io
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import click

from common.paths import DATA, PROGRAM
from device.card import CardlessOptions
from device.inference import classify
from device.open_model import open_model

READY = DATA / "ready"
MAX_RATIO, MAX_MS = 1.1, 3.0
WAYS = {"/classify": "as programs ask", "/classify?top=10&prepared=1": "as the page asks"}


@contextmanager
def served(model: Path) -> Iterator[int]:
    """Serve a model in a process of its own; yields the port."""
    command = [sys.executable, str(PROGRAM / "device" / "classify.py"), str(model), "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        try:
            assert found is not None, "it does not serve"
            yield int(found[1])
        finally:
            process.kill()


def post_ms(port: int, path: str, picture: bytes) -> float:
    """Return how long a client waits for the answer, with a new connection."""
    start_ns = time.perf_counter_ns()
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("POST", path, picture)
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 200, response.status
    return (time.perf_counter_ns() - start_ns) / 1e6


def measured(model: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return, for each way to ask, pairs of milliseconds: in this process, served."""
    session, card = open_model(model, CardlessOptions(), 1, None)
    pictures = [path.read_bytes() for path in sorted((READY / "pictures").rglob("*.jpg"))]
    found: dict[str, list[tuple[float, float]]] = {path: [] for path in WAYS}
    shuffle = random.Random(0).shuffle
    with served(model) as port:
        for turn in range(rounds + 1):
            jobs = [(path, picture) for path in WAYS for picture in pictures]
            shuffle(jobs)
            for path, picture in jobs:
                start_ns = time.perf_counter_ns()
                classify(io.BytesIO(picture), session, card)
                alone_ms = (time.perf_counter_ns() - start_ns) / 1e6
                pair = (alone_ms, post_ms(port, path, picture))
                if turn:  # the first turn warms up
                    found[path].append(pair)
    return found


@click.command()
@click.argument("models", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", type=click.IntRange(1), default=40, show_default=True, help="Of all pictures.")
def main(models: tuple[Path, ...], rounds: int) -> None:
    """Print both medians and their ninth deciles, and end with 1 where the limit is broken."""
    broken = False
    for model in models or sorted(READY.glob("*.tflite")):
        for path, pairs in measured(model, rounds).items():
            alone, answered = ([pair[which] for pair in pairs] for which in (0, 1))
            middle, limit = statistics.median(answered), MAX_RATIO * statistics.median(alone) + MAX_MS
            broken |= middle > limit
            tenths = [statistics.quantiles(values, n=10)[-1] for values in (alone, answered)]
            click.echo(
                f"{model.name}, {WAYS[path]}: classify p50 {statistics.median(alone):.2f}, p90 {tenths[0]:.2f} ms; "
                f"served p50 {middle:.2f}, p90 {tenths[1]:.2f} ms, limit {limit:.2f} ms ({len(pairs)} pictures each)"
            )
    sys.exit(broken)


if __name__ == "__main__":
    main()
