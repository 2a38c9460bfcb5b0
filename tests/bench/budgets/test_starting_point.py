"""`edgeproof init`: a project's first budgets, baseline and workflow, which today's files pass; nothing is overwritten."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench.budgets.baseline import load
from bench.budgets.kinds import KINDS
from bench.budgets.rules import load_budgets
from bench.budgets.starting_point import _limit
from bench.results.store import load_results
from common.version import VERSION
from tests.conftest import ROOT, Finished, run, run_module
from tests.support.results_builder import PICTURES, make_results, make_row

WRITTEN = ("edgeproof.toml", "budgets.toml", "baseline", ".github/workflows/edgeproof.yml")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with two measured artifacts and their bench.json."""
    shutil.copytree(ROOT / "data" / "baseline", tmp_path, dirs_exist_ok=True)
    (tmp_path / "baseline.json").unlink()
    return tmp_path


def init(project: Path, *arguments: str) -> Finished:
    return run_module("bench", "init", "bench.json", *arguments, cwd=project)


def test_todays_files_pass_what_it_writes(project: Path) -> None:
    done = init(project)
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[:4] == [f"wrote {name}" for name in WRITTEN]
    assert len(load_budgets(project / "budgets.toml").rules) == 2
    assert {found.path.name for found in load(project / "baseline").artifacts} == {
        "mnist_cnn.int8.tflite",
        "mnist_cnn_crop.int8.tflite",
    }
    checked = run_module("bench", "check", "bench.json", cwd=project)
    assert checked.code == 0, checked.stdout
    assert checked.stdout.splitlines()[-1].endswith(" PASS, 0 FAIL, 0 INCONCLUSIVE of 6 budgets")


def test_the_limits_are_todays_figures(project: Path) -> None:
    init(project)
    text = (project / "budgets.toml").read_text()
    size_kb = (project / "mnist_cnn_crop" / "mnist_cnn_crop.int8.tflite").stat().st_size / 1000
    rule = text.partition('model = "mnist_cnn_crop"')[2]
    limits = {
        key: float(value.partition("#")[0])
        for key, _, value in (line.partition(" = ") for line in rule.splitlines()[6:] if line)
    }
    assert size_kb <= limits["max_size_kb"] < size_kb + 1
    assert 0.9920 < limits["min_top1"] < 0.9930  # the low end of the 99 % interval of 9,948 of 10,000: 0.99261
    assert limits["max_regression"] == 0.1


def test_a_worse_file_breaks_them(project: Path) -> None:
    init(project)
    budgets = project / "budgets.toml"
    budgets.write_text(budgets.read_text().replace("max_size_kb = 115", "max_size_kb = 114"))
    assert run_module("bench", "check", "bench.json", cwd=project).code == 1


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_overwritten_and_nothing_half_written(project: Path, name: str) -> None:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    done = init(project)
    assert done.code == 2
    assert done.error_line.startswith(f"bench: {name}: exists already and stays as it is: nothing was written")
    assert path.read_text() == "mine"
    assert [other for other in WRITTEN if (project / other).exists()] == [name]


def test_what_was_not_measured_as_it_is_now_is_refused(project: Path) -> None:
    for path in project.glob("*/*.tflite"):
        path.write_bytes(path.read_bytes() + b"0")
    done = init(project)
    assert done.code == 2
    assert (
        "no file that was measured is still as it was: measure again with `edgeproof bench run FILE...`" in done.error_line
    )
    assert not any((project / name).exists() for name in WRITTEN)


def test_the_workflow_names_the_files_and_keeps_githubs_schema(project: Path) -> None:
    init(project, "--action", "somebody/edgeproof@main")
    workflow = project / ".github" / "workflows" / "edgeproof.yml"
    assert "uses: somebody/edgeproof@main\n" in workflow.read_text()
    given = YAML(typ="safe").load(workflow.read_text())["jobs"]["gate"]["steps"][-1]["with"]
    files = "mnist_cnn/mnist_cnn.int8.tflite\nmnist_cnn_crop/mnist_cnn_crop.int8.tflite\n"
    assert given == {"command": "gate", "files": files}
    checked = run(["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", workflow], ROOT)
    assert checked.code == 0, checked.stdout + checked.stderr


def test_it_advises_a_check_of_these_results(project: Path) -> None:
    done = init(project)
    assert done.stdout.splitlines()[4].endswith("check them with `edgeproof bench check bench.json`")


def test_files_in_a_folder_with_spaces_are_a_line_each(project: Path) -> None:
    (project / "mnist_cnn").rename(project / "my models")
    text = (project / "bench.json").read_text()
    (project / "bench.json").write_text(
        text.replace('"mnist_cnn/mnist_cnn.int8.tflite"', '"my models/mnist_cnn.int8.tflite"')
    )
    assert init(project).code == 0
    text = (project / ".github" / "workflows" / "edgeproof.yml").read_text()
    assert "            my models/mnist_cnn.int8.tflite\n" in text


class TestOtherPictures:
    """Results of `bench run --data`: the models do not name their test pictures."""

    @pytest.fixture
    def tested(self, project: Path) -> Path:
        results = load_results(project / "bench.json")
        for row in list(results.rows):
            assert row.accuracy is not None
            results.put(replace(row, accuracy=replace(row.accuracy, dataset_sha256="0" * 64)))
        results.save(project / "bench.json")
        (project / "pictures" / "test set").mkdir(parents=True)
        return project

    def test_without_their_folder_nothing_is_written(self, tested: Path) -> None:
        done = init(tested)
        assert done.code == 2
        assert "the workflow must name: `edgeproof init bench.json --data FOLDER`" in done.error_line
        assert not any((tested / name).exists() for name in WRITTEN)

    def test_the_workflow_names_their_folder(self, tested: Path) -> None:
        assert init(tested, "--data", "pictures/test set").code == 0
        workflow = YAML(typ="safe").load((tested / ".github" / "workflows" / "edgeproof.yml").read_text())
        assert workflow["jobs"]["gate"]["steps"][-1]["with"]["data"] == "pictures/test set"

    def test_a_folder_that_is_not_there_is_refused(self, tested: Path) -> None:
        assert "--data gone: no such folder" in init(tested, "--data", "gone").error_line


def test_without_an_action_it_says_what_to_fill_in(project: Path) -> None:
    assert "put the owner of your copy" in init(project).stdout
    assert f"uses: OWNER/edgeproof@v{VERSION}\n" in (project / ".github" / "workflows" / "edgeproof.yml").read_text()


def test_the_example_is_copied_and_never_over_a_folder(tmp_path: Path) -> None:
    assert run_module("bench", "init", "--example", cwd=tmp_path).code == 0
    for path in (ROOT / "data" / "ready").rglob("*"):
        if path.is_file():
            assert (tmp_path / "ready" / path.relative_to(ROOT / "data" / "ready")).read_bytes() == path.read_bytes()
    again = run_module("bench", "init", "--example", cwd=tmp_path)
    assert again.code == 2
    assert again.error_line.startswith("bench: ready: exists already and stays as it is")


@pytest.mark.parametrize(("wrong", "text"), [(0, "0.9966"), (PICTURES, None)])
def test_no_limit_is_written_that_a_file_of_budgets_may_not_say(wrong: int, text: str | None) -> None:
    results = make_results([make_row("int8", wrong=range(wrong))])
    assert _limit(KINDS["min_top1"], results.rows[0], results) == text
