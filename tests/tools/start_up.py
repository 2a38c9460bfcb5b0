"""How long classify.py takes from its start to its first answer, as a folder, an archive and one file, in turns.

    python -m tests.tools.start_up [--against FILE] [--pairs 15] [--python OTHER]

Each form classifies one picture of data/ready with int8 mnist_cnn in a process of its own. FILE is the program as one file
to compare with, as `git show REVISION:device/classify.py` of before it was a package gives it; without it the folder is
compared with. OTHER is another Python with numpy, Pillow and a runtime: the archive's byte code is of this one, and passed
over there.
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from common.paths import DATA, PROGRAM
from convert.deployment.one_file import NAME, device_archive

MODEL = DATA / "ready" / "mnist_cnn.int8.tflite"
PICTURE = DATA / "ready" / "pictures" / "4" / "corner_shadow.jpg"


def seconds(python: str, program: Path, folder: Path) -> float:
    """Return how long the program takes for one picture, start to end."""
    command = [python, str(program), str(MODEL), str(PICTURE), "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start_ns = time.perf_counter_ns()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return (time.perf_counter_ns() - start_ns) / 1e9


@click.command()
@click.option("--against", type=click.Path(path_type=Path), help="The program as one file, to compare with.")
@click.option("--pairs", type=click.IntRange(3), default=15, show_default=True, help="Starts of each form.")
@click.option("--python", default=sys.executable, help="Another Python.")
def main(against: Path | None, pairs: int, python: str) -> None:
    """Print each form's median, and the median of its ratios to the first form."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(PROGRAM / "device", folder / "device", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / NAME).write_bytes(device_archive())
        forms = {"folder": folder / "device" / "classify.py", "archive": folder / NAME}
        if against is not None:
            (folder / "alone").mkdir()
            forms = {"one file": Path(shutil.copy(against, folder / "alone" / "classify.py")), **forms}
        for program in forms.values():
            seconds(python, program, folder)  # caches are warm, the folder's byte code is written
        taken: dict[str, list[float]] = {name: [] for name in forms}
        order, shuffle = list(forms), random.Random(0)
        for _ in range(pairs):
            shuffle.shuffle(order)
            for name in order:
                taken[name].append(seconds(python, forms[name], folder))
    first, *_ = forms
    for name, values in taken.items():
        ratio = statistics.median(own / other for own, other in zip(values, taken[first], strict=True))
        click.echo(f"{name:10} {1000 * statistics.median(values):6.0f} ms   {ratio:.2f} of {first}")


if __name__ == "__main__":
    main()
