"""Results on disk: merging, and files of other schemas."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.report.markdown import COLUMNS, markdown, table
from bench.results.row import HOST, Skipped
from bench.results.samples import Samples
from bench.results.store import Results, load_results
from device.errors import EdgeproofError
from tests.support.results_builder import ENVIRONMENT, make_results, make_row, measurement, saved, steady

ANOTHER = [{"cpu": "another cpu"}, {"cores": 4}]


class TestMachines:
    @pytest.mark.parametrize("changes", ANOTHER, ids=lambda changes: str(*changes))
    def test_rows_of_another_machine_are_refused_unless_their_files_are_measured_again(
        self, changes: dict[str, Any]
    ) -> None:
        results, here = make_results([make_row("float32")]), replace(ENVIRONMENT, **changes)
        with pytest.raises(EdgeproofError, match="holds 1 row of host from another machine") as error:
            results.refuse_another_machine(here, again={make_row("int8").subject.file_key})
        assert "(board, a cpu, 2 cores); this one is" in str(error.value)
        assert str(error.value).endswith("name another --output, or remove the results")
        results.refuse_another_machine(here, again={results.rows[0].subject.file_key})

    def test_a_row_that_this_machine_could_not_measure_again_is_removed_and_said(self) -> None:
        results = make_results([make_row("float32")])
        removed = results.merge([make_row("int8")], [], replace(ENVIRONMENT, cores=4))
        assert [row.subject.variant for row in results.rows] == ["int8"]
        assert [line.partition(": ")[2] for line in removed] == ["another machine measured it, and this one could not"]

    @pytest.mark.parametrize("changes", ANOTHER, ids=lambda changes: str(*changes))
    def test_a_run_that_replaces_every_row_brings_its_own_machine(self, changes: dict[str, Any]) -> None:
        results, here = make_results([make_row("float32")]), replace(ENVIRONMENT, **changes)
        results.merge([make_row("float32")], [], here)
        assert results.environments[HOST] == here

    @pytest.mark.parametrize(
        "changes",
        [
            {"host": "a container of today"},
            {"memory_bytes": 1},
            {"os": "a newer os"},
            {"python": "3.13"},
            {"governor": "powersave"},
            {"git_commit": None},
            {"health": {"load_1min": 9.0}},
        ],
        ids=lambda changes: str(*changes),
    )
    def test_what_changes_on_one_machine_makes_it_no_other(self, changes: dict[str, Any]) -> None:
        results = make_results([make_row("float32")])
        results.merge([make_row("int8")], [], replace(ENVIRONMENT, **changes))
        assert len(results.rows) == 2

    def test_each_device_is_a_machine_of_its_own(self) -> None:
        results = make_results([make_row("float32")])
        results.merge([measurement(device="pi4")], [], replace(ENVIRONMENT, host="pi4"), device="pi4")
        assert set(results.environments) == {HOST, "pi4"}
        with pytest.raises(EdgeproofError, match="holds 1 row of pi4 from another machine"):
            results.refuse_another_machine(replace(ENVIRONMENT, host="pi4", cpu="Raspberry Pi 5"), "pi4")

    def test_an_emulated_device_is_the_same_on_any_host(self) -> None:
        results = Results()
        results.merge([measurement(device="emulated-pi4")], [], ENVIRONMENT, device="emulated-pi4")
        results.refuse_another_machine(replace(ENVIRONMENT, host="other"), "emulated-pi4")


class TestResults:
    def test_a_new_row_replaces_the_one_with_the_same_key(self, tmp_path: Path) -> None:
        results = Results()
        results.merge([measurement("litert"), measurement("tflite_runtime")], [], ENVIRONMENT)
        newer = measurement("litert", samples=Samples((steady(70),), np.ones(100, np.uint16)))
        results.merge([newer], [], ENVIRONMENT)
        results.save(tmp_path / "bench.json")
        again = load_results(tmp_path / "bench.json")
        assert [row.samples.count for row in again.rows] == [70, 110]
        for row in again.rows:
            assert Samples.from_arrays(again.arrays, row.key).sha256 == row.samples.sha256

    def test_a_row_that_is_measured_is_no_longer_skipped(self) -> None:
        results = Results()
        results.merge([], [Skipped(measurement().subject, "not there")], ENVIRONMENT)
        assert len(results.skipped) == 1
        results.merge([measurement()], [], ENVIRONMENT)
        assert (len(results.rows), len(results.skipped)) == (1, 0)

    def merged_again(self, folder: Path, path: str, device: str = HOST) -> tuple[list[str], list[str]]:
        """Return what is said and which variants are left, after a row is merged into results with one of this file."""
        (folder / "build").mkdir(exist_ok=True)
        results = Results()
        results.merge([measurement(path=path, device=device)], [], ENVIRONMENT)
        results = saved(folder / "build" / "bench.json", results)
        lines = results.merge([make_row("float32")], [], ENVIRONMENT)
        again = saved(folder / "build" / "bench.json", results)
        assert all(f"{row.key}/predictions" in again.arrays for row in again.rows)
        return lines, sorted(row.subject.variant for row in again.rows)

    @pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
    def test_a_row_whose_file_is_gone_from_the_results_own_folder_is_removed_and_said(
        self, tmp_path: Path, absolute: bool
    ) -> None:
        """As of a variant that is no longer made."""
        (tmp_path / "build" / "m").mkdir(parents=True)
        path = str(tmp_path / "build/m/int8.tflite") if absolute else "build/m/int8.tflite"
        lines, variants = self.merged_again(tmp_path, path)
        assert variants == ["float32"]
        key, there = f"m/int8.tflite/litert/{HOST}/cpu/1", tmp_path / "build" / "bench.json"
        assert lines == [f"removed {key} from {there}: its file {path} is gone"]

    @pytest.mark.parametrize(
        "path",
        [
            "build/m/int8.tflite",
            "elsewhere/int8.tflite",
            "int8.tflite",
            "../m/int8.tflite",
            "build/../x/int8.tflite",
            "/no/such/int8.tflite",
            "/int8.tflite",
            "build/int8.tflite",
        ],
    )
    def test_a_row_whose_file_is_not_to_be_seen_from_here_stays(
        self, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its run was started in another folder, or on another machine: its file may be there."""
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "x").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert self.merged_again(tmp_path, path) == ([], ["float32", "int8"])

    def test_a_row_stays_if_its_file_is_beside_the_results_and_the_run_is_started_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "build" / "m").mkdir(parents=True)
        (tmp_path / "build" / "m" / "int8.tflite").touch()
        monkeypatch.chdir(tmp_path / "build" / "m")
        assert self.merged_again(tmp_path, "build/m/int8.tflite") == ([], ["float32", "int8"])

    def test_a_row_of_a_device_stays(self, tmp_path: Path) -> None:
        (tmp_path / "build" / "m").mkdir(parents=True)
        assert self.merged_again(tmp_path, "build/m/int8.tflite", "board") == ([], ["float32", "int8"])

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "no readable JSON"),
            ('{"schema": 1, "measurem', "no readable JSON"),
            ("[]", "schema is None"),
            ('{"schema": 99}', "schema is 99"),
            ('{"schema": 1}', "damaged"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "bench.json"
        path.write_text(text)
        with pytest.raises(EdgeproofError, match=found) as error:
            load_results(path)
        assert "bench.json" in str(error.value)

    def test_the_report_has_a_line_a_row_and_the_reason_of_each_skip(self) -> None:
        results = Results()
        skipped = Skipped(measurement("litert").subject, "no such op")
        results.merge([measurement("tflite_runtime")], [skipped], ENVIRONMENT)
        text = markdown(results)
        assert "tflite_runtime 1.0" in text
        assert "no such op" in text
        assert [len(cells) for cells in table(results.rows)] == [len(COLUMNS)]
