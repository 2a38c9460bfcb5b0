"""Whether a model file runs on a target, decided before anything is copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.deployment.neighbours import other_variants
from convert.deployment.required_operators import PER_CHANNEL_DENSE, Needs, Operation, onnx_needs, tflite_needs
from convert.deployment.target import Target, Wheel, best_wheel, find_target, target_names, wheels
from convert.deployment.trial import refused_here
from device.errors import EdgeproofError
from device.formats.model_file import model_format, read_card, read_model_bytes


@dataclass(frozen=True)
class Verdict:
    """Whether a file runs on a target: with which wheel, or why with none, and which variants do."""

    path: Path
    target: Target
    wheel: Wheel | None  # the best one that the target can install and that loads the file
    reasons: tuple[str, ...]  # for each better or other wheel, why it is not chosen
    instead: tuple[str, ...] = ()  # names of the model's other variants beside the file that run on the target

    @property
    def runs(self) -> bool:
        """Say whether the target can run the file."""
        return self.wheel is not None

    @property
    def install(self) -> str | None:
        """Return the command that installs the runtime on the target."""
        return None if self.wheel is None else self.target.install_command(self.wheel)

    def __str__(self) -> str:
        if self.wheel is not None:
            return f"runs ({self.target.place(self.wheel)}): {self.install}"
        advice = f"use {', '.join(self.instead)}" if self.instead else "no other variant beside it runs: convert again"
        return f"does not run: {'; '.join(self.reasons)}: {advice}"


def check(path: Path, target: Target | str) -> Verdict:
    """Decide whether a target can load a `.tflite` or `.onnx` file, from what the file needs and the available wheels.

    If the target's version of the runtime is installed here, it opens the file as a trial in a process of its own.
    Neither TensorFlow nor a runtime is imported in this process. Raises ModelError or CardError for a file that is
    missing or damaged, EdgeproofError for an unknown target.
    """
    chosen = find_target(target) if isinstance(target, str) else target
    verdict = _judge(path, chosen)
    if verdict.runs:
        return verdict
    return Verdict(path, chosen, None, verdict.reasons, tuple(_variants_that_run(path, chosen)))


def check_all(path: Path, names: Sequence[str] = ()) -> list[Verdict]:
    """Check a file against the named targets, or against all for none or "all"."""
    requested = target_names() if not names or "all" in names else names
    targets = [find_target(name) for name in requested]
    return [check(path, target) for target in targets]


def runs_per_channel_dense(target: Target) -> bool:
    """Say whether a target's runtime has dense layers with float input and int8 weights with a scale for each channel."""
    wheel = best_wheel(target, "tflite")
    return wheel is not None and Operation(*PER_CHANNEL_DENSE).problem(wheel) is None


def _judge(path: Path, target: Target) -> Verdict:
    data = read_model_bytes(path)
    kind = model_format(path, data)
    read_card(path)  # a card of another model is an error now, not only on the device
    needs: Needs = tflite_needs(path, data) if kind == "tflite" else onnx_needs(path, data)
    reasons: list[str] = []
    for wheel in wheels():
        if wheel.format != kind:
            continue
        misfit = target.misfit(wheel)
        problems = [misfit] if misfit else needs.problems(wheel)
        if not problems and (refused := refused_here(path, wheel)):
            problems = [refused]
        if not problems:
            return Verdict(path, target, wheel, tuple(reasons))
        if not (misfit and target.only_wheel):
            reasons += problems
    return Verdict(path, target, None, tuple(reasons) or (f"{target.only_wheel} does not read .{kind} files",))


def _variants_that_run(path: Path, target: Target) -> list[str]:
    """Return the names of the files MODEL.OTHER_VARIANT.FORMAT beside MODEL.VARIANT.FORMAT that run on a target."""
    return [other.name for other in other_variants(path) if _is_usable_and_runs(other, target)]


def _is_usable_and_runs(path: Path, target: Target) -> bool:
    try:
        return _judge(path, target).runs
    except EdgeproofError:  # a damaged file is not suggested
        return False
