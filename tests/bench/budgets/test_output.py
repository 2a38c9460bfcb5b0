"""What a command that judges writes where it judges nothing."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.budgets.export.junit import refused
from bench.budgets.output import Outputs, telling_refusals
from device.errors import EdgeproofError
from tests.conftest import run_module

REASON = "cal: no such folder: give --data FOLDER"


def refuse(outputs: Outputs, said: list[str]) -> None:
    with pytest.raises(EdgeproofError, match="no such folder"), telling_refusals(outputs, said.append):
        raise EdgeproofError(REASON)


def test_why_nothing_was_judged_stands_in_every_file_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    outputs = Outputs(junit=tmp_path / "v.xml", markdown=tmp_path / "v.md")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "v.md").write_text("8 PASS")  # of the run before
    refuse(outputs, said)
    for name in ("v.md", "summary.md"):
        assert (tmp_path / name).read_text() == f"### edgeproof: nothing was judged\n\n{REASON}\n"
    suite = ET.parse(tmp_path / "v.xml").getroot()[0]  # noqa: S314  # our own
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "1", "0")
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == REASON
    assert said == [f"::error title=edgeproof%3A nothing was judged::{REASON}"]


def test_elsewhere_it_says_no_more_than_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    said: list[str] = []
    refuse(Outputs(), said)
    assert said == []


def test_a_file_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refuse(Outputs(markdown=tmp_path / "file" / "v.md"), [])


def test_the_junit_of_a_refusal_keeps_the_published_schema() -> None:
    import xmlschema

    xmlschema.XMLSchema(str(Path(__file__).parent / "junit.xsd")).validate(refused(REASON))


@pytest.mark.parametrize("command", ["check", "gate"])
def test_both_commands_write_it(tmp_path: Path, command: str) -> None:
    (tmp_path / "b.toml").write_text("[[budget]]\nmax_size_kb = 1\n")
    done = run_module("bench", command, "--budgets", "b.toml", "--markdown", "v.md", cwd=tmp_path)
    assert done.code == 2
    assert done.error_line.removeprefix("bench: ") in (tmp_path / "v.md").read_text()


@pytest.mark.parametrize(
    ("command", "option", "output"),
    [
        ("check", "--json", "build/bench.json"),
        ("check", "--bmf", "build/bench.npz"),
        ("check", "--markdown", "b.toml"),
        ("gate", "--junit", "kept/baseline.json"),
        ("gate", "--json", "edgeproof.toml"),
        ("gate", "--json", "m.tflite"),
    ],
)
def test_no_output_replaces_what_is_judged(tmp_path: Path, command: str, option: str, output: str) -> None:
    (tmp_path / "edgeproof.toml").write_text('budgets = "b.toml"\nbaseline = "kept"\n')
    (tmp_path / output).parent.mkdir(exist_ok=True)
    (tmp_path / output).touch()
    before = (tmp_path / output).read_bytes()
    files = ["m.tflite"] if command == "gate" else []
    done = run_module("bench", command, *files, option, output, cwd=tmp_path)
    assert (done.code, "would be written over what is read" in done.error_line) == (2, True)
    assert (tmp_path / output).read_bytes() == before
