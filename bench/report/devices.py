"""One model file on board, browser and microcontroller side by side: what is a count or an estimate is called that."""

from collections.abc import Sequence

from bench.analysis.wording import NONE, milliseconds, runtime_name
from bench.results.emulated import is_emulated, is_interpreter
from bench.results.row import HOST, ResultRow

COLUMNS = ("model", "device", "runtime", "top-1 %", "answers", "inference", "start", "memory", "to ship kB")
LEFT_OUT_FIRST = ("start", "answers", "runtime")
CAPTION = (
    "Each model that was measured on a device. Answers: how many equal those of the same file on this machine (of a "
    "microcontroller: those of LiteRT's reference kernels, bit for bit; of a board: of the golden pictures). Inference: "
    "p50; an emulated device, a microcontroller's interpreter and a GPU made of software have no times, and a count of "
    "instructions is no time. "
    "Start: until the first answer, in a browser without the network. Memory: the largest of a process; a "
    "microcontroller's arena is an estimate, that of a 64-bit host. To ship: the file; in a browser what a page downloads, "
    "gzipped, the runtime included; on a microcontroller the model's own bytes, without an interpreter."
)


def devices_table(rows: Sequence[ResultRow]) -> list[list[str]]:
    """Return the cells of each row on a device, under COLUMNS: the rows of a file one below another.

    Where a file was measured on a device, its rows on this machine stand there too.
    """
    files = list(dict.fromkeys(_file(row) for row in rows if row.subject.device != HOST))
    devices = list(dict.fromkeys(row.subject.device for row in rows))
    return [
        _cells(row)
        for file in files
        for device in devices
        for row in rows
        if (_file(row), row.subject.device) == (file, device)
    ]


def _file(row: ResultRow) -> str:
    return f"{row.subject.model_name} {row.subject.variant}.{row.subject.format}"


def _cells(row: ResultRow) -> list[str]:
    subject, accuracy = row.subject, row.accuracy
    place = "this machine" if subject.device == HOST else subject.device
    threads = "" if subject.threads == 1 else f", {subject.threads} threads"
    return [
        _file(row),
        place,
        f"{runtime_name(subject)} {row.runtime_version}{threads}",
        NONE if accuracy is None else f"{100 * accuracy.top1:.2f} of {accuracy.total:,}",
        _answers(row),
        _inference(row),
        _start(row),
        _memory(row),
        _bytes(row),
    ]


def _answers(row: ResultRow) -> str:
    if row.microcontroller is not None:
        return f"{row.microcontroller.equal:,} of {row.microcontroller.compared:,} bit for bit"
    if row.browser is not None:
        compared = row.browser.compared
        return f"{row.browser.same_class:,} of {compared:,} in the same class" if compared else NONE
    if row.golden is None:
        return NONE
    right = row.golden.pictures if not row.golden.deviations else 0
    return f"{right} of {row.golden.pictures} golden" if right else "golden pictures differ"


def _inference(row: ResultRow) -> str:
    if row.why_no_latency is None:
        return f"{milliseconds(row.latency.p50.ms)} ms" + ("" if row.latency.valid else " !")
    if row.instructions is not None:
        return f"{row.instructions.steady_inference / 1e6:,.2f} M instructions (a count)"
    if is_emulated(row.subject.device):
        return "not known: emulated"
    return "not known: only a board tells" if is_interpreter(row.subject.device) else row.why_no_latency


def _start(row: ResultRow) -> str:
    if row.browser is not None:
        found = row.browser
        parts = (found.fetch_ms, found.compile_ms, found.first_inference_ms)
        names = ("fetch", "compile", "first")
        told = ", ".join(f"{name} {ms:,.0f}" for name, ms in zip(names, parts, strict=True))
        return f"{found.start_ms:,.0f} ms: {told}"
    if row.why_no_latency is not None:
        return NONE
    startup = row.startup
    return f"{startup.import_ms + startup.load_ms + startup.first_inference_ms:,.0f} ms"


def _memory(row: ResultRow) -> str:
    if row.microcontroller is not None:
        return f"arena {row.microcontroller.arena_bytes / 1000:,.1f} kB (an estimate: a 64-bit host's)"
    return f"{row.memory.peak_rss_bytes / 1e6:,.0f} MB" if row.memory.peak_rss_bytes else NONE


def _bytes(row: ResultRow) -> str:
    if row.microcontroller is not None:
        return f"{row.microcontroller.flash_bytes / 1000:,.0f}"
    if row.browser is not None:
        return f"{row.browser.download_gzip_bytes / 1000:,.0f} ({row.browser.download_bytes / 1000:,.0f} unpacked)"
    return f"{row.artifact.size_bytes / 1000:,.0f}"
