"""Two result files side by side, files from elsewhere, and the history of runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.compare import BETWEEN_RUNS, COLUMNS, LEFT_OUT_FIRST, cells, compare, ratio_text, summary, time_verdict
from bench.analysis.wording import points_of, short_verdict
from bench.results.measurement import Measurement
from bench.stats.ratios import Ratio
from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.results_builder import ENVIRONMENT, make_results, make_row, saved


class TestCompare:
    def test_twice_as_fast_is_a_ratio_of_a_half_within_its_interval(self) -> None:
        first = make_results([make_row(), make_row("int8", p50_ms=1.0)])
        second = make_results([make_row(p50_ms=0.5, seed=1), make_row("int8", p50_ms=0.5, seed=1)])
        found = compare(first, second)
        assert found.mean is not None
        for ratio in (*(row.latency for row in found.rows), found.mean):
            assert ratio.low is not None
            assert ratio.high is not None
            assert ratio.low < 0.5 < ratio.high < 0.6

    def test_a_file_against_itself_shows_no_difference(self) -> None:
        results = make_results([make_row(wrong=range(9)), make_row("int8")])
        for row in compare(results, results).rows:
            assert row.latency.value == 1
            assert not row.latency.distinguishable
            assert row.accuracy is not None
            assert not row.accuracy.distinguishable

    def test_answers_are_compared_picture_by_picture(self) -> None:
        first, second = make_results([make_row(wrong=range(5))]), make_results([make_row(wrong=range(40))])
        found = compare(first, second).rows[0].accuracy
        assert found is not None
        assert found.distinguishable
        assert found.drop == pytest.approx(35 / 2_000)

    @pytest.mark.parametrize(
        ("field", "row", "environment"),
        [
            ("threads", {"threads": 2}, {}),
            ("runtime_version", {"version": "2.0"}, {}),
            ("machine", {}, {"cpu": "another"}),
            ("machine", {}, {"host": "another"}),
            ("governor", {}, {"governor": "powersave"}),
        ],
    )
    def test_unlike_records_are_refused_by_the_name_of_the_field(
        self, field: str, row: dict[str, Any], environment: dict[str, Any]
    ) -> None:
        first = make_results([make_row()])
        second = make_results([make_row(**row)], environment=replace(ENVIRONMENT, **environment))
        with pytest.raises(EdgeproofError, match=rf"{field} differs: .*--across {field}"):
            compare(first, second)
        assert len(compare(first, second, across=[field]).rows) == 1

    def test_another_data_set_is_refused(self) -> None:
        first, second = make_results([make_row()]), make_results([make_row()])
        assert second.rows[0].accuracy is not None
        second.put(replace(second.rows[0], accuracy=replace(second.rows[0].accuracy, dataset_sha256="e" * 64)))
        with pytest.raises(EdgeproofError, match="data_set differs: dddddddddddd…"):
            compare(first, second)
        assert compare(first, second, across=["data_set"]).rows[0].accuracy is None

    def test_rows_in_one_file_only_are_listed(self) -> None:
        first = make_results([make_row(), make_row("int8")])
        second = make_results([make_row(), make_row("float16")])
        lines = summary(compare(first, second), "A", "B")
        assert lines[1:3] == ["only in A: m int8.tflite in LiteRT", "only in B: m float16.tflite in LiteRT"]

    def test_a_thread_count_that_one_file_has_is_no_unlike_row(self) -> None:
        first = make_results([make_row(), make_row(threads=2)])
        second = make_results([make_row()])
        found = compare(first, second)
        assert ([row.first.subject.threads for row in found.rows], len(found.only_first)) == ([1], 1)

    def test_what_could_be_held_against_several_rows_is_held_against_none(self) -> None:
        first = make_results([make_row(threads=4)])
        second = make_results([make_row(), make_row(threads=2)])
        with pytest.raises(EdgeproofError, match="several rows"):
            compare(first, second, across=["threads"])

    def test_a_software_gpu_is_compared_with_nothing(self) -> None:
        results = make_results([make_row()])
        results.put(replace(results.rows[0], subject=replace(results.rows[0].subject, accelerator="gpu-software")))
        with pytest.raises(EdgeproofError, match=r"no row with a latency is in both files: the first has none .*software"):
            compare(results, results)

    def test_a_timing_that_is_not_valid_is_noted(self) -> None:
        notes = compare(make_results([make_row(disturbed=True)]), make_results([make_row()])).notes
        assert any("1 of 1 row has a timing that is not valid" in note for note in notes)

    def test_an_unknown_field_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="--across weather: unknown, there are device, accelerator, threads"):
            compare(make_results([make_row()]), make_results([make_row()]), across=["weather"])


class TestCompareCommand:
    def test_prints_a_table_or_json(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.json", make_results([make_row()]))
        saved(tmp_path / "b.json", make_results([make_row(p50_ms=2)]))
        shown = run_module("bench", "compare", "a.json", "b.json", cwd=tmp_path)
        assert shown.code == 0, shown.stderr
        assert "slower" in shown.stdout
        assert "geometric mean of the ratios of 1 row: 2.0" in shown.stdout
        document = json.loads(run_module("bench", "compare", "a.json", "b.json", "--json", cwd=tmp_path).stdout)
        assert document["rows"][0]["latency_ratio"]["verdict"] == "slower"
        assert document["geometric_mean"]["ci95"][0] < 2 < document["geometric_mean"]["ci95"][1]

    def test_refuses_unlike_records_with_code_2(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.json", make_results([make_row()]))
        saved(tmp_path / "b.json", make_results([make_row(version="2")]))
        result = run_module("bench", "compare", "a.json", "b.json", cwd=tmp_path)
        assert (result.code, "runtime_version differs" in result.error_line) == (2, True)
        assert run_module("bench", "compare", "a.json", "b.json", "--across", "runtime_version", cwd=tmp_path).code == 0


def device_row(device: str, **changes: Any) -> Measurement:
    row = make_row(**changes)
    return replace(row, subject=replace(row.subject, device=device))


class TestCells:
    def test_a_row_of_the_table_is_its_figures_and_verdicts(self) -> None:
        first = make_results([make_row(wrong=range(40))])
        second = make_results([make_row(p50_ms=2.0, wrong=range(5), size_bytes=100_000)])
        (row,) = compare(first, second).rows
        name, before, after, ratio, time, size, points, accuracy = cells(row)
        assert (name, time, size) == ("m float32.tflite in LiteRT", "slower", "0.250")
        assert before.startswith("1.0")
        assert after.startswith("2.0")
        low, high = (row.latency.low or 0, row.latency.high or 0)
        assert ratio == f"{row.latency.value:.3f} [{low:.3f}, {high:.3f}]"
        assert 0 < low < 2 < high
        assert row.accuracy is not None
        judged = row.accuracy.judged_drop()
        assert points == f"+1.75 [{points_of(-judged.high)}, {points_of(-judged.low)}]"
        assert accuracy == short_verdict(row.accuracy)

    @pytest.mark.parametrize(
        ("first", "second", "marked"), [(False, False, False), (True, False, True), (False, True, True)]
    )
    def test_a_timing_that_is_not_valid_in_either_is_marked(self, first: bool, second: bool, marked: bool) -> None:
        found = compare(make_results([make_row(disturbed=first)]), make_results([make_row(disturbed=second)]))
        marks = [column for column, cell in zip(COLUMNS, cells(found.rows[0]), strict=True) if cell.endswith(" !")]
        assert marks == (["ratio [95 %]"] if marked else [])
        assert "ratio [95 %]" not in LEFT_OUT_FIRST  # it is seen at any width
        assert any("not valid" in note for note in found.notes) is marked

    @pytest.mark.parametrize(("disturbed", "mark"), [(False, ""), (True, " !")])
    def test_the_mean_is_marked_where_a_timing_in_it_is_not_valid(self, disturbed: bool, mark: str) -> None:
        first = make_results([make_row(disturbed=disturbed), make_row("int8")])
        found = compare(first, make_results([make_row(p50_ms=2.0), make_row("int8", p50_ms=2.0)]))
        assert summary(found, "A", "B")[0].endswith(f"{ratio_text(found.mean)}{mark}: slower")

    @pytest.mark.parametrize(
        ("ratio", "text"),
        [
            (Ratio(0.996, 0.993, 0.9998), "0.9960 [0.9930, 0.9998]"),
            (Ratio(1.002, 1.0002, 1.004), "1.0020 [1.0002, 1.0040]"),
            (Ratio(0.996, 0.993, 1.0002), "0.996 [0.993, 1.000]"),  # not distinguishable: 1 is in it
        ],
    )
    def test_an_interval_without_1_never_shows_1_as_an_end(self, ratio: Ratio, text: str) -> None:
        assert ratio_text(ratio) == text

    def test_without_an_interval_there_is_a_dash(self) -> None:
        single = make_results([make_row(processes=1)])
        (row,) = compare(single, single).rows
        assert cells(row)[3:5] == ["1.000 [–] !", "not distinguishable"]
        assert row.to_json()["latency_ratio"] == {"value": 1.0, "ci95": None, "verdict": "not distinguishable"}

    @pytest.mark.parametrize(
        ("ratio", "verdict"),
        [(Ratio(1.5, 1.2, 2.0), "slower"), (Ratio(0.5, 0.4, 0.9), "faster"), (Ratio(1.5, 0.9, 2.0), "not distinguishable")],
    )
    def test_a_ratio_of_times_has_a_word(self, ratio: Ratio, verdict: str) -> None:
        assert time_verdict(ratio) == verdict
        assert ratio_text(ratio) == f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


class TestJson:
    def test_holds_both_sides_of_a_row_in_their_order(self) -> None:
        first = make_results([make_row(wrong=range(40))])
        second = make_results([make_row(p50_ms=2.0, wrong=range(5), size_bytes=100_000, disturbed=True)])
        found = compare(first, second)
        (row,) = found.to_json()["rows"]
        assert {
            name: row[name] for name in ("model", "variant", "format", "runtime", "device", "accelerator", "threads")
        } == {
            "model": "m",
            "variant": "float32",
            "format": "tflite",
            "runtime": "litert",
            "device": "host",
            "accelerator": "cpu",
            "threads": 1,
        }
        assert row["p50_ms"][0] == pytest.approx(1.0, rel=0.05)
        assert row["p50_ms"][1] == pytest.approx(2.0, rel=0.05)
        assert (row["valid"], row["size_bytes"]) == ([True, False], [400_000, 100_000])
        assert row["latency_ratio"]["verdict"] == "slower"
        paired = found.rows[0].accuracy
        assert paired is not None
        judged = paired.judged_drop()
        assert row["accuracy"] == {
            "change": pytest.approx(35 / 2_000),
            "ci99": [-judged.high, -judged.low],
            "p": paired.mcnemar_p,
        }

    def test_rows_of_one_file_are_named(self) -> None:
        first, second = ([make_row(), make_row(variant)] for variant in ("int8", "float16"))
        found = compare(make_results(first), make_results(second))
        document = found.to_json()
        assert [row["variant"] for row in (*document["only_first"], *document["only_second"])] == ["int8", "float16"]
        assert summary(found, "A", "B")[1:3] == [
            "only in A: m int8.tflite in LiteRT",
            "only in B: m float16.tflite in LiteRT",
        ]

    def test_files_without_a_row_in_common_are_refused(self) -> None:
        held = "the first has m float32.tflite in LiteRT and 1 more; the second has m float16.tflite in LiteRT"
        with pytest.raises(EdgeproofError, match=f"^no row with a latency is in both files: {held}: measure"):
            compare(make_results([make_row("int8"), make_row("float32")]), make_results([make_row("float16")]))

    def test_the_mean_is_of_all_ratios(self) -> None:
        first = make_results([make_row(), make_row("int8")])
        second = make_results([make_row(p50_ms=2.0), make_row("int8", p50_ms=8.0)])
        found = compare(first, second)
        assert found.to_json()["geometric_mean"]["value"] == pytest.approx(4.0, rel=0.02)
        assert summary(found, "A", "B")[0].startswith("geometric mean of the ratios of 2 rows: ")


class TestMatching:
    def test_rows_come_in_the_first_files_order(self) -> None:
        first = make_results([make_row("float16", threads=4), make_row(), make_row("int8")])
        second = make_results([make_row("int8"), make_row("float16", threads=2), make_row()])
        found = compare(first, second, across=["threads"])
        assert [row.first.subject.variant for row in found.rows] == ["float16", "float32", "int8"]
        assert [row.second.subject.threads for row in found.rows] == [2, 1, 1]

    def test_several_of_the_first_file_are_held_against_none_either(self) -> None:
        first = make_results([make_row(threads=2), make_row(threads=4)])
        with pytest.raises(
            EdgeproofError, match=r"m float32\.tflite in LiteRT.*several rows .*device host, accelerator cpu"
        ):
            compare(first, make_results([make_row()]), across=["threads"])

    def test_rows_alike_in_all_are_matched_before_any_other(self) -> None:
        first = make_results([make_row(), make_row(threads=2)])
        second = make_results([make_row(threads=2), make_row()])
        found = compare(first, second)
        assert [(row.first.subject.threads, row.second.subject.threads) for row in found.rows] == [(1, 1), (2, 2)]

    def test_another_device_is_compared_where_that_is_meant(self) -> None:
        first, second = make_results([device_row("pi4")]), make_results([device_row("pi5")])
        with pytest.raises(EdgeproofError, match="device differs: pi4 in the first file, pi5 in the second"):
            compare(first, second)
        assert len(compare(first, second, across=["device", "machine", "governor"]).rows) == 1

    def test_a_machine_is_told_part_by_part(self) -> None:
        second = make_results([make_row()], environment=replace(ENVIRONMENT, cpu="another"))
        with pytest.raises(EdgeproofError, match="machine differs: board, a cpu, 2 in the first file, board, another, 2 in"):
            compare(make_results([make_row()]), second)

    def test_another_system_and_python_are_noted_not_refused(self) -> None:
        second = make_results([make_row()], environment=replace(ENVIRONMENT, os="new", python="3.12"))
        assert compare(make_results([make_row()]), second).notes == (
            "os: an os in the first file, new in the second",
            "python: 3.11 in the first file, 3.12 in the second",
            BETWEEN_RUNS,
        )
        same = make_results([make_row()])
        assert compare(same, same).notes == ()

    def test_rows_without_a_time_are_counted_in_both_files(self) -> None:
        first = make_results([make_row(), device_row("emulated-pi4")])
        second = make_results([make_row(), device_row("emulated-pi4"), device_row("emulated-pi5", variant="int8")])
        found = compare(first, second)
        assert (len(found.rows), found.only_first, found.only_second) == (1, (), ())
        assert found.notes == ("left out: 3 rows: emulated, not a latency", BETWEEN_RUNS)

    def test_answers_to_other_labels_are_not_compared(self) -> None:
        first, second = make_results([make_row()]), make_results([make_row()])
        (name,) = [name for name in second.arrays if name.startswith("pictures/") and name.endswith("truth")]
        second.arrays[name] = (second.arrays[name] + 1) % 10
        assert compare(first, second).rows[0].accuracy is None

    def test_answers_are_compared_on_the_pictures_that_both_have_seen(self) -> None:
        first, second = make_results([make_row(wrong=[5, 1_500])]), make_results([make_row(wrong=[3], total=1_000)])
        found = compare(first, second).rows[0].accuracy
        assert found is not None
        assert (found.only_first, found.only_second, found.total) == (1, 1, 1_000)


class TestSeveralFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, p50_ms in (("a", 1.0), ("b", 2.0), ("c", 0.5)):
            saved(tmp_path / f"{name}.json", make_results([make_row(p50_ms=p50_ms)]))
        return tmp_path

    def test_each_further_file_is_compared_with_the_first(self, folder: Path) -> None:
        result = run_module("bench", "compare", "a.json", "b.json", "c.json", cwd=folder)
        assert result.code == 0, result.stderr
        second, third = result.stdout.partition("c.json against a.json:")[::2]
        assert second.startswith("b.json against a.json:")
        tables = [printed.partition("geometric mean")[0] for printed in (second, third)]
        assert [("slower" in table, "faster" in table) for table in tables] == [(True, False), (False, True)]

    def test_in_json_each_comparison_names_its_files(self, folder: Path) -> None:
        result = run_module("bench", "compare", "a.json", "b.json", "c.json", "--json", cwd=folder)
        found = json.loads(result.stdout)["comparisons"]
        assert [(one["first"], one["second"]) for one in found] == [("a.json", "b.json"), ("a.json", "c.json")]
        assert [round(one["rows"][0]["latency_ratio"]["value"], 1) for one in found] == [2.0, 0.5]

    def test_what_must_not_be_compared_is_refused_by_the_name_of_its_file(self, folder: Path) -> None:
        saved(folder / "other.json", make_results([make_row(version="2.0")]))
        result = run_module("bench", "compare", "a.json", "b.json", "other.json", cwd=folder)
        assert result.code == 2
        assert "a.json, other.json" in result.error_line
        assert "runtime_version" in result.error_line
