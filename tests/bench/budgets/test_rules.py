"""Budgets: what a file may contain, which rule counts, and what each verdict is based on."""

from pathlib import Path

import pytest

from bench.budgets.check import check
from bench.budgets.kinds import KINDS, Against
from bench.budgets.rules import Budgets, load_budgets, refuse_unknown_variants, refuse_unmatched
from bench.results.row import ANY, Combination, Subject
from device.errors import EdgeproofError
from tests.conftest import ROOT
from tests.support.baselines import rules
from tests.support.budget_results import budgets_file, results, row


class TestFile:
    @pytest.mark.parametrize(
        ("rule", "line", "found"),
        [
            ("max_p50 = 3", 2, "unknown key 'max_p50'"),
            ('model = "m"\nmax_sise_kb = 3', 3, "unknown key 'max_sise_kb'"),
            ('max_size_kb = "300"', 2, "found '300', expected a number"),
            ("max_size_kb = true", 2, "found True"),
            ("max_size_kb = nan", 2, "found nan"),
            ("max_size_kb = inf", 2, "found inf"),
            ("max_size_kb = -1", 2, "found -1"),
            ("max_size_kb = 0", 2, "more than 0"),
            ("\n# a comment\nmin_top1 = 99.0", 4, "at most 1"),
            ("max_ratio = 0.8", 2, 'expected {to = "float32"'),
            ("max_ratio = {to = 'float32', p42 = 1.0}", 2, "p50, p90"),
            ("max_ratio = {to = 'float32', p50 = 'half'}", 2, "max_ratio.p50"),
            ("max_size_kb = 3\nthreads = 0", 3, "whole number from 1"),
            ("max_size_kb = 3\nmodel = 7", 3, "model: found 7"),
            ('model = "m"', 1, "sets no limit"),
            ("max_p50_ms = 3", 2, "named device"),
            ('device = "*"\nmax_load_ms = 3', 3, "named device"),
            ('device = "host"\nmax_p90_ms = 3', 3, "named device"),
            ('device = "chromium"\nmax_p50_ms = 3', 3, "named device"),
        ],
    )
    def test_a_mistake_is_named_with_its_line(self, tmp_path: Path, rule: str, line: int, found: str) -> None:
        with pytest.raises(EdgeproofError) as error:
            load_budgets(budgets_file(tmp_path, rule))
        assert f"budgets.toml:{line}: " in str(error.value)
        assert found in str(error.value)

    def test_a_mistake_in_a_later_rule_has_that_rules_line(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:5: .*unknown key 'max_rss'"):
            load_budgets(budgets_file(tmp_path, "max_size_kb = 3", 'model = "m"\nmax_rss = 1'))

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "holds no budgets"),
            ("# nothing\n", "holds no budgets"),
            ("[[budget", "no readable TOML"),
            ("x = 1", "unknown"),
        ],
    )
    def test_a_file_without_budgets_is_refused(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "budgets.toml"
        path.write_text(text)
        with pytest.raises(EdgeproofError, match=found):
            load_budgets(path)

    def test_the_projects_own_is_sound(self) -> None:
        assert load_budgets(ROOT / "bench" / "budgets" / "budgets.toml").rules

    def test_every_key_is_documented(self) -> None:
        text = (ROOT / "docs" / "gate.md").read_text()
        assert [key for key in KINDS if f"`{key}`" not in text] == []


class TestRules:
    def limit_of(self, tmp_path: Path, *rules: str) -> list[float]:
        found = check(results(), load_budgets(budgets_file(tmp_path, *rules)), devices=tmp_path)
        return [finding.limit.value for finding in found]

    def test_the_narrowest_counts(self, tmp_path: Path) -> None:
        wide, narrower, narrow = "max_size_kb = 1", 'variant = "int*"\nmax_size_kb = 2', 'variant = "int8"\nmax_size_kb = 3'
        assert self.limit_of(tmp_path, wide, narrow, narrower) == [3]
        assert self.limit_of(tmp_path, narrower, wide) == [2]

    def test_each_key_has_its_own_narrowest(self, tmp_path: Path) -> None:
        assert self.limit_of(tmp_path, "max_size_kb = 1\nmax_peak_rss_mb = 2", 'model = "m"\nmax_size_kb = 3') == [2, 3]

    def test_two_equally_narrow_ones_are_refused_with_both_lines(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:6, .*budgets\.toml:3") as error:
            self.limit_of(tmp_path, 'model = "m"\nmax_size_kb = 1', 'variant = "int8"\nmax_size_kb = 2')
        assert "equally narrow" in str(error.value)

    def test_one_that_matches_nothing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:3: matches nothing .*model resnet"):
            self.limit_of(tmp_path, "max_size_kb = 1", 'model = "resnet"\nmax_size_kb = 2')

    def test_a_named_training_is_a_model_of_its_own(self, tmp_path: Path) -> None:
        rows = results(row(), row(name="other"))
        found = check(rows, load_budgets(budgets_file(tmp_path, 'model = "m@other"\nmax_size_kb = 2')), devices=tmp_path)
        assert [finding.subject for finding in found] == ["m@other/int8.tflite/litert/host/cpu/1"]


SUBJECT = Subject("m", None, "int8", "tflite", "litert", "host", "cpu", 2)


def loaded(tmp_path: Path, *rules: str) -> Budgets:
    return load_budgets(budgets_file(tmp_path, *rules))


def limits(tmp_path: Path, *rules: str, subject: Subject = SUBJECT, against: Against = "results") -> dict[str, float]:
    return {limit.name: limit.value for limit in loaded(tmp_path, *rules).of(subject, {subject.device}, against)}


class TestSelectors:
    @pytest.mark.parametrize(
        ("rule", "about"),
        [
            ("", True),
            ('model = "m"', True),
            ('model = "M"', False),
            ('model = "?"', True),
            ('model = "m@*"', False),
            ('variant = "int*"', True),
            ('variant = "float*"', False),
            ('format = "tflite"', True),
            ('format = "onnx"', False),
            ('runtime = "litert"', True),
            ('runtime = "litert_gpu"', False),
            ('accelerator = "cpu"', True),
            ('accelerator = "gpu*"', False),
            ("threads = 2", True),
            ("threads = 1", False),
            ('threads = "*"', True),
            ('device = "host"', True),
            ('device = "h[no]st"', True),
            ('device = "pi4"', False),
            ('model = "m"\nvariant = "float32"', False),
        ],
    )
    def test_each_is_a_pattern_of_its_name(self, tmp_path: Path, rule: str, about: bool) -> None:
        assert (limits(tmp_path, f"{rule}\nmax_size_kb = 3") != {}) is about

    def test_a_row_may_have_several_names_of_devices_and_one_is_enough(self, tmp_path: Path) -> None:
        (rule,) = loaded(tmp_path, 'device = "pi4"\nmax_p50_ms = 3').rules
        assert rule.matches(SUBJECT, {"host", "pi4"})
        assert not rule.matches(SUBJECT, {"host"})
        assert not rule.matches(SUBJECT, set())
        assert rule.matches_elsewhere(SUBJECT)

    @pytest.mark.parametrize(
        ("runtime", "accelerator", "about"),
        [
            ("litert", "cpu", True),
            ("litert", "gpu", False),
            ("litert_gpu", "gpu", True),
            ("litert_gpu", "gpu-software", True),
            ("litert_gpu", "cpu", False),
            ("a_runtime_of_a_board", "cpu", True),  # not known here
        ],
    )
    @pytest.mark.parametrize("model", [ANY, "m"])
    def test_a_skipped_row_has_the_accelerator_of_its_runtime(
        self, tmp_path: Path, runtime: str, accelerator: str, about: bool, model: str
    ) -> None:
        (found,) = loaded(tmp_path, f'accelerator = "{accelerator}"\nmax_size_kb = 3').rules
        skipped = Combination(model, None, ANY, "tflite", runtime, "host")
        in_memory = Subject(ANY, None, ANY, "tflite", runtime, "host", "gpu" if "gpu" in runtime else "cpu", 1)
        assert found.matches_elsewhere(skipped) is about
        assert found.matches_elsewhere(in_memory) is about  # before it is written

    @pytest.mark.parametrize("key", ['accelerator = "gpu"', 'runtime = "litert_gpu"'])
    def test_a_model_that_is_nowhere_is_refused_although_its_runtime_is_missing_for_all(
        self, tmp_path: Path, key: str
    ) -> None:
        subjects = [SUBJECT, Combination(ANY, None, ANY, "tflite", "litert_gpu", "host")]
        refuse_unmatched(loaded(tmp_path, f'model = "m"\n{key}\nmax_size_kb = 3').rules, subjects, "the results")
        with pytest.raises(EdgeproofError, match=r"matches nothing in the results \(model resnet, .*which is of m: correct"):
            refuse_unmatched(loaded(tmp_path, f'model = "resnet"\n{key}\nmax_size_kb = 3').rules, subjects, "the results")

    @pytest.mark.parametrize(
        ("rule", "about"),
        [
            ("", False),
            ('model = "m"', False),
            ('runtime = "litert"', True),
            ('accelerator = "cpu"', True),
            ('runtime = "tvm"', False),
            ('runtime = "litert"\nthreads = 4', True),
            ('runtime = "litert"\nmodel = "x"', True),
        ],
    )
    def test_a_skipped_row_of_all_models_is_one_of_its_runtime(self, tmp_path: Path, rule: str, about: bool) -> None:
        skipped = Combination(ANY, None, ANY, "tflite", "litert", "host")
        (found,) = loaded(tmp_path, f"{rule}\nmax_size_kb = 3").rules
        assert found.matches_elsewhere(skipped) is about

    def test_a_ratio_to_a_variant_that_is_nowhere_is_refused_with_those_that_there_are(self, tmp_path: Path) -> None:
        skipped = Combination("n", None, "float16", "tflite", "litert", "host")
        subjects = [SUBJECT, skipped, Combination(ANY, None, ANY, "tflite", "litert_gpu", "host")]
        for variant in ("int8", "float16"):
            found = loaded(tmp_path, f'max_ratio = {{to = "{variant}", p50 = 0.8}}')
            refuse_unknown_variants(found.rules, subjects)
        for variant in ("flaot32", "*"):
            found = loaded(tmp_path, "max_size_kb = 3", f'max_ratio = {{to = "{variant}", p50 = 0.8}}')
            with pytest.raises(EdgeproofError) as error:
                refuse_unknown_variants(found.rules, subjects)
            text = f"no row of the results is of variant '{variant}', expected one of float16, int8: correct the name, or "
            assert f"budgets.toml:4: max_ratio: {text}" in str(error.value)

    def test_a_rule_is_told_by_its_selectors(self, tmp_path: Path) -> None:
        one, every = loaded(tmp_path, 'variant = "int*"\nthreads = 2\nmax_size_kb = 3', "max_size_kb = 3").rules
        assert (one.text, every.text) == ("variant int*, threads 2", "every row")

    @pytest.mark.parametrize(
        ("wide", "narrow"),
        [
            ("", 'model = "?"'),
            ('model = "*"', 'model = "?*"'),
            ('model = "m*"', 'model = "m"'),
            ('model = "m*"\nvariant = "int*"\nruntime = "lit*"', 'model = "m"'),
            ('model = "m"', 'model = "m"\nvariant = "*8"'),
            ('variant = "i*"', 'variant = "in*"'),
        ],
    )
    def test_names_are_narrower_than_letters_beside_wildcards(self, tmp_path: Path, wide: str, narrow: str) -> None:
        rules = (f"{wide}\nmax_size_kb = 1", f"{narrow}\nmax_size_kb = 2")
        assert limits(tmp_path, *rules) == limits(tmp_path, *rules[::-1]) == {"max_size_kb": 2}


class TestLimits:
    def test_each_kind_is_held_against_its_own(self, tmp_path: Path) -> None:
        rule = "max_size_kb = 3\nmax_regression = 0.5\nmax_top1_regression = 0"
        assert limits(tmp_path, rule) == {"max_size_kb": 3}
        assert limits(tmp_path, rule, against="baseline") == {"max_regression": 0.5, "max_top1_regression": 0}
        other = loaded(tmp_path, "max_size_kb = 3", "max_regression = 0.5", rule)
        assert [found.place.line for found in other.limited("results")] == [1, 5]
        assert [found.place.line for found in other.limited("baseline")] == [3, 5]

    def test_a_ratio_is_known_by_its_percentile_and_its_variant(self, tmp_path: Path) -> None:
        found = limits(
            tmp_path,
            'max_ratio = {to = "float32", p50 = 0.8}',
            'max_ratio = {to = "float32", p90 = 0.9}',
            'max_ratio = {to = "float16", p50 = 1}',
        )
        assert found == {
            "max_ratio p50 to float32": 0.8,
            "max_ratio p90 to float32": 0.9,
            "max_ratio p50 to float16": 1,
        }

    @pytest.mark.parametrize(
        ("limit", "fits"),
        [
            ("min_top1 = 1", True),
            ("min_top1 = 1.01", False),
            ("min_top1 = 0", False),
            ("max_top1_drop = 0", True),
            ("max_top1_drop = -0.1", False),
            ("max_regression = 0", True),
            ("max_regression = 3", True),
            ("max_size_kb = 0.001", True),
            ("max_size_kb = [3]", False),
            ('max_ratio = {to = "", p50 = 1}', False),
            ("max_ratio = {p50 = 1}", False),
            ('max_ratio = {to = "a"}', False),
            ('max_ratio = {to = "a", p50 = 1, p90 = 1}', False),
            ('max_ratio = {to = "a", p50 = 0}', False),
            ("max_ratio = {to = 3, p50 = 1}", False),
            ('max_ratio = {to = "a", p99 = 1}', False),
            ('threads = "2"\nmax_size_kb = 3', False),
            ("threads = true\nmax_size_kb = 3", False),
            ("threads = 1\nmax_size_kb = 3", True),
            ('model = ""\nmax_size_kb = 3', False),
            ('device = "pi4"\nmax_p50_ms = 3', True),
            ('device = "pi?"\nmax_p50_ms = 3', False),
            ('device = "pi[4]"\nmax_p50_ms = 3', False),
            ('max_ratio = {to = "float32", p50 = 1}', True),
        ],
    )
    def test_values_have_borders(self, tmp_path: Path, limit: str, fits: bool) -> None:
        if fits:
            assert len(loaded(tmp_path, limit).rules) == 1
        else:
            with pytest.raises(EdgeproofError, match=r"budgets\.toml:\d+: "):
                loaded(tmp_path, limit)

    def test_what_is_expected_of_a_number_is_said(self, tmp_path: Path) -> None:
        for limit, expected in (
            ("max_size_kb = 0", "expected a number, more than 0"),
            ("min_top1 = 2", "expected a number, more than 0, at most 1"),
            ("max_top1_drop = 2", "expected a number, 0 or more, at most 1"),
            ("max_regression = -1", "expected a number, 0 or more"),
        ):
            with pytest.raises(EdgeproofError) as error:
                loaded(tmp_path, limit)
            assert str(error.value).endswith(expected)


class TestPlaces:
    def place(self, tmp_path: Path, text: str) -> int:
        path = tmp_path / "budgets.toml"
        path.write_text(text)
        with pytest.raises(EdgeproofError) as error:
            load_budgets(path)
        return int(str(error.value).partition("budgets.toml:")[2].partition(":")[0])

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("[[budget]]\nmax_size_kb = 1\nmodel = 1\n\n[[budget]]\nmodel = 1\nmax_size_kb = 1\n", 3),
            ("[[budget]]\nmodel = 'a'\nmax_size_kb = 1\n\n[[budget]]\nmodel = 1\nmax_size_kb = 1\n", 6),
            ("[[budget]]\nmodel = 'a'\nmax_size_kb = 1\n[[ budget ]]\nmodel = 'b'\n", 4),
            ("[[budget]]\n  'model'=3\nmax_size_kb = 1\n", 2),
            ("[[budget]]\nmodels = 3\n", 2),
            ("[[budget]]\nmax_size_kb = 1\n\n[other]\na = 1\n", 4),
            ("# budget\n\nbudget = 3\n", 3),
            ("\nbudget = [1]\n", 2),
            ("budget = [{max_size_kb = 0}]\n", 1),
            ("[[budget]]\nmax_ratio.to = 'a'\nmax_ratio.p50 = 0\n", 2),
        ],
    )
    def test_a_mistake_has_the_line_where_it_stands(self, tmp_path: Path, text: str, line: int) -> None:
        assert self.place(tmp_path, text) == line


def test_a_limit_in_milliseconds_without_a_device_names_the_projects_own_devices(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match=r"NAME\.toml, .* to the folder of devices in edgeproof\.toml"):
        rules(tmp_path, "[[budget]]\nmax_p50_ms = 1\n")
