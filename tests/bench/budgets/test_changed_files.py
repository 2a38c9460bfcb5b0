"""Files that are no longer as they were measured get no verdict."""

from pathlib import Path

import pytest

from bench.budgets.changed_files import doubted, missing_note
from bench.budgets.finding import Finding, NotJudged
from bench.results.store import Results
from common.verdict import Verdict
from tests.conftest import run_module
from tests.support.budget_results import budgets_file, limit, of_file, results, row


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.tflite").write_bytes(b"first")
    return Path("m.tflite")


def measured(model: Path) -> Results:
    return results(of_file(row(), model))


@pytest.mark.parametrize("verdict", Verdict)
def test_a_changed_file_has_no_verdict_whatever_the_old_one_had(model: Path, verdict: Verdict) -> None:
    rows = measured(model).rows
    before = [Finding(limit(), rows[0].key, verdict)]
    assert doubted(before, rows) == before
    model.write_bytes(b"second")
    (finding,) = doubted(before, rows)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == "m.tflite has changed since it was measured"
    assert finding.advice == "measure it as it is now: `edgeproof bench run m.tflite`"


def test_a_budget_that_was_not_judged_stays_so(model: Path) -> None:
    rows = measured(model).rows
    model.write_bytes(b"second")
    before = [Finding(limit(), rows[0].key, NotJudged.SKIPPED), Finding(limit(), "another row", Verdict.PASS)]
    assert doubted(before, rows) == before


def test_a_file_that_is_not_there_is_judged_as_it_was_measured_and_named(model: Path) -> None:
    rows = measured(model).rows
    assert missing_note(rows) == ""
    model.unlink()
    before = [Finding(limit(), rows[0].key, Verdict.PASS)]
    assert doubted(before, rows) == before
    assert missing_note(rows) == "not there now, so judged as measured: m.tflite"


def test_the_command_says_so(model: Path, tmp_path: Path) -> None:
    measured(model).save(tmp_path / "bench.json")
    options = ["bench.json", "--budgets", str(budgets_file(tmp_path, "max_size_kb = 200"))]
    assert run_module("bench", "check", *options, cwd=tmp_path).code == 0
    model.write_bytes(b"second")
    done = run_module("bench", "check", *options, cwd=tmp_path)
    assert (done.code, "m.tflite has changed since it was measured" in done.stdout) == (3, True)
    model.unlink()
    done = run_module("bench", "check", *options, cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()[0]) == (0, "not there now, so judged as measured: m.tflite")
