"""How long `edgeproof --help` and `edgeproof bench --help` take, as ratios to `python -c "import click"`, in turns.

python -m tests.tools.command_start [--rounds 25]
"""

import os
import random
import statistics
import subprocess
import sys
import time

import click

from common.paths import PROGRAM

LAUNCHER = str(PROGRAM / "edgeproof.py")
FIRST = "import click"
COMMANDS = {
    FIRST: [sys.executable, "-c", "import click"],
    "edgeproof --help": [sys.executable, "-P", LAUNCHER, "--help"],
    "edgeproof bench --help": [sys.executable, "-P", LAUNCHER, "bench", "--help"],
}


def seconds(command: list[str]) -> tuple[float, float]:
    """Return the elapsed time of a command and its processor time, which depends less on other processes."""
    start_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - start_s, usage.ru_utime + usage.ru_stime


@click.command()
@click.option("--rounds", type=click.IntRange(3), default=25, show_default=True, help="Starts of each command.")
def main(rounds: int) -> None:
    """Print each command's medians, and their ratios to the first command's."""
    order, shuffle = list(COMMANDS), random.Random(0)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            taken[name].append(seconds(COMMANDS[name]))
    for name, values in taken.items():
        for place, kind in enumerate(("wall", "processor")):
            median = statistics.median(value[place] for value in values)
            first = statistics.median(value[place] for value in taken[FIRST])
            click.echo(f"{name}: {kind} {1000 * median:.0f} ms, {median / first:.2f} times {FIRST}")


if __name__ == "__main__":
    main()
