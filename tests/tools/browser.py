"""A headless Chromium that opens a report, or the page of `classify.py --serve`.

`python -m tests.tools.browser REPORT.html FOLDER` saves screenshots of a report.
`make chromium` installs the browser from Debian; CHROMIUM may name another one.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
TIMEOUT_MS = 120_000
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def find_chromium() -> str | None:
    """Return the browser's path, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


@dataclass
class Opened:
    """A page in the browser, and what went wrong in it."""

    page: Any  # playwright's
    own: tuple[str, ...] = ("file:", "data:", "blob:")  # what its addresses begin with; all others are somebody else's
    problems: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Wait until everything is drawn. By a selector: a page's policy may forbid code from text."""
        self.page.wait_for_selector("html[data-ready='yes']", state="attached", timeout=TIMEOUT_MS)

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found

    def note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def note_error(self, error: Any) -> None:
        self.problems.append(str(error))

    def note_dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(self, request: Any) -> None:
        if not request.url.startswith(self.own):
            self.problems.append(f"asked for {request.url[:100]}")


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """Start the browser; only one at a time, because playwright has one event loop for each thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", *flags], timeout=TIMEOUT_MS
        )
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Any, source: Path | str, size: tuple[int, int] = DESKTOP, scheme: Scheme = "light", **options: Any
) -> Iterator[Opened]:
    """Open a report without a network, or an address that is served here, as a user does; options are those of a context.

    Errors on the console and requests to other hosts are recorded.
    """
    address = source if isinstance(source, str) else source.resolve().as_uri()
    view = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=view, color_scheme=scheme, offline=isinstance(source, Path), **options)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    shown = Opened(page)
    if isinstance(source, str):
        shown.own = (*shown.own, source)
    page.on("console", shown.note_console)
    page.on("pageerror", shown.note_error)
    page.on("dialog", shown.note_dialog)
    page.on("request", shown.note_request)
    page.goto(address)
    shown.settle()
    yield shown
    context.close()


def main(report: Path, folder: Path) -> int:
    """Save four screenshots of a report. With exit code 1, the messages say what went wrong in it."""
    if find_chromium() is None:
        sys.stdout.write("no Chromium is installed: `make chromium`; no screenshots\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    with chromium() as browser:
        for (device, size), scheme in product((("desktop", DESKTOP), ("phone", PHONE)), SCHEMES):
            with opened(browser, report, size, scheme) as shown:
                shown.page.screenshot(path=folder / f"report-{device}-{scheme}.png", full_page=True)
                problems += [f"{device} {scheme}: {problem}" for problem in shown.problems]
    sys.stdout.write("\n".join(problems or [f"screenshots in {folder}"]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
