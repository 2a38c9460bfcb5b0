"""A headless Chromium that opens a report. `python -m tests.tools.browser REPORT.html FOLDER` saves screenshots.

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
    """A report in the browser, and what went wrong in it."""

    page: Any  # playwright's
    problems: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Wait until everything is drawn."""
        self.page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=TIMEOUT_MS)

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
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.problems.append(f"asked for {request.url[:100]}")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser; only one at a time, because playwright has one event loop for each thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"], timeout=TIMEOUT_MS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, report: Path, size: tuple[int, int] = DESKTOP, scheme: Scheme = "light") -> Iterator[Opened]:
    """Open a report without a network, as a user does. Errors on the console and requests to other hosts are recorded."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    shown = Opened(page)
    page.on("console", shown.note_console)
    page.on("pageerror", shown.note_error)
    page.on("dialog", shown.note_dialog)
    page.on("request", shown.note_request)
    page.goto(report.resolve().as_uri())
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
