"""The doctor's cures that leave no layer in float: what each does, and how a treated model answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.paired_accuracy import Paired
from convert import calibration as calibrate
from convert.bias_correction.arithmetic import Uncorrectable
from convert.bias_correction.choice import correct
from convert.calibration import CALIBRATION_COUNT, Calibration
from convert.doctor.examined_model import ExaminedModel, answers_of, calibrated
from convert.doctor.layer_error import NO_RANGES, LayerError, Quantized, Quantizer, Ranges
from convert.doctor.range_rule import least_squares_ranges
from convert.variants import Variant
from convert.verification.verify import Agreement

Say = Callable[[str], None]
MORE_PICTURES = 4 * CALIBRATION_COUNT
RANGE_PICTURES = 50  # for the range rule


@dataclass(frozen=True)
class Treatment:
    """The cures that are applied to a model, in this order."""

    corrected: bool = False
    calibration: Calibration | None = None  # None: the usual pictures
    ranges: Ranges = field(default_factory=lambda: NO_RANGES)
    layers: tuple[LayerError, ...] = ()  # left in float

    @property
    def is_what_conversion_does(self) -> bool:
        """Say whether a conversion does the same: nothing but, possibly, bias correction."""
        return self.calibration is None and not self.ranges and not self.layers

    def describe(self) -> list[str]:
        """Return a text for each cure."""
        words = ["bias correction"] if self.corrected else []
        words += [f"{len(self.calibration.pixels):,} calibration pictures"] if self.calibration else []
        words += [f"ranges by least squares of {len(self.ranges)} tensors"] if self.ranges else []
        return words + ([f"{len(self.layers)} layers in float"] if self.layers else [])

    def to_json(self) -> dict[str, Any]:
        """Return the cures as text, with the calibration and the ranges that differ from the usual ones."""
        document: dict[str, Any] = {"cures": self.describe()}
        if self.calibration is not None:
            document["calibration"] = self.calibration.to_json()
        if self.ranges:
            document["ranges"] = {name: list(limits) for name, limits in self.ranges.items()}
        return document


@dataclass(frozen=True)
class Trial:
    """A treated model and its answers to the sample."""

    treatment: Treatment
    model: Quantized
    paired: Paired
    agreement: Agreement

    @property
    def sort_key(self) -> tuple[int, float]:
        """Return the key that compares two trials: fewer answers that differ from float, then the smaller drop."""
        return self.agreement.differing, self.paired.drop


class TreatmentTester:
    """Treats one model of one format in several ways, and measures each on all validation pictures."""

    def __init__(self, examined: ExaminedModel, variant: Variant, say: Say) -> None:
        self.examined, self.variant, self._say = examined, variant, say
        self._recalibrated: dict[int, Quantizer] = {}

    def attempt(self, treatment: Treatment) -> Trial:
        """Quantize the model with this treatment and let it answer the sample."""
        model = self._quantizer(treatment).quantized([error.node for error in treatment.layers], treatment.ranges)
        if treatment.corrected:
            model = replace(model, data=self._corrected(model.data, treatment))
        sample = self.examined.sample
        found = answers_of(model, self.examined.trained, self.variant, sample.pixels)
        return Trial(treatment, model, sample.paired(found), sample.agreement(found))

    def cures(self) -> Mapping[str, Callable[[Treatment], Treatment | None]]:
        """Return the cures in the order in which they are tried. A cure returns None if it has nothing to change."""
        return {
            "bias correction": lambda before: replace(before, corrected=True),
            "more calibration pictures": self._more_pictures,
            "another range rule for single tensors": self._other_ranges,
        }

    def _more_pictures(self, before: Treatment) -> Treatment | None:
        trained = self.examined.trained
        more = calibrate.choose(trained.dataset.train, trained.steps, MORE_PICTURES)
        return replace(before, calibration=more) if len(more.pixels) > len(trained.calibration.pixels) else None

    def _other_ranges(self, before: Treatment) -> Treatment | None:
        pixels = (before.calibration or self.examined.trained.calibration).pixels[:RANGE_PICTURES]
        ranges = least_squares_ranges(self._quantizer(before).activations(pixels))
        return replace(before, ranges=ranges) if ranges else None

    def _quantizer(self, treatment: Treatment) -> Quantizer:
        calibration = treatment.calibration
        if calibration is None:
            return self.examined.quantizer(self.variant)
        if len(calibration.pixels) not in self._recalibrated:
            made = calibrated(self.examined.trained, self.variant, calibration)
            self._recalibrated[len(calibration.pixels)] = made
        return self._recalibrated[len(calibration.pixels)]

    def _corrected(self, data: bytes, treatment: Treatment) -> bytes:
        trained = self.examined.trained
        try:
            return correct(trained, self.variant, data, (treatment.calibration or trained.calibration).pixels).data
        except Uncorrectable as error:
            self._say(f"{self.variant.key}: no bias correction: {error}")
            return data


def best_without_float(
    tester: TreatmentTester, is_within: Callable[[Trial], bool], describe_trial: Callable[[str, Trial], str], say: Say
) -> Trial:
    """Try the cures in order, keep each cure that helps, and stop when the model is within the limit. Report each result."""
    best = tester.attempt(Treatment())
    say(describe_trial("as converted", best))
    for name, cure in tester.cures().items():
        if is_within(best):
            break
        treatment = cure(best.treatment)
        if treatment is None:
            say(f"{tester.variant.key}, {name}: there is nothing to change")
            continue
        found = tester.attempt(treatment)
        helps = found.sort_key < best.sort_key
        say(f"{describe_trial(name, found)}: {'kept' if helps else 'not kept'}")
        best = found if helps else best
    return best


def float_layers(trial: Trial) -> Sequence[str]:
    """Return the layers that a trial leaves in float, for the card."""
    return [f"{error.layer} ({error.operation})" for error in trial.treatment.layers]
