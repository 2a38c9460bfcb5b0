"""The command that prints a card: show."""

import json
from pathlib import Path

import click

from convert.commands.shared import PATH, say


@click.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the whole card.")
def show(file: Path, as_json: bool) -> None:
    """Print the card that is inside FILE."""
    from convert.show import card_text, how_to_get_a_card
    from device.errors import CardError
    from device.formats.model_file import model_format, read_card, read_model_bytes

    card = read_card(file)
    if card is None:
        raise CardError(f"{file}: has no card: {how_to_get_a_card(file)}")
    if as_json:
        say(json.dumps(card.document, indent=1, ensure_ascii=False))
    else:
        click.echo(card_text(file, model_format(file, read_model_bytes(file)), card))
