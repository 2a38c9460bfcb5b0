"""Converting one trained model into its artifacts. A file gets its final name only when it is verified and has its card."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.files import replacing
from common.lock import exclusive
from common.progress import task_progress
from common.version import tool_versions
from convert import calibration as calibrate
from convert.bias_correction import choice as bias_correction
from convert.child import Child, Crashed, Workplace
from convert.deployment.compatibility import check, runs_per_channel_dense
from convert.deployment.target import Target
from convert.formats import tflite_reader, to_onnx, to_tflite
from convert.formats.card_writer import embed
from convert.formats.tflite_metadata import with_metadata
from convert.trained_model import NO_TFLITE, TrainedModel, name_of
from convert.variants import Format, Variant, find_variants
from convert.verification import golden, verify
from device.card import Card
from device.errors import CheckFailed, EdgeproofError
from device.open_model import open_session

TOOLS = {"tflite": ("tensorflow-cpu",), "onnx": ("onnx", "onnxruntime")}
FROM_KERAS = ("tf2onnx",)  # converts a Keras model to ONNX


@dataclass(frozen=True)
class Artifact:
    """A file that was written, and how often it was measured to agree with the float model."""

    path: Path
    variant: Variant
    agreement: verify.Agreement
    size_bytes: int
    correction: bias_correction.Choice | None = None  # None: the variant is not calibrated


def convert_model(
    child: Child, path: Path, variants: Sequence[Variant], failed: Callable[[str], None], target: Target | None = None
) -> Iterator[Artifact]:
    """Convert a trained model to each variant, for any device or for a target's runtime, and yield what was written.

    The child process does all of the work. `failed` gets a message for a variant that breaks its promise or on which a
    converter fails or crashes: no file of that name is left. It also gets a message for an artifact that the target cannot
    load: that file is kept. Raises EdgeproofError if the model itself is unusable.
    """
    for key in child.run(open_there, path, [variant.key for variant in variants]):
        artifact_path = path.parent / f"{name_of(path)}.{key}"
        try:
            with task_progress(f"{artifact_path.name}: converting and verifying"):
                artifact = child.run(convert_there, path, key, target)
        except CheckFailed as error:
            artifact_path.unlink(missing_ok=True)  # an older file of that name belongs to another model
            failed(f"{artifact_path}: {error}: not written")
            if isinstance(error, Crashed):
                child.run(open_there, path, [])
            continue
        yield artifact
        if target is not None and not (verdict := check(artifact_path, target)).runs:
            failed(f"{artifact_path}: {target.name}: {verdict}")
    child.run(close_there)


def open_there(workplace: Workplace, path: Path, keys: Sequence[str]) -> list[str]:
    """Open a model, lock its folder, and return the keys of the variants that can be made."""
    trained = workplace.exit.enter_context(closing(TrainedModel(path)))
    workplace.exit.enter_context(exclusive(trained.folder / trained.name))
    workplace.kept["trained"] = trained
    variants = possible(find_variants(keys), trained.formats) if keys else []
    if any(variant.calibrated for variant in variants):
        calibrate.check(trained.calibration, trained.card.labels, str(path))
    return [variant.key for variant in variants]


def convert_there(workplace: Workplace, path: Path, key: str, target: Target | None) -> Artifact:
    """Convert the open model to one variant."""
    trained, (variant,) = workplace.kept["trained"], find_variants([key])
    assert trained.path == path
    return convert_variant(trained, variant, path.parent / f"{trained.name}.{key}", target)


def close_there(workplace: Workplace) -> None:
    """Close the model and unlock its folder."""
    workplace.kept.clear()
    workplace.exit.close()


def possible(variants: Sequence[Variant], formats: Sequence[Format]) -> list[Variant]:
    """Leave out the variants in a format that cannot be made.

    A variant that was requested in only that format stays in the list, so that it is refused with the reason.
    """
    made = [variant for variant in variants if variant.format in formats]
    if tuple(variants) == find_variants([]):
        return made
    names = {variant.name for variant in made}
    return [variant for variant in variants if variant in made or variant.name not in names]


def convert_variant(trained: TrainedModel, variant: Variant, path: Path, target: Target | None) -> Artifact:
    """Convert an open model to one variant, in the process that calls it, and verify it.

    Raises CheckFailed if it breaks the variant's promise, EdgeproofError if it cannot be made.
    """
    own: dict[str, Any] = {}
    float_nodes: tuple[str, ...] = ()
    if variant.by_doctor:
        raise EdgeproofError(f"{variant.key} is made by `edgeproof convert doctor {trained.folder.name} --fix`")
    if variant.format not in trained.formats:
        raise CheckFailed(NO_TFLITE)
    if variant.format == "tflite":
        source = trained.tflite_source
        if target is not None and runs_per_channel_dense(target):
            source = replace(source, per_channel_dense=True)
        data = to_tflite.convert(source, variant)
    else:
        model = _onnx_model(trained, variant)
        data, float_nodes = model.data, model.float_nodes
        own["session"] = model.session
    correction = bias_correction.choose(trained, variant, data, own) if variant.calibrated else None
    return write_artifact(trained, variant, path, data, float_nodes, own, correction)


def write_artifact(
    trained: TrainedModel,
    variant: Variant,
    path: Path,
    data: bytes,
    float_nodes: Sequence[str],
    own: dict[str, Any],
    correction: bias_correction.Choice | None = None,
) -> Artifact:
    """Verify a converted model, put its card inside, and move it to its final name.

    `own` is the artifact's own part of the card. With a `correction`, its model is written and its measured agreement is
    used. Raises CheckFailed if the model breaks its variant's promise: then nothing is written.
    """
    agreement = None
    if correction is not None:
        data, agreement, own["bias_correction"] = correction.data, correction.agreement, correction.to_json()
    if variant.format == "tflite":
        data = with_metadata(data, {**trained.common, "variant": variant.name})
    with replacing(path) as temporary:
        temporary.write_bytes(data)
        verify.check_types(temporary, variant, float_nodes, trained.fixed_batch)
        if variant.format == "tflite":
            own["min_runtime"] = tflite_reader.min_runtime(tflite_reader.read_model(data))
        own["float_layers"] = list(float_nodes)
        card = Card.from_json({**trained.common, **own, "variant": variant.name})
        known, margin = trained.validation, verify.counted_margin(variant, trained.trained_here)
        if agreement is None:
            sessions = verify.open_sessions(temporary, card)
            agreement = verify.agreement(sessions, known.pixels, known.probabilities, variant, margin)
        agreement = replace(agreement, reference=trained.reference)
        verify.check_agreement(variant, agreement)
        session = open_session(temporary, card)
        own["golden"] = golden.golden_json(trained.golden, session)
        own["golden_tolerance"] = golden.tolerance_json(variant, session)
        embed(temporary, _complete_card(trained, variant, own, agreement))
        size_bytes = temporary.stat().st_size
    return Artifact(path, variant, agreement, size_bytes, correction and replace(correction, data=b""))


def _onnx_model(trained: TrainedModel, variant: Variant) -> to_onnx.OnnxModel:
    return to_onnx.convert(variant, trained.onnx, lambda: trained.calibration)


def _complete_card(
    trained: TrainedModel, variant: Variant, own: Mapping[str, Any], agreement: verify.Agreement
) -> dict[str, Any]:
    """Add the artifact's own part to the common card."""
    card: dict[str, Any] = json.loads(json.dumps(trained.common))
    card |= {"variant": variant.name, **own}
    card["accuracy"]["validation_agreement"] = agreement.to_json()
    if variant.calibrated:
        used = own.get("fix", {}).get("calibration")  # the doctor may use more pictures
        card["provenance"]["calibration"] = used or trained.calibration.to_json()
    between = FROM_KERAS if variant.format == "onnx" and "tflite" in trained.formats else ()
    tools = (*between, *TOOLS[variant.format])
    card["provenance"]["tools"] |= tool_versions(tools)
    return card
