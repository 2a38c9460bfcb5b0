"""Where results may be written: never over a file that edgeproof did not write."""

from pathlib import Path

import numpy as np
import pytest

from bench.report.place import check_report_place, report_files
from bench.report.write import write_report
from bench.results.history import append, lines_of, path_beside
from bench.results.place import check_place
from device.errors import EdgeproofError
from tests.conftest import ROOT, run_module
from tests.support.results_builder import ENVIRONMENT, usual

READY = ROOT / "data" / "ready"


@pytest.mark.parametrize("name", ["out.txt", "x.html", "x.md", "x.npz", "x.jsonl", "x", ".json", "."])
def test_results_are_written_only_to_a_name_that_ends_in_json(tmp_path: Path, name: str) -> None:
    with pytest.raises(EdgeproofError, match=r"ends in \.json"):
        check_place(tmp_path / "new" / name if name != "." else Path())


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "bench.json").mkdir()
    with pytest.raises(EdgeproofError, match="is a folder: name a file in it"):
        check_place(tmp_path / "bench.json")


@pytest.mark.parametrize("name", ["README.npz", "README.jsonl"])
def test_a_file_of_the_users_beside_the_results_is_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(EdgeproofError, match=f"{name}: would be written over, but edgeproof did not write it"):
        check_place(tmp_path / "README.json")


def test_an_npz_of_the_users_is_not_written_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(EdgeproofError, match="did not write it"):
        check_place(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["README.md", "README.html"])
def test_a_page_of_the_users_is_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("# Mine\n")
    with pytest.raises(EdgeproofError, match=f"{name}: would be written over, but edgeproof did not write it"):
        check_report_place(tmp_path / "README.json")


def test_what_a_run_wrote_may_be_written_again(tmp_path: Path) -> None:
    path, results = tmp_path / "bench.json", usual()
    results.save(path)
    append(path_beside(path), lines_of(results.rows, ENVIRONMENT))
    write_report(results, path)
    assert all(one.is_file() for one in report_files(path))
    check_report_place(path)
    check_place(path)
    path.unlink()  # the samples alone are left
    check_place(path)


def test_the_last_line_names_the_files_that_were_written_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = tmp_path / "bench.json", usual()
    write_report(results, path)
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {tmp_path}/report.md and {tmp_path}/report.html"
    write_report(results, path, written=[path])
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {path}, {tmp_path}/report.md and {tmp_path}/report.html"


@pytest.mark.parametrize("command", ["run", "count"])
@pytest.mark.parametrize("output", ["", "build", "x.html"])
def test_a_name_that_cannot_hold_results_is_one_line_before_anything_is_measured(
    tmp_path: Path, command: str, output: str
) -> None:
    (tmp_path / "build").mkdir()
    done = run_module("bench", command, READY / "mnist_cnn.int8.tflite", "--output", output, cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert "results are written to a file whose name ends in .json" in done.error_line
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_a_run_leaves_the_users_readme_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Mine\n")
    model = READY / "mnist_cnn.int8.tflite"
    done = run_module("bench", "run", model, "--seconds", "0.01", "--output", "README.json", cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert done.error_line.startswith("bench: README.md: would be written over")
    assert {path.name for path in tmp_path.iterdir()} == {"README.md"}
    assert (tmp_path / "README.md").read_text() == "# Mine\n"


@pytest.mark.parametrize("command", ["report", "check", "recommend"])
def test_a_folder_is_not_called_a_missing_file(tmp_path: Path, command: str) -> None:
    (tmp_path / "bench.json").mkdir()
    done = run_module("bench", command, "bench.json", cwd=tmp_path)
    assert done.code == 2
    assert done.error_line == "bench: bench.json: is a folder"
