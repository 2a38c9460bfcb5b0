"""Commands for models that were not trained here: inspect, card."""

import json
from pathlib import Path
from typing import Any

import click

from convert.commands.shared import PATH, on_untrusted_file, say


@click.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the source of each fact.")
@click.option("--signature", metavar="NAME", help="Signature of a SavedModel with several.")
@click.option("--unsafe-code", "unsafe", is_flag=True, help="Run the Python code inside it (Lambda layers).")
def inspect(file: Path, as_json: bool, signature: str | None, unsafe: bool) -> None:
    """Print what is known of FILE, a model that was not trained here, and what is missing to convert it."""
    from convert.child import Child
    from convert.importing.import_model import inspect_in_child
    from convert.importing.sources import Opening
    from convert.importing.understood import understood_text

    with Child(say) as child:
        understood = on_untrusted_file(child, file, inspect_in_child, file, Opening(unsafe, signature))
    say(json.dumps(understood.to_json(), indent=1, ensure_ascii=False) if as_json else understood_text(understood))


@click.command()
@click.argument("file", type=PATH)
@click.option("--labels", type=PATH, metavar="FILE", help="Its labels, if it does not have them inside.")
@click.option("--input-range", metavar="A..B", help="The values that it takes, if it does not say them.")
@click.option("--preprocess", metavar="FILE|PRESET", help="Steps and values, as for `run`.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), help="How pictures are fitted to its size  [default: crop]")
@click.option("--pictures", type=PATH, metavar="DIR", help="Choose golden pictures from these; else they are made up.")
@click.option("--name", metavar="NAME", help="Name of its folder, build/NAME  [default: the file's]")
def card(file: Path, **options: Any) -> None:
    """Add a card to FILE, a .tflite of another converter: build/NAME/ gets its unchanged bytes and the card behind them."""
    from convert.child import Child
    from convert.importing.add_card import CardOptions, add_card_in_child

    with Child(say) as child:
        added = on_untrusted_file(child, file, add_card_in_child, CardOptions(file, **options))
    steps = ", ".join(step.name for step in added.card.preprocess)
    say(f"{added.path}: {len(added.card.labels)} labels, steps {steps}, {added.golden} golden pictures")
