"""What files need on a microcontroller: the table in both reports and on the console, where a row has such figures."""

from collections.abc import Sequence

from bench.results.row import ResultRow

COLUMNS = ("model", "variant", "arena kB", "flash kB", "as reference kernels", "operations")
LEFT_OUT_FIRST = ("operations", "as reference kernels")
CAPTION = (
    "In TensorFlow Lite for Microcontrollers' interpreter: the least arena that works on a 64-bit host with the reference "
    "kernels, the model's own bytes, answers that equal those of LiteRT's reference kernels bit for bit. The interpreter's "
    "own code is not counted. Whether a board has room: `edgeproof convert check FILE --target pico`."
)


def microcontroller_table(rows: Sequence[ResultRow]) -> list[list[str]]:
    """Return the cells of each row that has figures of a microcontroller's interpreter, under COLUMNS."""
    cells = []
    for row in rows:
        figures = row.microcontroller
        if figures is not None:
            sizes = (figures.arena_bytes, figures.flash_bytes)
            cells.append(
                [
                    row.subject.model_name,
                    f"{row.subject.variant}.{row.subject.format}",
                    *(f"{size / 1000:,.1f}" for size in sizes),
                    f"{figures.equal:,} of {figures.compared:,}",
                    ", ".join(figures.operations),
                ]
            )
    return cells
