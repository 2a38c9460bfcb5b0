"""A headless Chromium with an empty profile that opens one address; nothing of it stays."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.measure.worker_pool import how_it_ended
from common.paths import PROGRAM
from common.python_process import module_command
from device.errors import RuntimeMissing
from device.safe_text import printable

NAMED = "CHROMIUM"  # the environment variable that names a browser
MAKES = "`make chromium` installs it (Debian), or set CHROMIUM to one"
FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",  # without a network Chromium would stall on its own requests
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-quic",
    "--disable-breakpad",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a model's page reaches nobody else
    "--password-store=basic",
)
WITHOUT_GPU = ("--disable-gpu",)
# Chromium takes an adapter that is made of software only where there is no other, and only with these
WITH_WEBGPU = (
    "--enable-unsafe-webgpu",
    "--enable-unsafe-swiftshader",
    "--enable-features=Vulkan",
    "--use-webgpu-power-preference=default-high-performance",
)
# It is killed, so it cannot tidy up what it keeps beside its profile
KEEPS_ITS_FILES_IN = ("TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
END_S = 10
LOG_TAIL = 2000


def find_browser(names: Sequence[str]) -> str:
    """Return the browser's path: the one that CHROMIUM names, or the first of these. Raises RuntimeMissing."""
    named = os.environ.get(NAMED)
    found = next((path for path in map(shutil.which, [named] if named else names) if path), None)
    if found is None:
        raise RuntimeMissing(f"no browser: {named or ', '.join(names)} is not there: {MAKES}")
    return found


class Browser:
    """A running browser."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self._log = process, log

    @property
    def how_it_ended(self) -> str | None:
        """Say how it ended, and the last thing that it wrote; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        lines = self._log.read_bytes()[-LOG_TAIL:].decode(errors="replace").strip().splitlines() or ["it wrote nothing"]
        return f"the browser ended before its page answered: {how_it_ended(code)}: {printable(lines[-1])}"

    def end(self) -> None:
        """End it and all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def page_peak_bytes(self) -> int:
        """Return the largest resident memory so far of a process that shows a page (VmHWM); 0 where /proc does not tell."""
        return max((_peak_bytes(status) for status in _page_processes(self._process.pid)), default=0)


@contextmanager
def opened(browser: str, address: str, folder: Path, webgpu: bool = False) -> Iterator[Browser]:
    """Start the browser at an address, with its profile in an empty folder; end it and remove the folder."""
    folder.mkdir()
    log = folder / "log"
    # As root Chromium starts only without its sandbox; a container is then what holds it
    flags = [
        *FLAGS,
        *(WITH_WEBGPU if webgpu else WITHOUT_GPU),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        f"--user-data-dir={folder / 'profile'}",
    ]
    folders = {name: str(folder) for name in KEEPS_ITS_FILES_IN}
    command = module_command("bench.remote.browser.leashed", str(os.getpid()), browser, *flags, address)
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            cwd=PROGRAM,
            env={**os.environ, **folders},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    running = Browser(process, log)
    try:
        yield running
    finally:
        running.end()
        process.wait(END_S)
        shutil.rmtree(folder, ignore_errors=True)


def _page_processes(session: int) -> Iterator[str]:
    """Yield what /proc says of each process of a session that shows a page."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and b"--type=renderer" in (folder / "cmdline").read_bytes():
                yield (folder / "status").read_text()


def _peak_bytes(status: str) -> int:
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
