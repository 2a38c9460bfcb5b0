"""The command `python -m bench`."""

import click

from bench.commands import budgets, init, measure, report, run, search
from common.cli import Commands, run_cli


@click.group(cls=Commands)
def main() -> None:
    """Measure artifacts: accuracy, latency, start-up, memory and size in every runtime."""


for command in (
    run.run,
    report.report,
    report.recommend,
    report.compare,
    search.search,
    measure.faster,
    measure.doctor,
    measure.emulate,
    measure.rehearse,
    measure.count,
    budgets.check,
    budgets.gate,
    budgets.baseline,
    init.init,
):
    main.add_command(command)

if __name__ == "__main__":
    run_cli(main, "bench")
