"""The command `python -m convert`."""

import click

from common.cli import Commands, run_cli
from convert.commands import deployment, doctor, elsewhere, run, show


@click.group(cls=Commands)
def main() -> None:
    """Convert trained models into artifacts that carry their card."""


for command in (
    run.run,
    elsewhere.inspect,
    elsewhere.card,
    show.show,
    deployment.check,
    deployment.export,
    deployment.bundle,
    doctor.doctor,
):
    main.add_command(command)

if __name__ == "__main__":
    run_cli(main, "convert")
