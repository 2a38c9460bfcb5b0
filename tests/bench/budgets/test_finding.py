"""The exit code of findings."""

import pytest

from bench.budgets.finding import Finding, NotJudged, exit_code
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.support.budget_results import limit

OUTCOMES: dict[str, Verdict | NotJudged] = {**Verdict.__members__, **NotJudged.__members__}


def findings(names: str) -> list[Finding]:
    return [Finding(limit(), "a row", OUTCOMES[name]) for name in names.split()]


@pytest.mark.parametrize(
    ("verdicts", "choice", "code"),
    [
        ("PASS", None, 0),
        ("PASS INCONCLUSIVE", None, 3),
        ("PASS INCONCLUSIVE", "pass", 0),
        ("PASS INCONCLUSIVE", "fail", 1),
        ("FAIL INCONCLUSIVE", "pass", 1),
        ("FAIL INCONCLUSIVE", None, 1),
        ("PASS NOT_HERE", None, 0),
    ],
)
def test_exit_codes(verdicts: str, choice: str | None, code: int) -> None:
    assert exit_code(findings(verdicts), choice) == code


@pytest.mark.parametrize("verdicts", ["", "NOT_HERE SKIPPED"])
def test_nothing_judged_is_never_a_pass(verdicts: str) -> None:
    with pytest.raises(EdgeproofError, match="none was compared with a measurement"):
        exit_code(findings(verdicts), "pass")
