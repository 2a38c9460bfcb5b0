"""One line for each quantized variant: its answers, its accuracy and its time on this machine."""

from collections.abc import Mapping, Sequence

from bench.analysis.float_pairs import Pair
from bench.analysis.why_not_faster import why_not_faster
from bench.analysis.wording import accuracy_lost, artifact_name, times
from bench.machine.environment import Environment
from convert.variants import variant_of


def quantized_lines(found: Sequence[Pair], environments: Mapping[str, Environment]) -> tuple[str, ...]:
    """Return a line for each pair whose variant is quantized, in the pairs' order."""
    return tuple(_line(pair, environments.get(pair.row.subject.device)) for pair in found if _is_quantized(pair))


def _is_quantized(pair: Pair) -> bool:
    variant = variant_of(pair.row.subject.variant, pair.row.subject.format)
    return variant is not None and variant.answers.quantized


def _line(pair: Pair, environment: Environment | None) -> str:
    answers = "answers not compared"
    if pair.otherwise is not None and pair.accuracy is not None:
        answers = f"{pair.otherwise:,} of {pair.accuracy.total:,.0f} answered otherwise than float32"
    parts = [answers, accuracy_lost(pair.accuracy), times(pair.speed)]
    why = why_not_faster(pair, environment)
    return f"{artifact_name(pair.row.subject)}: {'; '.join(parts)}" + (f": {why}" if why else "")
