"""How the report's page behaves in a headless Chromium."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.measure.phase_worker import NO_ANSWER
from bench.report.html import page
from bench.results.history import History
from bench.results.row import Skipped
from tests.conftest import ROOT
from tests.support.report_pages import searched, trend
from tests.support.results_builder import CLASSES, ENVIRONMENT, make_results, make_row
from tests.tools.browser import PHONE, Opened, chromium, find_chromium, opened

HOSTILE = ('<img src=x onerror="window.pwned=1">', "</script><script>window.pwned=1</script>", "{{7*7}}", "'\"&", "\u2028")

# The tables that are wider than their place
CLIPPED = (
    "[...document.querySelectorAll('.scroll')].filter((s) => s.scrollWidth > s.clientWidth + 1).map((s) => s.ariaLabel)"
)


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
        path.write_text(page(make_results(rows), History((), 0)), encoding="utf-8")
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
        path.write_text(page(make_results(rows), History((), 0)), encoding="utf-8")
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
        path.write_text(page(make_results(rows), History((), 0)), encoding="utf-8")
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
        path.write_text(page(results, trend(results), [searched(HOSTILE[0])]), encoding="utf-8")
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
