"""The report as a page: what stands in it, and how it behaves in a headless Chromium."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.measure.phase_worker import NO_ANSWER
from bench.report import html as page, overview_chart
from bench.report.console import console_lines
from bench.report.markdown import COLUMNS, markdown
from bench.report.picture import VEGA_LITE
from bench.report.section import Section
from bench.results import history
from bench.results.history import History
from bench.results.row import PathSpans, Skipped
from bench.results.store import Results
from bench.search.budget_line import broken
from bench.search.result import Limit
from bench.search.shown.section import section_of
from bench.search.winner import concluded
from tests.conftest import ROOT, run_module
from tests.support.results_builder import CLASSES, ENVIRONMENT, make_results, make_row, saved
from tests.support.searching.searches import paired, search, trial, unfinished
from tests.tools.browser import PHONE, Opened, chromium, find_chromium, opened

HOSTILE = ('<img src=x onerror="window.pwned=1">', "</script><script>window.pwned=1</script>", "{{7*7}}", "'\"&", "\u2028")


def usual(classes: tuple[str, ...] = CLASSES) -> Results:
    rows = [
        make_row("float32", "keras", 20.0, size_bytes=1_500_000),
        make_row("float32", p50_ms=1.0, wrong=range(10)),
        make_row("int8", p50_ms=0.5, wrong=range(5, 17), size_bytes=100_000),
        make_row("float32", "tflite_runtime", p50_ms=1.1, wrong=range(10)),
        make_row("int8", "tflite_runtime", p50_ms=3.0, wrong=range(5, 17), size_bytes=100_000),
        make_row("float32", p50_ms=4.0, wrong=range(4), model="big", size_bytes=9_000_000),
        make_row("int8", p50_ms=2.5, wrong=range(4), model="big", size_bytes=2_000_000, disturbed=True),
    ]
    results = make_results(rows, classes)
    refused = Skipped(replace(rows[2].subject, runtime="tvm"), "tvm is not installed: pip install <tvm>")
    results.merge([], [refused], ENVIRONMENT)
    return results


def trend(results: Results) -> History:
    entries: list[history.HistoryLine] = []
    for day in (1, 2, 3):
        environment = replace(ENVIRONMENT, git_commit=f"{day}" * 40)
        entries += history.lines_of(results.rows, environment, datetime(2026, 1, day, tzinfo=UTC))
    return History(tuple(entries), 1)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    results = usual()
    path.write_text(page.page(results, trend(results), [searched()]), encoding="utf-8")
    return path


def searched(text: str = "m") -> Section:
    """Return the section of a search with some trials of each kind; `text` stands in its name, settings and reasons."""
    failed = replace(unfinished(6, "failed", text), settings={text: text})
    trials = [trial(number, 4850 + 20 * number, 9_000 + 4_000 * number, settings={text: text}) for number in range(6)]
    limits = (Limit("top1", least=0.975), Limit("size_bytes", most=25_000))
    trials = [replace(one, keeps_budget=not broken(one, limits)) for one in trials]
    found = concluded(search(*trials, failed, limits=limits, model=text), paired)
    return section_of(found, f"Search: {text}", "search-m", ["m@search/search.md"], None)


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


class TestPage:
    def test_is_one_file_that_refers_to_nothing_outside(self, report: Path) -> None:
        html = report.read_text()
        without_scripts = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
        assert not re.search(r"""(?:src|href)=(?!["']?(?:data:|#))""", without_scripts)
        assert "default-src 'none'" in html
        assert len(html) < 2_000_000

    def test_says_what_to_ship_and_why_and_what_was_skipped(self, report: Path) -> None:
        html = report.read_text()
        assert "int8.tflite in LiteRT" in html
        assert "not shown to lose at most 0.2 points on 2,000 pictures" in html
        assert "answered otherwise than float32; " in html
        assert "plain reference code" in html
        assert "tvm is not installed: pip install &lt;tvm&gt;" in html
        assert "waited: its processes waited 30.0 %" in html

    def test_flips_have_their_pictures(self, report: Path) -> None:
        data = data_of(report.read_text())
        flips = data["details"]["m/int8.tflite/litert/host/cpu/1"]["flips"]
        assert flips["count"] == 12  # 0 to 4 are right now, 10 to 16 wrong
        assert [place for place, *_ in flips["shown"]] == [*range(5), *range(10, 17)]
        assert all(data["pictures"][flips["pool"]][str(place)].startswith("data:image/png") for place, *_ in flips["shown"])

    def test_confusions_add_up_to_the_pictures(self, report: Path) -> None:
        for detail in data_of(report.read_text())["details"].values():
            assert sum(count for *_, count in detail["confusions"]) == 2_000
            assert len(detail["classes"]) == 10

    def test_calibration_is_of_real_scores_alone(self, report: Path) -> None:
        details = data_of(report.read_text())["details"]
        assert details["m/float32.tflite/litert/host/cpu/1"]["calibration"][0] == pytest.approx(0.025, abs=1e-3)
        assert details["m/float32.tflite/litert/host/cpu/1"]["unsure"][-1][2] == 1  # all wrong answers are below it
        int8 = details["m/int8.tflite/litert/host/cpu/1"]
        assert int8["calibration"] is None
        assert int8["unsure"] == []
        assert "multiples of 1/256" in int8["scores"]

    def test_many_classes_are_a_list_of_the_largest_confusions(self) -> None:
        table = np.eye(50, dtype=np.int64) * 9
        table[3, 4], table[7, 1] = 2, 5
        assert page._entries(table) == [[7, 1, 5], [3, 4, 2]]

    def test_pictures_that_a_device_did_not_answer_are_an_answer_of_their_own(self) -> None:
        """It comes after the last class, in small tables and in large ones."""
        small, large = np.zeros((3, 4), np.int64), np.zeros((50, 51), np.int64)
        small[1, 3] = large[49, 50] = 2
        assert (page._entries(small), page._entries(large)) == ([[1, 3, 2]], [[49, 50, 2]])

    def test_every_chart_is_valid_vega_lite(self, report: Path) -> None:
        import vl_convert

        data = data_of(report.read_text())
        specs = [data["overview"]]
        for model in data["models"].values():
            specs += [spec for name in ("distributions", "speed", "startup") if (spec := model[name])]
            specs += model["trend"]
        specs += data["sections"].values()
        assert len(specs) == 14
        for spec in specs:
            vl_convert.vegalite_to_vega({**spec, "width": 600}, vl_version=VEGA_LITE)

    def test_the_whole_path_is_drawn_where_it_was_measured(self) -> None:
        results = usual()
        assert all(model["path"] is None for model in page._data(results, [], History((), 0), [])["models"].values())
        results.put(replace(results.rows[0], path=PathSpans(0.1, 0.2, 0.5, 0.01, 0.82, 0.01)))  # "big"
        spec = page._data(results, [], History((), 0), [])["models"]["big"]["path"]
        assert [value["ms"] for value in spec["data"]["values"]] == [0.1, 0.2, 0.5, 0.01]

    def test_a_report_without_accuracy_labels_or_valid_rows_is_still_one(self) -> None:
        results = usual()
        results.rows = [replace(row, accuracy=None) for row in results.rows]
        html = page.page(results, History((), 0))
        assert data_of(html)["overview"] is None
        assert "accuracy was not measured" in html
        assert "| – |" in markdown(results)

    def test_markdown_has_the_advice_and_the_paired_verdicts(self) -> None:
        text = markdown(usual())
        assert text.index("## What to ship") < text.index("## All rows")
        assert "**Sure:** its time is known within " in text
        assert "- **m: Ship float32.tflite in LiteRT**: no faster row is shown to lose at most 0.2 points" in text
        assert "int8.tflite in LiteRT is 2." in text
        assert "  - int8.tflite in LiteRT: 12 of 2,000 answered otherwise than float32; " in text
        assert "| m | int8.tflite in tflite-runtime | 0.3" in text
        assert "| not distinguishable | tflite-runtime's x86 wheel" in text

    def test_the_first_screen_is_no_surer_than_its_data_and_in_plain_words(self) -> None:
        results = make_results([make_row("int8", disturbed=True)])
        first = page.page(results, History((), 0)).partition('<section id="ship">')[2].partition("</section>")[0]
        for text in (first, markdown(results).partition("## All rows")[0]):
            assert "Best so far: int8.tflite in LiteRT" in text
            assert "Ship int8" not in text
            assert "other programs kept it waiting for 30 % of its time; there is no float32 to compare it with" in text
            assert "waited:" not in text
        assert "waited: its processes waited 30.0 %" in markdown(results)  # the details, below the table


class TestFront:
    def flags(self, *rows: Any) -> list[bool]:
        results = make_results(list(rows))
        return [on for on, _ in zip(overview_chart.on_front(results.rows), results.rows, strict=True)]

    def test_holds_what_no_other_row_beats(self) -> None:
        slow_and_wrong = make_row("a", p50_ms=2, wrong=[1], size_bytes=200)
        fast_and_wrong = make_row("b", p50_ms=1, wrong=[1], size_bytes=100)
        slow_and_right = make_row("c", p50_ms=2, size_bytes=200)
        assert self.flags(slow_and_wrong, fast_and_wrong, slow_and_right) == [False, True, True]

    def test_a_smaller_file_is_on_it_although_it_is_slower(self) -> None:
        assert self.flags(make_row("a", p50_ms=1, size_bytes=200), make_row("b", p50_ms=2, size_bytes=100)) == [True, True]

    def test_a_row_of_fewer_pictures_is_not_compared(self) -> None:
        assert self.flags(make_row("a", wrong=range(20)), make_row("b", p50_ms=9, total=100)) == [True, False]


class TestCommand:
    @pytest.mark.slow
    def test_report_draws_the_trend_when_asked_or_where_there_are_two_runs(self, tmp_path: Path) -> None:
        results = saved(tmp_path / "build" / "bench.json", usual())
        missing = run_module("bench", "report", "--history", cwd=tmp_path)
        assert (missing.code, "history.jsonl" in missing.error_line) == (2, True)
        for day in (1, 2):
            lines = history.lines_of(results.rows, ENVIRONMENT, datetime(2026, 1, day, tzinfo=UTC))
            history.append(tmp_path / "build" / "history.jsonl", lines)
        for option, charts_drawn in (("--history", 3), ("--no-history", 0)):
            result = run_module("bench", "report", option, cwd=tmp_path)
            assert result.code == 0, result.stderr
            data = data_of((tmp_path / "build" / "report.html").read_text())
            assert len(data["models"]["m"]["trend"]) == charts_drawn
        assert "## What to ship" in (tmp_path / "build" / "report.md").read_text()


# The tables that are wider than their place
CLIPPED = (
    "[...document.querySelectorAll('.scroll')].filter((s) => s.scrollWidth > s.clientWidth + 1).map((s) => s.ariaLabel)"
)


class TestOrder:
    def test_terminal_markdown_and_page_have_the_same_rows_in_the_same_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "300")
        results = usual()
        keys = [
            (row.subject.model, f"{row.subject.variant}.{row.subject.format}", row.subject.runtime) for row in results.rows
        ]
        results.new_keys.clear()
        results.new_skipped.clear()
        terminal = [tuple(line.split()[:3]) for line in console_lines(results)[2 : 2 + len(keys)]]
        cells = [line.strip("| ").split(" | ") for line in markdown(results).splitlines() if line.startswith("| ")]
        table = [(one[0], one[1], one[2].split()[0]) for one in cells if len(one) == len(COLUMNS)][1:]
        html = re.findall(r'<tr id="([^"]+)"', page.page(results, History((), 0)))
        assert terminal == keys
        assert [row for row in table if row[0] != "---"] == keys
        assert html == [row.key for row in results.rows]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if find_chromium() is None:
        pytest.skip("no Chromium here: `make chromium` installs it (CI does); the page was not opened")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def desktop(browser: Any, report: Path) -> Iterator[Opened]:
    with opened(browser, report) as shown:
        yield shown


