"""`bench check`: every budget compared with the rows of bench.json, each verdict with its interval."""

from collections.abc import Sequence
from pathlib import Path

from bench.budgets.device_match import names_of, refuse_unknown_devices
from bench.budgets.figures import MEASURE_LONGER, Case, Measured, no_time
from bench.budgets.finding import Finding, NotJudged
from bench.budgets.limit import Limit
from bench.budgets.rules import Budgets, Rule, refuse_unknown_variants, refuse_unmatched
from bench.results.row import ResultRow, Skipped
from bench.results.store import Results
from common.interval import ERROR
from common.verdict import Verdict, judge
from device.errors import EdgeproofError


def check(results: Results, budgets: Budgets, error: float = ERROR, devices: Path | None = None) -> list[Finding]:
    """Judge every budget for the rows that it is about, in the file's order.

    `error` is the allowed error of each verdict about a time. Raises EdgeproofError for a rule without a row, about an
    unknown device or against a variant that nobody measured, and for two equally narrow ones.
    """
    refuse_only_baseline(budgets)
    rules = budgets.limited("results")
    subjects = [*(row.subject for row in results.rows), *(skip.subject for skip in results.skipped)]
    refuse_unmatched(rules, subjects, "the results")
    refuse_unknown_devices(rules, (subject.device for subject in subjects), devices)
    refuse_unknown_variants(rules, subjects)
    findings = check_rows(results.rows, results, budgets, error, devices)
    for rule in rules:
        findings += _unmeasured(rule, results, devices)
    return sorted(findings, key=lambda finding: (finding.limit.place.line, finding.subject))


def refuse_only_baseline(budgets: Budgets) -> None:
    """Raise EdgeproofError where all budgets compare with a baseline: results alone say nothing about them."""
    if not budgets.limited("results"):
        names = ", ".join(sorted({limit.name for rule in budgets.rules for limit in rule.limits}))
        raise EdgeproofError(
            f"{budgets.path}: holds only {names}, against a baseline: `edgeproof bench gate` judges it; `check` needs "
            "another limit, as max_size_kb"
        )


def check_rows(
    rows: Sequence[ResultRow], results: Results, budgets: Budgets, error: float = ERROR, devices: Path | None = None
) -> list[Finding]:
    """Judge the budgets for some rows of the results, and ignore the rules about others."""
    findings: list[Finding] = []
    for row in rows:
        names = names_of(row.subject.device, results.environments, devices)
        findings += [judge_limit(limit, row, results, error) for limit in budgets.of(row.subject, names, "results")]
    return findings


def judge_limit(limit: Limit, row: ResultRow, results: Results, error: float = ERROR) -> Finding:
    """Judge one limit for one row, by the whole interval of the row's figure.

    `error` holds for times. Other figures are looked at once, however often times are measured longer: they have all of it.
    """
    measured = _measure(limit, Case(row, results, error if limit.kind.timed else ERROR, limit.other))
    verdict: Verdict | NotJudged = NotJudged.SKIPPED if measured.skipped else Verdict.INCONCLUSIVE
    if measured.interval is not None and not measured.reason:
        verdict = judge(measured.interval, limit.value, at_most=limit.kind.at_most)
    advice = measured.advice or _needed(verdict, limit, measured) or _advice(verdict, limit)
    return Finding(limit, row.key, verdict, measured.interval, measured.samples, measured.reason, advice)


def _measure(limit: Limit, case: Case) -> Measured:
    unfit = no_time(case.row) if limit.kind.timed else ""
    if unfit:
        return Measured(reason=unfit, skipped=True)
    assert limit.kind.figure is not None, f"{limit.kind.key} belongs to the gate"
    return limit.kind.figure(case)


def _needed(verdict: Verdict | NotJudged, limit: Limit, measured: Measured) -> str:
    """Return how many pictures would show that a limit is kept, where this sample does not show it."""
    if verdict is not Verdict.INCONCLUSIVE or measured.pictures_needed is None:
        return ""
    needed = measured.pictures_needed(limit.value)
    return f"test on more pictures: {needed:,} would show it" if needed else ""


def _advice(verdict: Verdict | NotJudged, limit: Limit) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "test on more pictures, or set a wider limit" if limit.kind.share else MEASURE_LONGER
    return f"find what changed, or change the budget in {limit.place}" if verdict is Verdict.FAIL else ""


def _unmeasured(rule: Rule, results: Results, devices: Path | None) -> list[Finding]:
    """Return a finding for each budget of a rule without a row: its device is another, or its row was skipped."""

    def is_about(row: ResultRow | Skipped) -> bool:
        return rule.matches(row.subject, names_of(row.subject.device, results.environments, devices))

    if any(map(is_about, results.rows)):
        return []
    skipped = list(filter(is_about, results.skipped))
    verdict: Verdict | NotJudged
    if skipped:
        verdict, reason = Verdict.INCONCLUSIVE, f"its row was skipped: {skipped[0].reason}"
    else:
        measured_on = ", ".join(sorted({row.subject.device for row in results.rows}))
        verdict, reason = NotJudged.NOT_HERE, f"holds on {rule.selectors.get('device', '*')}; measured was {measured_on}"
    limits = [limit for limit in rule.limits if limit.kind.against == "results"]
    return [Finding(limit, rule.text, verdict, reason=reason) for limit in limits]
