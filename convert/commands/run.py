"""The command that converts: run, also for a model that was not trained here."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.native_lines import filtered
from convert.commands.shared import PATH, on_untrusted_file, say

if TYPE_CHECKING:
    from convert.child import Child


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL|FILE...")
@click.option("--variants", default="", metavar="A,B", help="Only these, as int8 or int8.onnx  [default: all]")
@click.option("--target", "target_name", metavar="NAME", help="Convert for the runtimes of this target and check that.")
@click.option("--labels", type=PATH, metavar="FILE", help="Labels of a model from elsewhere, one a line.")
@click.option("--calibration", type=PATH, metavar="DIR", help="Its pictures: in DIR, or in a folder for each class.")
@click.option("--validation", type=PATH, metavar="DIR", help="Verify with these, not with a third of DIR.")
@click.option("--input-range", metavar="A..B", help="Values that it takes: 0..255, 0..1, -1..1, any A..B, caffe, torch.")
@click.option(
    "--preprocess",
    metavar="FILE|PRESET",
    help="Steps and values: JSON, preprocessor_config.json, timm's config.json; torchvision, keras:NAME, teachable-machine.",
)
@click.option("--size", type=click.IntRange(1, 8192), metavar="PIXELS", help="Side of its pictures, if it takes any size.")
@click.option("--name", metavar="NAME", help="Name of its folder, build/NAME  [default: the file's]")
@click.option("--skip-bad", is_flag=True, help="Leave out unusable pictures.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), help="How pictures are fitted to its size.")
@click.option("--confirm-range", is_flag=True, help="Convert even if labelled pictures contradict --input-range.")
@click.option("--signature", metavar="NAME", help="Signature of a SavedModel with several.")
@click.option("--unsafe-code", "unsafe", is_flag=True, help="Run the Python code inside it (Lambda layers).")
@filtered()
def run(models: tuple[str, ...], variants: str, target_name: str | None, **import_options: Any) -> int:
    """Convert each MODEL (or MODEL@NAME) of build/ into its variants, verify them and write them beside it.

    With --calibration, FILE is a model from elsewhere (`convert inspect FILE` says what is known of it):
    it is first imported as build/NAME/.
    """
    from convert.bias_correction.choice import describe as correction_line
    from convert.child import Child
    from convert.deployment.target import best_wheel, find_target
    from convert.pipeline import convert_model
    from convert.trained_model import keras_path
    from convert.variants import find_variants
    from convert.verification.verify import describe

    target = None if target_name is None else find_target(target_name)
    chosen = find_variants([name.strip() for name in variants.split(",") if name.strip()])
    if target is not None and not variants:  # variants that no runtime of the target reads are made only by name
        chosen = tuple(variant for variant in chosen if best_wheel(target, variant.format))
    failures: list[str] = []

    def failed(message: str) -> None:
        failures.append(message)
        click.echo(f"convert: {message}", err=True)

    with Child(say) as child:
        known = not any(import_options.values())
        for path in [keras_path(model) for model in models] if known else [_imported(child, models, **import_options)]:
            for artifact in convert_model(child, path, chosen, failed, target):
                size = f"{artifact.size_bytes / 1000:,.0f} kB"
                correction = "" if artifact.correction is None else f"; {correction_line(artifact.correction)}"
                promise = artifact.variant.promise
                say(f"{artifact.path}: {size}, {promise}; {describe(artifact.agreement)}{correction}")
    return 1 if failures else 0


def _imported(child: "Child", models: Sequence[str], labels: Path | None, calibration: Path | None, **others: Any) -> Path:
    """Import the one model that was not trained here."""
    from convert.importing.import_model import import_in_child
    from convert.importing.import_options import ImportOptions

    if len(models) != 1:
        raise click.UsageError(
            f"found {len(models)} models; --labels, --calibration and their options need exactly one FILE"
        )
    if calibration is None:
        raise click.UsageError(
            "a model that was not trained here needs --calibration DIR, and --labels FILE if it has no labels"
        )
    return on_untrusted_file(
        child, models[0], import_in_child, ImportOptions(Path(models[0]), labels, calibration, **others)
    )
