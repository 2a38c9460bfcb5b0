"""The command `init`: a starting point for a project of one's own."""

from pathlib import Path

import click

from common.advice import command
from common.paths import RESULTS


@click.command()
@click.argument("results", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--action", metavar="OWNER/NAME@REF", help="The GitHub Action that the workflow uses: this repository.")
@click.option("--data", type=click.Path(path_type=Path), help="Test pictures of RESULTS, if `bench run --data` named some.")
@click.option("--example", is_flag=True, help="Copy the two ready models and their pictures into ready/ instead.")
def init(results: Path, action: str | None, data: Path | None, example: bool) -> None:
    """Write budgets, a baseline, a workflow and edgeproof.toml into the working directory, never over a file.

    The limits are today's figures of RESULTS (build/bench.json), so measure first: `edgeproof bench run FILE...`.
    """
    if example:
        from common.project import copy_example

        click.echo(f"wrote {copy_example()}/: try `edgeproof bench run ready/mnist_cnn_crop.int8.tflite`")
        return
    from bench.budgets.starting_point import ACTION, WORKFLOW, write_starting_point

    written = write_starting_point(results, action or ACTION, data)
    for path in written.files:
        click.echo(f"wrote {path}")
    check = command("bench", "check", *([] if results == RESULTS else [results]))
    click.echo(f"budgets: {written.rules}, artifacts in the baseline: {written.artifacts}; check them with `{check}`")
    if action is None:
        click.echo(f"in {WORKFLOW}: put the owner of your copy of this repository where it says OWNER")
