"""The forms in which verdicts are written: JUnit, Bencher, Markdown, GitHub, a terminal."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.budgets.export.bencher import bencher
from bench.budgets.export.github import MAX_ANNOTATIONS, add_summary, annotations
from bench.budgets.export.json_text import plain
from bench.budgets.export.junit import junit
from bench.budgets.export.lines import lines, number
from bench.budgets.export.markdown import markdown
from bench.budgets.finding import Finding, NotJudged
from common.interval import Interval
from common.verdict import Verdict
from tests.conftest import ROOT
from tests.support.budget_results import limit
from tests.support.markdown import HOSTILE_TEXTS, as_shown, shown

SCHEMAS = Path(__file__).parent
# Bencher Metric Format (bencher.dev, reference "Bencher Metric Format"): benchmarks hold measures, a measure has a value
# and may have borders, all numbers
BENCHER = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
            "required": ["value"],
            "additionalProperties": False,
        },
    },
}
IN_GITHUB = {"GITHUB_ACTIONS": "true"}


def finding(verdict: Verdict | NotJudged, number: int = 1, **more: str) -> Finding:
    measured = None if isinstance(verdict, NotJudged) else Interval(0.031, 0.03, 0.04)
    subject = more.pop("subject", f"m/int8.tflite/litert/host/cpu/{number}")
    return Finding(limit(line=number), subject, verdict, measured, "5 processes", **more)


OUTCOMES = (*Verdict, *NotJudged)
EACH = [finding(verdict, place) for place, verdict in enumerate(OUTCOMES, 1)]
HOSTILE = finding(Verdict.FAIL, subject="<script>|%\n::error::\x00&", reason='"a" <b>', advice="x | y")


class TestJunit:
    @pytest.mark.parametrize("findings", [EACH, [HOSTILE], []], ids=["each", "hostile", "none"])
    def test_keeps_the_published_schema(self, findings: list[Finding]) -> None:
        import xmlschema

        xmlschema.XMLSchema(str(SCHEMAS / "junit.xsd")).validate(junit(findings))

    def test_the_schema_refuses_what_is_none(self) -> None:
        import xmlschema

        broken = junit(EACH).replace(' time="0"', "", 1)
        assert not xmlschema.XMLSchema(str(SCHEMAS / "junit.xsd")).is_valid(broken)

    @pytest.mark.parametrize(("inconclusive", "failures", "skipped"), [(None, 1, 3), ("pass", 1, 3), ("fail", 2, 2)])
    def test_has_one_case_a_budget(self, inconclusive: str | None, failures: int, skipped: int) -> None:
        suite = ET.fromstring(junit(EACH, inconclusive))[0]  # noqa: S314  # our own
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", str(failures), str(skipped))
        assert len(suite.findall("testcase")) == 5
        assert len(suite.findall("testcase/failure")) == failures
        assert len(suite.findall("testcase/skipped")) == skipped


class TestBencher:
    def test_keeps_the_published_schema_and_carries_intervals(self) -> None:
        import jsonschema

        document = json.loads(bencher([*EACH, HOSTILE]))
        jsonschema.validate(document, BENCHER)
        assert document[EACH[0].subject] == {"p50-ms": {"value": 0.031, "lower_value": 0.03, "upper_value": 0.04}}
        assert len(document) == 4  # what was not measured is not there


class TestGithub:
    def test_annotates_at_most_ten_failures_first(self) -> None:
        many = [finding(Verdict.INCONCLUSIVE, n) for n in range(20)] + [finding(Verdict.FAIL, n) for n in range(3)]
        told = annotations(many, IN_GITHUB)
        assert len(told) == MAX_ANNOTATIONS
        assert [line.split()[0] for line in told] == ["::error"] * 3 + ["::warning"] * 7

    def test_says_nothing_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert annotations(EACH, {}) == []
        add_summary(markdown(EACH, "Budgets"), {})
        assert list(tmp_path.iterdir()) == []

    def test_an_annotation_is_one_line_at_the_budget(self) -> None:
        (line,) = annotations([HOSTILE], IN_GITHUB)
        assert re.match(r"::error file=bench/budgets/budgets\.toml,line=1,title=[^,:]+::[^\n]+$", line)

    def test_adds_to_the_steps_summary(self, tmp_path: Path) -> None:
        path = tmp_path / "summary.md"
        path.write_text("before\n")
        add_summary(markdown(EACH, "Budgets"), {"GITHUB_STEP_SUMMARY": str(path)})
        assert path.read_text() == "before\n" + markdown(EACH, "Budgets")


class TestMarkdown:
    def test_shows_what_needs_a_look_and_folds_the_rest(self) -> None:
        text = markdown(EACH, "Budgets")
        above, below = text.split("<details>")
        assert ("FAIL" in above, "INCONCLUSIVE" in above, "✅" in above) == (True, True, False)
        assert "✅ PASS" in below

    def test_a_hostile_name_stays_in_its_cell(self) -> None:
        row = next(line for line in markdown([HOSTILE], "t").splitlines() if "FAIL" in line and line.startswith("|"))
        assert len(re.findall(r"(?<!\\)\|", row)) == 6
        assert shown(row).acts == []

    @pytest.mark.parametrize("text", HOSTILE_TEXTS)
    def test_whatever_stands_in_results_and_budgets_a_comment_shows_it_as_it_is(self, text: str) -> None:
        """The title, the row, the reason and the advice: none acts in a pull request."""
        found = finding(Verdict.FAIL, subject=text, reason=f"reason {text}", advice=f"advice {text}")
        seen = shown(markdown([found], f"title {text}"))
        assert seen.acts == []
        texts = seen.text.replace("\\|", "|").splitlines()
        for before in ("title ", "reason ", "advice ", ""):
            assert any(f"{before}{as_shown(text)}".replace("\\|", "|") in line for line in texts)


class TestLines:
    def test_end_with_failures_and_the_count(self) -> None:
        told = lines(EACH)
        assert told[-2].startswith("FAIL")
        assert told[-1] == "1 PASS, 1 FAIL, 1 INCONCLUSIVE, 1 not this device, 1 skipped of 5 budgets"

    def test_say_budget_value_interval_samples_place_and_advice(self) -> None:
        told = "\n".join(lines([finding(Verdict.FAIL, reason="why", advice="do this")]))
        for part in (
            "max_p50_ms 0.035 ms",
            "0.031 ms [0.03, 0.04]",
            "5 processes",
            "bench/budgets/budgets.toml:1",
            "why",
            "→ do this",
        ):
            assert part in told

    @pytest.mark.parametrize(
        ("key", "found", "shown"),
        [
            ("max_regression", Interval(16.49, 16.4, 16.58), "0.1 (1.1 times), 17.49 times [17.4, 17.58]"),
            ("max_instruction_regression", Interval.exact(0.3157), "0.1 (1.1 times), 1.316 times"),
            ("max_regression", Interval.exact(0.0), "0.1 (1.1 times), no change"),
            ("max_top1_regression", Interval(0.01, 0.008, 0.012), "0.1, 0.01 [0.008, 0.012]"),
        ],
    )
    def test_growth_is_shown_as_a_ratio(self, key: str, found: Interval, shown: str) -> None:
        told = lines([Finding(limit(key, 0.1), "m", Verdict.FAIL, found)])
        assert f"{key} {shown} (" in told[0]

    def test_one_budget_is_no_plural(self) -> None:
        assert lines([finding(Verdict.PASS)])[-1].endswith(" of 1 budget")
        assert "<summary>1 other budget</summary>" in markdown([finding(Verdict.PASS)], "t")

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0, "0"),
            (1, "1"),
            (0.9931, "0.9931"),
            (1234.5, "1,234"),
            (0.00066312, "0.0006631"),
            (-0.000001, "-0.000001"),
            (1e300, "1e+300"),
            (1.23456e-300, "1.235e-300"),
        ],
    )
    def test_numbers_are_short_and_plain(self, value: float, shown: str) -> None:
        assert number(value) == shown

    def test_json_has_everything(self) -> None:
        document = json.loads(plain(EACH))
        assert [entry["verdict"] for entry in document] == [verdict.value for verdict in OUTCOMES]
        assert list(document[0]) == [
            *("budget", "limit", "unit", "place", "subject", "verdict", "measured", "samples", "reason", "advice")
        ]
        assert document[0]["place"] == {"file": "bench/budgets/budgets.toml", "line": 1}
        assert document[0]["measured"] == {"value": 0.031, "low": 0.03, "high": 0.04}


def test_the_example_workflow_keeps_githubs_schema() -> None:
    from tests.conftest import run

    options: list[str | Path] = ["--builtin-schema", "vendor.github-workflows", ROOT / "docs" / "gate-workflow.yml"]
    result = run(["-m", "check_jsonschema", *options], ROOT)
    assert result.code == 0, result.stdout + result.stderr
