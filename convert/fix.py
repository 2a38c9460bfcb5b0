"""Leaving the layers that quantize worst in float, until accuracy is within what it may drop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from convert.layer_error import LayerError, Quantized, worst_first
from convert.paired import Paired, Verdict
from convert.patient import UNDECIDED, Patient, Sample, answers_of, draw
from convert.run import Artifact, write_artifact
from convert.variant import Variant, find_variants
from convert.verify import Agreement, agrees
from device.classify import CheckFailed

FIXED = "int8_fixed"
PRUNED_AT_MOST = 12  # layers that are tried one by one to go back to int8; each costs one run over the sample


@dataclass(frozen=True)
class Fix:
    """How many of the worst layers stay float, what that costs, and the file; none for an int8 that needs no mending."""

    float_layers: tuple[LayerError, ...]
    paired: Paired
    artifact: Artifact | None


@dataclass(frozen=True)
class _Try:
    layers: tuple[LayerError, ...]
    model: Quantized
    paired: Paired
    agreement: Agreement


class _Search:
    """Tries of one model with some of its layers in float, measured on all validation pictures."""

    def __init__(self, patient: Patient, variant: Variant, max_drop: float, say: Callable[[str], None]) -> None:
        self._patient, self._variant, self._max_drop, self._say = patient, variant, max_drop, say

    @cached_property
    def sample(self) -> Sample:
        return draw(self._patient.trained, None)

    def attempt(self, layers: Sequence[LayerError]) -> _Try:
        """Quantize all but these layers and answer the sample."""
        model = self._patient.quantizer(self._variant).quantized([error.node for error in layers])
        found = answers_of(model, self._patient.trained, self._variant, self.sample.pixels)
        paired, agreement = self.sample.paired(found), self.sample.agreement(found)
        told = f"{describe(paired, self._max_drop)}; {agreement.share:.1%} answered as in float"
        self._say(f"{self._variant.key}, {len(layers)} more layers in float: {told}")
        return _Try(tuple(layers), model, paired, agreement)

    def is_within(self, one: _Try) -> bool:
        """Say whether the drop is shown to be within, and the answers are float's as often as the variant promises."""
        return one.paired.verdict(self._max_drop) is Verdict.WITHIN and agrees(self._variant, one.agreement)

    def fewest(self, layers: Sequence[LayerError]) -> _Try:
        """Double the number of worst layers in float until the drop is within, then halve the gap.

        Worst is asked both ways, since each order misses one kind of fault: the error alone does not see values that are
        lost between two layers, the accumulated one blames late layers for what early ones did.
        Raises CheckFailed where the drop is not within with all layers in float.
        """
        orders = (sorted(layers, key=lambda error: error.alone_db), worst_first(layers))
        low, number = 0, 1
        while number < len(layers):
            for order in orders:
                if self.is_within(found := self.attempt(order[:number])):
                    return self._halve(order, low, found)
            low, number = number, 2 * number
        found = self.attempt(layers)
        if not self.is_within(found):
            raise CheckFailed(self._hopeless(found.paired))
        return self._halve(orders[0], low, found)

    def _halve(self, order: Sequence[LayerError], low: int, found: _Try) -> _Try:
        """Return the shortest beginning of `order` over `low` that is within, given one that is."""
        number = len(found.layers)
        while number - low > 1:
            middle = (low + number) // 2
            one = self.attempt(order[:middle])
            if self.is_within(one):
                number, found = middle, one
            else:
                low = middle
        return found

    def prune(self, found: _Try) -> _Try:
        """Give layers back to int8, the best first, where the drop stays within."""
        if len(found.layers) > PRUNED_AT_MOST:
            return found
        for layer in reversed(found.layers[:-1]):  # without the last of them it was not within
            one = self.attempt([other for other in found.layers if other is not layer])
            found = one if self.is_within(one) else found
        return found

    def _hopeless(self, paired: Paired) -> str:
        return f"{self._variant.key}: even with all layers in float: {describe(paired, self._max_drop)}: not written"


def fix(
    patient: Patient, variant: Variant, layers: Sequence[LayerError], max_drop: float, say: Callable[[str], None]
) -> Fix:
    """Search for the fewest of the worst layers whose float brings int8's drop within `max_drop`.

    Within means: the whole 95 % interval of the paired drop on the validation pictures. Raises CheckFailed where so few
    pictures cannot show it, or no model is within.
    """
    search = _Search(patient, variant, max_drop, say)
    if not search.sample.counts.any():
        raise CheckFailed(
            f"{variant.key}: {UNDECIDED.format(len(search.sample.truth))}: there is nothing to fix by: not written"
        )
    check_resolvable(len(patient.trained.dataset.val), max_drop)
    plain = search.attempt([])
    if search.is_within(plain):
        return Fix((), plain.paired, None)
    found = search.prune(search.fewest(layers))
    return Fix(found.layers, found.paired, _write(patient, variant, found, max_drop))


def check_resolvable(pictures: int, max_drop: float) -> None:
    """Raise CheckFailed where so many pictures cannot show a drop within `max_drop` even if no answer changed."""
    same = Paired(0, 0, pictures)
    if same.verdict(max_drop) is not Verdict.WITHIN:
        raise CheckFailed(
            f"--max-drop {max_drop:g} is not distinguishable on {pictures:,} validation pictures: it takes "
            f"{same.pictures_needed(max_drop):,} even where no answer changes: allow more or validate on more pictures"
        )


def describe(paired: Paired, max_drop: float) -> str:
    """Return the drop with its interval and verdict, and where the sample is too small, how large it would have to be."""
    low, high = paired.interval()
    verdict = paired.verdict(max_drop)
    text = f"drop {100 * paired.drop:.2f} points (95 % interval {100 * low:.2f} to {100 * high:.2f}), {verdict.value}"
    if verdict is not Verdict.NOT_DISTINGUISHABLE:
        return f"{text} {100 * max_drop:g}"
    needed = paired.pictures_needed(max_drop)
    more = f"it would take {needed:,} pictures, there are {paired.total:,}" if needed else "more pictures would not help"
    return f"{text} from {100 * max_drop:g}: {more}"


def _write(patient: Patient, variant: Variant, found: _Try, max_drop: float) -> Artifact:
    """Write the model as int8_fixed, its card naming the layers."""
    trained, target = patient.trained, find_variants([f"{FIXED}.{variant.format}"])[0]
    own = {
        "session": found.model.session,
        "fix": {
            "max_drop": max_drop,
            "float_layers": [f"{error.layer} ({error.operation})" for error in found.layers],
            "only_float_right": found.paired.only_first,
            "only_int8_right": found.paired.only_second,
            "total": found.paired.total,
        },
    }
    path = trained.folder / f"{trained.name}.{target.key}"
    return write_artifact(trained, target, path, found.model.data, found.model.float_nodes, own)
