"""The documents: they have every command and option, what they show exists, and the README's short commands run."""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.__main__ import main as bench
from bench.runtimes import runtime_names
from bench.runtimes.browser import browser_runtime_names
from convert.__main__ import main as convert
from convert.variants import VARIANTS
from device.command_line import build_parser
from edgeproof import PARTS
from tests.conftest import ROOT, run
from train.__main__ import main as train
from train.models import model_names

PROGRAMS: dict[str, click.Group] = {"train": train, "convert": convert, "bench": bench}
CLASSIFY = "classify.py"
README = ROOT / "README.md"
GUIDES = (README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "device" / "README.md")  # where users look things up
PAGES = sorted({*ROOT.glob("*.md"), *(page for part in ("data", "device", "docs") for page in (ROOT / part).rglob("*.md"))})
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # a changelog names what there was, too
MAX_README_LINES = 130

SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"#+ (.*)")
OPTION = re.compile(r"--[a-z][a-z0-9-]*")
OWN_PATH = re.compile(r"(?:bench|common|convert|data|device|docs|tests|train)/[a-z0-9_./-]*")
MAKE_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


@dataclass
class Page:
    """A document, split into code and prose."""

    code: list[str] = field(default_factory=list)  # lines of code blocks, without their indentation
    prose: list[str] = field(default_factory=list)

    @property
    def spans(self) -> list[str]:
        """Return the `spans` of code in its prose."""
        return [span for line in self.prose for span in SPAN.findall(line)]


def read(path: Path) -> Page:
    """Split a document into code and prose."""
    page = Page()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            page.code.append(line.strip())
        else:
            page.prose.append(line)
    return page


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Yield ("bench baseline save", command) for every command below a group."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


COMMANDS = {name: command for program, group in PROGRAMS.items() for name, command in commands(group, (program,))}

PROGRAM_OF = {"classify": (CLASSIFY,), "init": ("bench", "init")}  # of the parts that are no program of their own
BEGINNINGS = {" ".join(name.split()[:2]) for name in COMMANDS}  # of commands that a sentence names without `python -m`


def defaults_of(name: str) -> dict[str, object]:
    """Return each option of a command, or of classify.py, with its default."""
    if name == CLASSIFY:
        actions = [action for action in build_parser()._actions if not isinstance(action, argparse._HelpAction)]
        return {option: action.default for action in actions for option in action.option_strings}
    parameters = COMMANDS[name].get_params(click.Context(COMMANDS[name], help_option_names=[]))
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    return {text: option.default for option in options for text in (*option.opts, *option.secondary_opts)}


def documented_options() -> dict[str, dict[str, str]]:
    """Return, for each command, the options of the tables whose first cell names it, with what the last cell says.

    The first cell of a table's header names its commands: "| `bench check`, `bench gate` | meaning | default |".
    """
    found: dict[str, dict[str, str]] = {name: {} for name in (*COMMANDS, CLASSIFY)}
    for path in GUIDES:
        of: list[str] = []
        for line in read(path).prose:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("|"):
                of = []
            elif not of:
                named = SPAN.findall(cells[0])
                of = named if set(named) <= set(found) and cells[1:] == ["meaning", "default"] else []
            else:
                for name in of:
                    found[name] |= dict.fromkeys(OPTION.findall(cells[0]), cells[-1])
    return found


OPTIONS_IN_DOCS = documented_options()


@dataclass(frozen=True)
class Shown:
    """A command line that a document shows."""

    page: Path
    words: tuple[str, ...]
    in_full: bool  # in a code block, not in a sentence, where what is needed may be left out

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {' '.join(self.words)}"


def shown_commands() -> list[Shown]:
    """Return every command line of the documents that starts one of this project's programs, or make."""
    found: list[Shown] = []
    for path in PRESENT:
        page = read(path)
        for line, in_full in [*((line, True) for line in page.code), *((span, False) for span in page.spans)]:
            if words := _command(line):
                found.append(Shown(path, words, in_full))
    return list(dict.fromkeys(found))


def _command(line: str) -> tuple[str, ...] | None:
    """Return the words of a command line from the program on: `edgeproof NAME ...`, `classify.py ...`, `make ...`."""
    try:
        words = tuple(shlex.split(line, comments=True))
    except ValueError:  # an apostrophe: a sentence, not a command
        return None
    for place, word in enumerate(words[:-1]):
        if re.fullmatch(r"(.*/)?edgeproof", word) and words[place + 1] in PARTS:
            return (*PROGRAM_OF.get(words[place + 1], words[place + 1 : place + 2]), *words[place + 2 :])
        if re.fullmatch(r"(.*/)?python3?", word):
            return words[place + 2 :] if words[place + 1] == "-m" else words[place + 1 :]
    return words if words and (words[0] == "make" or " ".join(words[:2]) in BEGINNINGS) else None


SHOWN = shown_commands()


def check_click(words: Sequence[str], in_full: bool) -> None:
    """Parse a command line as the program would. Raises click.UsageError for what it does not know."""
    command: click.Command = PROGRAMS[words[0]]
    rest = list(words[1:])
    while isinstance(command, click.Group) and rest:
        name = rest.pop(0)
        if name not in command.commands:
            raise click.UsageError(f"no command {name}")
        command = command.commands[name]
    if isinstance(command, click.Group):
        return
    try:
        command.make_context(words[0], rest)
    except (click.MissingParameter, click.BadOptionUsage):  # an argument is left out, or the value of an option
        if in_full:
            raise


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(match[1]) for line in read(path).prose if (match := HEADING.fullmatch(line))}


