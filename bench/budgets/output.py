"""Output of findings: lines for people, the files that were requested, and the output for GitHub Actions."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.budgets.export import bencher, github, json_text, junit, lines, markdown
from bench.budgets.finding import Finding, exit_code
from common.files import write_bytes
from common.outputs import refuse_overwriting
from common.paths import BUDGETS
from common.project import project_paths
from device.errors import EdgeproofError
from device.safe_text import NEWLINE, printable


@dataclass(frozen=True)
class Outputs:
    """The files that were requested, and what an undecided budget means for the exit code."""

    inconclusive: str | None = None
    junit: Path | None = None
    markdown: Path | None = None
    bmf: Path | None = None
    json: Path | None = None

    def refuse_inputs(self, results: Path, others: Iterable[Path | None]) -> None:
        """Raise EdgeproofError where a file would be written over what is judged, or over the files of the project."""
        options = {"--junit": self.junit, "--markdown": self.markdown, "--bmf": self.bmf, "--json": self.json}
        refuse_overwriting(options, [results, results.with_suffix(".npz"), *others, BUDGETS, *project_paths()])


def publish(findings: Sequence[Finding], title: str, outputs: Outputs, say: Callable[[str], None]) -> int:
    """Print and write the findings; return the exit code. Raises EdgeproofError where no budget was judged."""
    for line in lines.lines(findings):
        say(line)
    code = exit_code(findings, outputs.inconclusive)
    files: dict[Path | None, Callable[[], str]] = {
        outputs.junit: lambda: junit.junit(findings, outputs.inconclusive),
        outputs.markdown: lambda: markdown.markdown(findings, title),
        outputs.bmf: lambda: bencher.bencher(findings),
        outputs.json: lambda: json_text.plain(findings),
    }
    for path, text in files.items():
        if path is not None:
            write_bytes(path, text().encode())
    for line in github.annotations(findings, os.environ):
        say(line)
    github.add_summary(markdown.markdown(findings, title), os.environ)
    return code


@contextmanager
def telling_refusals(outputs: Outputs, say: Callable[[str], None]) -> Iterator[None]:
    """Write the reason to the files for people where nothing is judged, and raise the error again.

    Else the verdict of the run before would stay there, or a comment on a pull request would have no file.
    """
    try:
        yield
    except EdgeproofError as error:
        reason = printable(str(error), allow=NEWLINE)
        with suppress(EdgeproofError):  # the first error is the one to mend
            _write_refusal(reason, outputs)
        for line in github.refusal(reason, os.environ):
            say(line)
        raise


def _write_refusal(reason: str, outputs: Outputs) -> None:
    for path, text in ((outputs.junit, junit.refused(reason)), (outputs.markdown, markdown.refused(reason))):
        if path is not None:
            write_bytes(path, text.encode())
    github.add_summary(markdown.refused(reason), os.environ)
