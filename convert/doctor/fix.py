"""The doctor's cures, in this order: bias correction, more calibration pictures, other ranges, layers in float."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from common.paired_accuracy import Paired
from common.verdict import Verdict
from convert.doctor.checks import interval_text
from convert.doctor.examined_model import UNDECIDED, ExaminedModel
from convert.doctor.layer_error import LayerError, worst_first
from convert.doctor.treatments import Treatment, TreatmentTester, Trial, best_without_float, float_layers
from convert.pipeline import Artifact, write_artifact
from convert.variants import Variant, find_variants
from convert.verification.verify import agrees
from device.errors import CheckFailed

FIXED = "int8_fixed"
WORDS = {Verdict.PASS: "within", Verdict.FAIL: "exceeds", Verdict.INCONCLUSIVE: "not distinguishable"}  # for a drop
PRUNED_AT_MOST = 12  # with more float layers, none is tried in int8 again: each trial answers the whole sample


@dataclass(frozen=True)
class Fix:
    """What was done to the model, the accuracy that it then loses, and the written file. None: int8 needs no fix."""

    treatment: Treatment
    paired: Paired
    artifact: Artifact | None

    @property
    def float_layers(self) -> tuple[LayerError, ...]:
        """Return the layers that stay in float."""
        return self.treatment.layers


class _Search:
    """Tries a model with some of its layers in float, and measures each trial on all validation pictures."""

    def __init__(self, examined: ExaminedModel, variant: Variant, max_drop: float, say: Callable[[str], None]) -> None:
        self.tester = TreatmentTester(examined, variant, say)
        self._variant, self._max_drop, self._say = variant, max_drop, say
        self._start = Treatment()

    def without_float(self) -> Trial:
        """Try the cures that leave no layer in float. The search over layers starts from their result."""
        found = best_without_float(self.tester, self.is_within, self.describe_trial, self._say)
        self._start = found.treatment
        return found

    def attempt(self, layers: Sequence[LayerError]) -> Trial:
        """Quantize all but these layers and answer the sample."""
        found = self.tester.attempt(replace(self._start, layers=tuple(layers)))
        self._say(self.describe_trial(f"{len(layers)} more layer{'s' * (len(layers) > 1)} in float", found))
        return found

    def describe_trial(self, what: str, found: Trial) -> str:
        """Return a line about a trial and its result."""
        answers = f"{found.agreement.differing:,} of {found.agreement.total:,} answered differently from float"
        return f"{self._variant.key}, {what}: {answers}; {describe(found.paired, self._max_drop)}"

    def is_within(self, one: Trial) -> bool:
        """Say whether the drop is shown to be within the limit and the agreement with float is as promised."""
        return one.paired.verdict(self._max_drop) is Verdict.PASS and agrees(self._variant, one.agreement)

    def fewest(self, layers: Sequence[LayerError]) -> Trial:
        """Double the number of worst layers in float until the drop is within the limit, then search by bisection.

        Two orders of "worst" are tried, because each misses one kind of fault. A layer's own error does not show values
        that are lost between two layers. The accumulated error is large in late layers if an early layer is bad.
        Raises CheckFailed if the drop is not within the limit with all layers in float.
        """
        orders = (sorted(layers, key=lambda error: error.alone_db), worst_first(layers))
        low, number = 0, 1
        while number < len(layers):
            for order in orders:
                if self.is_within(found := self.attempt(order[:number])):
                    return self._bisect(order, low, found)
            low, number = number, 2 * number
        found = self.attempt(layers)
        if not self.is_within(found):
            raise CheckFailed(self._too_large(found.paired))
        return self._bisect(orders[0], low, found)

    def _bisect(self, order: Sequence[LayerError], low: int, found: Trial) -> Trial:
        """Return the shortest prefix of `order` longer than `low` that is within the limit; `found` is one such prefix."""
        number = len(found.treatment.layers)
        while number - low > 1:
            middle = (low + number) // 2
            one = self.attempt(order[:middle])
            if self.is_within(one):
                number, found = middle, one
            else:
                low = middle
        return found

    def prune(self, found: Trial) -> Trial:
        """Put layers back into int8, the best first, if the drop stays within the limit."""
        if len(found.treatment.layers) > PRUNED_AT_MOST:
            return found
        for layer in reversed(found.treatment.layers[:-1]):  # without the last one the drop was too large
            one = self.attempt([other for other in found.treatment.layers if other is not layer])
            found = one if self.is_within(one) else found
        return found

    def _too_large(self, paired: Paired) -> str:
        return f"{self._variant.key}: even with all layers in float: {describe(paired, self._max_drop)}: not written"


def fix(
    examined: ExaminedModel, variant: Variant, layers: Sequence[LayerError], max_drop: float, say: Callable[[str], None]
) -> Fix:
    """Try the cures in order until int8's drop is within `max_drop`. The last cure leaves the worst layers in float.

    "Within" means that the whole 99 % interval of the paired drop on the validation pictures is. Raises CheckFailed if the
    pictures are too few to show it, or if no model is within.
    """
    search, sample = _Search(examined, variant, max_drop, say), examined.sample
    if not sample.counts.any():
        raise CheckFailed(
            f"{variant.key}: {UNDECIDED.format(examined.trained.reference, len(sample.truth))}: nothing can be compared: "
            "not written"
        )
    check_resolvable(len(sample.truth), max_drop)
    found = search.without_float()
    if not search.is_within(found):
        found = search.prune(search.fewest(layers))
    if found.treatment.is_what_conversion_does:
        return Fix(found.treatment, found.paired, None)
    return Fix(found.treatment, found.paired, _write(examined, variant, found, max_drop))


def check_resolvable(pictures: int, max_drop: float) -> None:
    """Raise CheckFailed if there are too few pictures to show a drop within `max_drop`, even if no answer changes."""
    same = Paired(0, 0, pictures)
    if same.verdict(max_drop) is not Verdict.PASS:
        raise CheckFailed(
            f"--max-drop {max_drop:g} is not distinguishable on {pictures:,} validation pictures: "
            f"{same.pictures_needed(max_drop):,} are needed even if no answer changes: allow more, or use more pictures"
        )


def describe(paired: Paired, max_drop: float) -> str:
    """Return the drop with its interval and verdict. If there are too few pictures, say how many are needed."""
    verdict = paired.verdict(max_drop)
    text = f"drop {100 * paired.drop:.2f} points ({interval_text(paired)}), {WORDS[verdict]}"
    if verdict is not Verdict.INCONCLUSIVE:
        return f"{text} {100 * max_drop:g}"
    needed = paired.pictures_needed(max_drop)
    more = f"{needed:,} pictures are needed, there are {paired.total:,}" if needed else "more pictures would not help"
    return f"{text} from {100 * max_drop:g}: {more}"


def _write(examined: ExaminedModel, variant: Variant, found: Trial, max_drop: float) -> Artifact:
    """Write the model as int8_fixed; its card names the cures."""
    trained, target = examined.trained, find_variants([f"{FIXED}.{variant.format}"])[0]
    own = {
        "session": found.model.session,
        "fix": {
            "max_drop": max_drop,
            "float_layers": float_layers(found),
            "only_float_right": found.paired.only_first,
            "only_int8_right": found.paired.only_second,
            "total": found.paired.total,
            **found.treatment.to_json(),
        },
    }
    path = trained.folder / f"{trained.name}.{target.key}"
    return write_artifact(trained, target, path, found.model.data, found.model.float_nodes, own)