def make_targets() -> set[str]:
    return set(MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    program, *words = name.split()
    result = CliRunner().invoke(PROGRAMS[program], [*words, "--help"])
    assert result.exit_code == 0
    assert COMMANDS[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_docs_with_an_example(name: str) -> None:
    words = tuple(name.split())
    assert any(shown.in_full and shown.words[: len(words)] == words for shown in SHOWN)


@pytest.mark.parametrize("name", [*COMMANDS, CLASSIFY])
def test_the_docs_list_exactly_the_options_that_a_command_has(name: str) -> None:
    found, expected = set(OPTIONS_IN_DOCS[name]), {option for option in defaults_of(name) if option.startswith("--")}
    assert not expected - found, "missing: a table in docs/ whose first cell names the command has to have them"
    assert not found - expected, "there is no such option"


@pytest.mark.parametrize("name", [*COMMANDS, CLASSIFY])
def test_the_docs_give_each_option_its_default(name: str) -> None:
    stated = {option: value for option, value in defaults_of(name).items() if isinstance(value, str | int | Path) and value}
    wrong = {option: value for option, value in stated.items() if str(value) not in OPTIONS_IN_DOCS[name].get(option, "")}
    assert wrong == {}


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_every_command_that_the_docs_show_exists(shown: Shown) -> None:
    program = shown.words[0]
    if program in PROGRAMS:
        check_click(shown.words, shown.in_full)
    elif program == "make":
        targets = {word for word in shown.words[1:] if "=" not in word and word.islower()}
        assert targets <= make_targets()
    elif program.endswith((CLASSIFY, "classify.pyz")):
        if not shown.in_full and not shown.words[1:]:
            return  # a sentence names the program alone
        build_parser().parse_intermixed_args(shown.words[1:])
    elif program.endswith(".pyz"):  # the model is inside
        build_parser().parse_intermixed_args(["model.tflite", *shown.words[1:]])
    else:
        module = ROOT.joinpath(*program.split("."))
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()


def first_cells() -> set[str]:
    """Return the `spans` in the first cells of all tables of the guides."""
    lines = (line for path in GUIDES for line in read(path).prose if line.startswith("|"))
    return {span for line in lines for span in SPAN.findall(line.strip("|").split("|")[0])}


@pytest.mark.parametrize(
    "name",
    sorted({*runtime_names(), *browser_runtime_names(), *(variant.name for variant in VARIANTS), *model_names()}),
)
def test_every_runtime_variant_and_model_has_its_row_in_a_table(name: str) -> None:
    assert name in first_cells()


def test_the_docs_show_commands() -> None:
    assert len(SHOWN) > 100  # else the tests above look at nothing


def test_every_make_target_stands_in_the_docs() -> None:
    shown = {word for command in SHOWN if command.words[0] == "make" for word in command.words[1:]}
    assert make_targets() - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_and_anchor_exists(page: Path) -> None:
    broken = []
    for link in LINK.findall("\n".join(SPAN.sub("", line) for line in read(page).prose)):
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_this_project_that_a_page_names_exists(page: Path) -> None:
    named = {span for span in read(page).spans if OWN_PATH.fullmatch(span)}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


# NAME in capitals stands for any
CODE_PATH = re.compile(
    r"(?<![\w./{}<@-])(?:bench|common|convert|data|device|docs|tests|train)/[a-z0-9_./-]*\.(?:c|md|py|sh|toml)\b"
)
CODE = sorted(
    path
    for end in ("py", "toml", "c", "sh")
    for path in ROOT.glob(f"[a-z]*/**/*.{end}")
    if not {"build", "tests"} & set(path.relative_to(ROOT).parts)  # a test may name a file that is not there
)


def test_every_file_of_this_project_that_the_code_names_exists() -> None:
    assert len(CODE) > 200
    named = {(str(path.relative_to(ROOT)), name) for path in CODE for name in CODE_PATH.findall(path.read_text())}
    assert sorted((where, name) for where, name in named if not (ROOT / name).exists()) == []


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    reached, todo = {README}, [README]
    while todo:
        page = todo.pop()
        links = (page.parent / link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8")))
        new = {link.resolve() for link in links if link.suffix == ".md" and link.is_file()} - reached
        reached |= new
        todo += new
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached == set()


def test_the_readme_takes_three_minutes_to_read() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


def short_commands() -> list[str]:
    """Return the command lines of the README's first section, except for the set-up, which is done already."""
    section = README.read_text(encoding="utf-8").partition("## Try it")[2].partition("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ") and "make setup" not in line]


MEASURES = "bench run"


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=pytest.mark.slow if MEASURES in line else ()) for line in short_commands()]
)
def test_the_short_commands_of_the_readme_end_with_0(tmp_path: Path, line: str) -> None:
    for name in ("data", "device"):
        (tmp_path / name).symlink_to(ROOT / name)
    program, *words = shlex.split(line)
    arguments = [path for word in words for path in (sorted(map(str, tmp_path.glob(word))) if "*" in word else [word])]
    result = run([ROOT / "edgeproof.py", *arguments] if program.endswith("edgeproof") else arguments, tmp_path)
    assert result.code == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (("bench", "run", "--no-such-option"), False),
        (("bench", "no-such-command"), False),
        (("bench", "run", "--mode", "leisurely"), False),
        (("bench", "run", "FILE", "--threads", "1,2"), True),
    ],
)
def test_a_command_that_does_not_exist_is_found(words: tuple[str, ...], known: bool) -> None:
    try:
        check_click(words, in_full=True)
    except click.UsageError:
        assert not known
    else:
        assert known