@pytest.mark.slow
class TestInChromium:
    def test_opens_offline_without_a_word_on_the_console(self, desktop: Opened) -> None:
        assert desktop.problems == []

    @pytest.mark.parametrize("p50_ms", [(1.0, 2.0), (2.0, 1.0)])  # the front's corner left and right of the middle
    def test_names_the_front_on_the_side_where_there_is_room(
        self, browser: Any, tmp_path: Path, p50_ms: tuple[float, float]
    ) -> None:
        rows = [make_row(p50_ms=p50_ms[0], size_bytes=100), make_row("int8", p50_ms=p50_ms[1], wrong=range(20))]
        path = tmp_path / "report.html"
        path.write_text(page.page(make_results(rows), History((), 0)), encoding="utf-8")
        with opened(browser, path) as shown:
            named = {
                text: style
                for text, style in shown.page.eval_on_selector_all(
                    "#overview svg .mark-text.role-mark text",
                    "all => all.map((one) => [one.textContent, one.getAttribute('text-anchor')])",
                )
                if text
            }
            assert next(iter(named.values())) == ("start" if p50_ms[0] < p50_ms[1] else "end")
            assert shown.problems == []

    def test_the_plots_are_there(self, desktop: Opened) -> None:
        points = desktop.page.locator("#overview svg .mark-symbol path").count()
        assert points >= 7  # one a row, and the legend's
        for section in ("pairs", "latency", "path", "trend"):
            assert desktop.page.locator(f"#{section} details[open] svg").count() >= 1, section
        assert desktop.page.locator("#confusion svg .mark-rect path").count() >= 10

    def test_a_search_shows_its_trials_its_winner_and_its_budget(self, desktop: Opened) -> None:
        assert desktop.page.locator("#search-m svg .mark-symbol.role-mark path").count() >= 6
        drawn = " ".join(desktop.page.locator("#search-m svg text").all_text_contents())
        assert "trial 0: 9.0 kB, 97.00 %" not in drawn  # it breaks the budget
        assert "trial 2: 17.0 kB, 97.80 %" in drawn
        assert "size at most 25.0 kB" in drawn
        assert "accuracy at least 97.50 %" in drawn
        assert desktop.texts("#search-m tbody tr td:first-child")[0] == "2"
        assert desktop.texts("#search-m li")[3].startswith("The winner is trial 2 with 17.0 kB")

    def test_a_click_sorts_the_table_as_numbers_and_another_turns_it(self, desktop: Opened) -> None:
        desktop.page.get_by_role("button", name="p50 ms").click()
        shown = [float(text.split()[0]) for text in desktop.texts("#rows tbody td:nth-child(6)")]
        assert shown == sorted(shown)
        assert shown[-1] > 10 > shown[0]
        desktop.page.get_by_role("button", name="p50 ms").click()
        turned = [float(text.split()[0]) for text in desktop.texts("#rows tbody td:nth-child(6)")]
        assert turned == sorted(shown, reverse=True)
        assert desktop.page.locator("#rows th[aria-sort='descending']").count() == 1

    def test_a_model_is_chosen_for_the_whole_page(self, desktop: Opened) -> None:
        desktop.page.locator("[data-choose='big']").click()
        desktop.settle()
        assert desktop.page.locator("#rows tbody tr:visible").count() == 2
        assert desktop.page.locator("#ship .card:visible").count() == 1
        assert desktop.texts("#latency summary") == ["big: how long a picture takes in each runtime"]
        assert desktop.texts("#row option")[0].startswith("big:")
        desktop.page.locator("[data-choose='']").click()
        desktop.settle()
        assert desktop.page.locator("#rows tbody tr:visible").count() == 7

    def test_a_row_is_looked_into_with_its_flipped_pictures(self, desktop: Opened) -> None:
        desktop.page.locator("#row").select_option("m/int8.tflite/litert/host/cpu/1")
        desktop.page.wait_for_function("document.querySelectorAll('.flips img').length === 12")
        assert "12 of 2,000 pictures are answered otherwise" in desktop.texts("#flips .note")[0]
        loaded = "[...document.querySelectorAll('.flips img')].every((picture) => picture.naturalWidth === 8)"
        desktop.page.locator("#flips").scroll_into_view_if_needed()
        desktop.page.wait_for_function(loaded)
        assert len(desktop.texts("#classes tbody tr")) == 10

    def test_a_picture_without_an_answer_is_said_to_have_none(self, browser: Any, tmp_path: Path) -> None:
        """Its answer is "not answered" in the confusion matrix and among the flips, and nowhere undefined."""
        rows = [make_row(), make_row("int8", wrong=[3])]
        rows[1].samples.predictions[3] = NO_ANSWER
        path = tmp_path / "report.html"
        path.write_text(page.page(make_results(rows), History((), 0)), encoding="utf-8")
        with opened(browser, path) as shown:
            shown.page.locator("#row").select_option("m/int8.tflite/litert/host/cpu/1")
            shown.page.wait_for_function("document.querySelectorAll('.flips img').length === 1")
            shown.settle()
            assert "3 → not answered" in shown.page.inner_text("#flips")
            assert "not answered" in " ".join(shown.page.locator("#confusion svg text").all_text_contents())
            assert "undefined" not in shown.page.inner_text("main")
            assert shown.problems == []

    def test_pointing_at_a_mark_shows_its_figures(self, desktop: Opened) -> None:
        desktop.page.locator("#overview svg .mark-symbol.role-mark path").first.hover(force=True)
        desktop.page.wait_for_selector("#vg-tooltip-element.visible")
        assert "top-1" in desktop.texts("#vg-tooltip-element")[0]

    def test_dark_follows_the_system_and_the_button(self, browser: Any, report: Path) -> None:
        with opened(browser, report, scheme="dark") as shown:
            ground = "getComputedStyle(document.body).backgroundColor"
            assert shown.page.evaluate(ground) == "rgb(15, 20, 26)"
            shown.page.locator("#theme").click()
            shown.settle()
            assert shown.page.evaluate(ground) == "rgb(246, 247, 249)"
            assert shown.problems == []

    def test_a_phone_scrolls_down_and_never_sideways(self, browser: Any, report: Path) -> None:
        with opened(browser, report, PHONE) as shown:
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
            widest = "Math.max(...[...document.querySelectorAll('.chart svg')].map((s) => s.getBoundingClientRect().right))"
            assert shown.page.evaluate(widest) <= PHONE[0]
            assert shown.page.evaluate(CLIPPED) == []
            assert shown.page.locator("#overview svg .mark-symbol.role-mark path").count() == 7
            assert shown.problems == []

    def test_the_tables_fit_a_desktop(self, desktop: Opened) -> None:
        assert desktop.page.evaluate(CLIPPED) == []

    def test_a_row_can_be_linked_to(self, browser: Any, report: Path) -> None:
        key = "m/int8.tflite/tflite_runtime/host/cpu/1"
        with opened(browser, report) as shown:
            shown.page.locator(f"tr[data-key='{key}'] .anchor").click()
            assert shown.page.evaluate("document.querySelector('tr:target').dataset.key") == key
            shown.page.wait_for_function(f"document.getElementById('row').value === '{key}'")
            assert shown.problems == []

    @pytest.mark.parametrize("model", ["m%", "m%41", "50%25", "a b#c"])
    def test_a_row_of_any_name_can_be_linked_to(self, browser: Any, tmp_path: Path, model: str) -> None:
        """A name with a per cent sign is neither decoded twice nor in the way of the charts."""
        rows = [make_row("float32", model=model), make_row("int8", model=model)]
        path = tmp_path / "report.html"
        path.write_text(page.page(make_results(rows), History((), 0)), encoding="utf-8")
        key = f"{model}/int8.tflite/litert/host/cpu/1"
        with opened(browser, path) as shown:
            shown.page.locator(f'tr[data-key="{key}"] .anchor').click()
            assert shown.page.evaluate("document.querySelector('tr:target').dataset.key") == key
            shown.page.wait_for_function(f"document.getElementById('row').value === '{key}'")
            shown.page.reload()
            shown.settle()
            assert shown.page.locator("#row").input_value() == key
            assert shown.problems == []

    @pytest.mark.parametrize("typed", ["m%/int8", "%E0%A4%A", "constructor", "__proto__", "nothing"])
    def test_a_link_to_no_row_leaves_the_page_as_it_is(self, browser: Any, report: Path, typed: str) -> None:
        with opened(browser, report) as shown:
            first = shown.page.locator("#row").input_value()
            shown.page.goto(f"{shown.page.url.partition('#')[0]}#{typed}")
            shown.page.reload()
            shown.settle()
            assert shown.page.locator("#row").input_value() == first
            assert shown.page.locator("#overview svg").count() == 1
            assert shown.problems == []

    def test_every_chart_says_in_its_title_what_it_shows(self, desktop: Opened) -> None:
        titles = desktop.texts("details.chart > summary")
        assert all(re.fullmatch(r"(m|big): \S.+", title) for title in titles), titles

    def test_hostile_labels_names_and_reasons_stay_text(self, browser: Any, tmp_path: Path) -> None:
        labels = (*HOSTILE, *CLASSES[len(HOSTILE) :])
        rows = [make_row(wrong=range(9), model=HOSTILE[0]), make_row("int8", wrong=range(5, 20), model=HOSTILE[0])]
        rows.append(make_row(HOSTILE[1], model=HOSTILE[1]))
        results = make_results(rows, labels, replace(ENVIRONMENT, cpu=HOSTILE[1], os=HOSTILE[0]))
        results.merge([], [Skipped(replace(rows[0].subject, variant="x"), HOSTILE[0])], results.environments["host"])
        path = tmp_path / "report.html"
        path.write_text(page.page(results, trend(results), [searched(HOSTILE[0])]), encoding="utf-8")
        with opened(browser, path) as shown:
            shown.page.locator("#overview svg .mark-symbol.role-mark path").first.hover(force=True)
            shown.page.wait_for_selector("#vg-tooltip-element.visible")
            assert shown.page.evaluate("window.pwned") is None
            assert shown.page.locator("img[src='x']").count() == 0
            assert HOSTILE[0] in shown.page.inner_text("#ship")
            assert shown.problems == []


def test_the_browser_of_the_tests_is_installed_by_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert script.index("make chromium") < script.index("make test-all")
