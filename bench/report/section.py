"""A section of the report that another part of bench brings: the same content and order on the page and in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.overview_chart import Spec
from common.tables import markdown_link, markdown_table, markdown_text


@dataclass(frozen=True)
class Section:
    """Sentences, a chart, a table, and the files that hold more, in this order."""

    anchor: str  # its address in the page, without "#"
    title: str
    sentences: Sequence[str]
    chart: Spec | None = None
    picture: str | None = None  # of the same chart, beside the report
    caption: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numbers: frozenset[int] = frozenset()  # places of the columns that hold numbers
    files: Sequence[str] = ()  # beside the report

    def markdown(self) -> list[str]:
        """Return the section's lines in Markdown."""
        lines = ["", f"## {markdown_text(self.title)}", "", *(f"- {markdown_text(text)}." for text in self.sentences)]
        if self.picture is not None:
            lines += ["", f"!{markdown_link(self.title, self.picture)}", "", self.caption]
        if self.rows:
            aligned = ["---:" if place in self.numbers else "---" for place in range(len(self.columns))]
            lines += ["", *markdown_table(self.columns, self.rows, aligned)]
        if self.files:
            lines += ["", "Files: " + ", ".join(markdown_link(file, file) for file in self.files)]
        return lines

    def console(self) -> list[str]:
        """Return the section's lines for a terminal: its sentences and files; the table is in the report."""
        return [
            "",
            f"{self.title}:",
            *(f"  {sentence}" for sentence in self.sentences),
            *(f"  {file}" for file in self.files),
        ]
