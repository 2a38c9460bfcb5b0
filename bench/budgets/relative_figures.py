"""The figures that compare a row with another row of the same results: float32, or the variant that a limit names."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bench.budgets.figures import NO_ACCURACY, Case, Measured, pictures, processes_ms
from bench.results.evaluation_set import paired_answers
from bench.results.measurement import REFERENCES
from bench.results.row import ResultRow
from bench.results.samples import Samples
from bench.results.store import Results
from bench.results.time_ratio import ratio_of_processes
from common.interval import Interval, of_share
from common.paired_accuracy import Paired

FLOAT = "float32"  # the variant that accuracy is compared with
ITSELF = "it is the float model itself"  # its figure is exact, however few pictures there are
NO_REFERENCE = Measured(
    reason="no float32 row of this model in the results", advice="measure the .keras file or float32 too"
)

OTHER_PICTURES = Measured(reason="float32 answered other pictures", advice="measure both in one run")


def top1_drop(case: Case) -> Measured:
    """Return the accuracy lost against float, from the answers of both.

    Of two different answers to a picture at most one is right; without labels the worst case is assumed, which
    can only widen the interval.
    """
    reference = _reference(case.row, case.results)
    if case.row.accuracy is None:
        return NO_ACCURACY
    if reference is None or reference.accuracy is None:
        return _no_reference(case)
    if _is_the_float_model(case.row, reference, case.results):
        return Measured(Interval.exact(0.0), ITSELF)
    answers, floats = (_predictions(row, case.results) for row in (case.row, reference))
    if len(answers) != len(floats):
        return _drop_on_common_pictures(case, reference, (len(floats), len(answers)))
    lost = reference.accuracy.correct - case.row.accuracy.correct
    differ = int((answers != floats).sum())
    pair = Paired((differ + lost) / 2, (differ - lost) / 2, len(answers))
    samples = f"{pictures(len(answers))}, {differ} answered differently"
    return Measured(pair.judged_drop(case.error), samples, pictures_needed=pair.pictures_needed)


def _drop_on_common_pictures(case: Case, reference: ResultRow, answered: tuple[int, int]) -> Measured:
    """Return the accuracy lost on the pictures that both have answered, whose labels must be kept for that."""
    pair = paired_answers(case.results.arrays, reference, case.row)
    if pair is None:
        reason = "float32 answered {:,} pictures and this row {:,}".format(*answered)
        return Measured(reason=reason, advice="measure both on the same pictures: --mode normal")
    samples = f"the {pictures(min(answered))} that both have answered"
    return Measured(pair.judged_drop(case.error), samples, pictures_needed=pair.pictures_needed)


def agreement(case: Case) -> Measured:
    """Return the share of pictures that are answered as float32 answers them."""
    reference = _reference(case.row, case.results)
    if reference is None:
        return NO_ACCURACY if case.row.accuracy is None else _no_reference(case)
    if _is_the_float_model(case.row, reference, case.results):
        return Measured(Interval.exact(1.0), ITSELF)
    answers, floats = (_predictions(row, case.results) for row in (case.row, reference))
    common = min(len(answers), len(floats))
    same = int((answers[:common] == floats[:common]).sum())
    return Measured(of_share(same, common, case.error), pictures(common))


def latency_ratio(case: Case) -> Measured:
    """Return a latency percentile over that of another variant, both measured interleaved in one run."""
    assert case.other is not None
    variant, percentile = case.other.variant, case.other.percentile
    partner = partner_of(variant, case.row, case.results)
    if partner is None:
        return Measured(reason=f"no {variant} row in the same runtime", advice=f"measure {variant} in the same run")
    over, under = (processes_ms(row, case.results, percentile) for row in (case.row, partner))
    if over is None or under is None:
        reason = f"too few queries for a {percentile} in each process"
        return Measured(reason=reason, advice="measure with --mode normal")
    samples = f"{len(over)} and {len(under)} processes"
    if case.row.run is None or case.row.run != partner.run:
        reason = "the two were not measured interleaved in one run"
        return Measured(None, samples, reason, f"run {variant} and this in one run")
    found = ratio_of_processes(case.results, (case.row, partner), (over, under), case.error)
    return Measured(found, samples, "" if found else "one process does not show how processes differ")


def partner_of(variant: str, row: ResultRow, results: Results) -> ResultRow | None:
    """Return the row that a relative limit compares with: of that variant, and otherwise equal."""
    wanted = replace(row.subject, variant=variant)
    return next((other for other in results.rows if other.subject == wanted), None)


def _reference(row: ResultRow, results: Results) -> ResultRow | None:
    """Return the float row that a row is compared with: Keras's, else float32 in its runtime; on its own device first."""
    floats = [other for other in _floats(row, results) if _data_set(other) == _data_set(row) is not None]
    floats.sort(key=lambda other: other.subject.device != row.subject.device)
    for runtime in (*REFERENCES, row.subject.runtime):
        for other in floats:
            if other.subject.runtime == runtime:
                return other
    return None


def _is_the_float_model(row: ResultRow, reference: ResultRow, results: Results) -> bool:
    """Say whether a row is its reference, or a float32 file that answers each picture like it: the same network in floats.

    Few pictures could not show otherwise that float32 loses nothing against Keras, and nothing could then be recommended.
    """
    if reference is row:
        return True
    answers, floats = (_predictions(one, results) for one in (row, reference))
    common = min(len(answers), len(floats))
    return row.subject.variant == FLOAT and common > 0 and np.array_equal(answers[:common], floats[:common])


def _no_reference(case: Case) -> Measured:
    """Say why a row has no float row to be compared with: there is none, or it answered pictures of another data set."""
    return OTHER_PICTURES if any(map(_data_set, _floats(case.row, case.results))) else NO_REFERENCE


def _floats(row: ResultRow, results: Results) -> list[ResultRow]:
    """Return the float32 rows of a row's model, Keras's and those in its runtime, whatever pictures they answered."""
    runtimes = (*REFERENCES, row.subject.runtime)
    floats = [other for other in results.rows if other.subject.variant == FLOAT and other.subject.runtime in runtimes]
    return [other for other in floats if other.subject.model_name == row.subject.model_name]


def _data_set(row: ResultRow) -> str | None:
    """Return the hash of the test pictures that a row answered; None where it answered none."""
    return None if row.accuracy is None else row.accuracy.dataset_sha256


def _predictions(row: ResultRow, results: Results) -> npt.NDArray[np.uint16]:
    return Samples.from_arrays(results.arrays, row.key).predictions
