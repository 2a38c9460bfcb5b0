"""The command line: help, usage, exit codes, and what reaches the terminal."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.__main__ import main as bench
from bench.commands.options import Duration, ThreadCounts
from common.cli import first_sentence
from convert.__main__ import main as convert
from tests.conftest import Tiny, run, run_module
from train.__main__ import main as train

GROUPS = [train, convert, bench, bench.commands["baseline"]]


def test_wrong_usage_is_code_2(tmp_path: Path) -> None:
    for package in ("train", "convert", "bench"):
        assert run_module(package, "run", "--no-such-option", cwd=tmp_path).code == 2


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.callback.__module__ + group.callback.__name__))
def test_help_lists_each_command_with_a_whole_sentence(group: click.Group) -> None:
    listed = " ".join(CliRunner().invoke(group, ["--help"]).output.partition("Commands:")[2].split())
    for name, command in group.commands.items():
        sentence = first_sentence(command)
        assert sentence.endswith(".")
        assert not sentence.endswith("...")
        assert f"{name} {sentence}" in listed


def all_commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from all_commands(command) if isinstance(command, click.Group) else [command]


OPTIONS = [
    pytest.param(option.type, id=f"{command.name} --{option.name}")
    for group in (train, convert, bench)
    for command in all_commands(group)
    for option in command.get_params(click.Context(command))
    if isinstance(option.type, click.types.FloatParamType | Duration)
]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "1e300", "9" * 400 + "s"], ids=lambda text: text[:10])
@pytest.mark.parametrize("kind", OPTIONS)
def test_no_option_takes_nan_or_an_infinite_number(kind: click.ParamType[float], text: str) -> None:
    """A limit of NaN would decide nothing, and an infinite time overflows in the system's clocks."""
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


COUNTS = [
    pytest.param(option.type, id=f"{command.name} --{option.name}")
    for group in (train, convert, bench)
    for command in all_commands(group)
    for option in command.get_params(click.Context(command))
    if isinstance(option.type, click.types.IntParamType)
]


@pytest.mark.parametrize("text", ["9" * 20, "9" * 5_000, "-" + "9" * 20], ids=lambda text: text[:10])
@pytest.mark.parametrize("kind", COUNTS)
def test_no_option_takes_a_whole_number_that_overflows_in_the_system(kind: click.ParamType[int], text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


@pytest.mark.parametrize("text", ["²", "1,²", "9" * 5_000, "0", "257", ""], ids=lambda text: text[:10])
def test_what_is_no_number_of_threads_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected numbers from 1 to 256"):
        ThreadCounts().convert(text, None, None)


@pytest.mark.slow
def test_converting_writes_no_line_of_a_library(tiny: Tiny) -> None:
    arguments = ["-m", "convert", "run", "mnist_cnn@tiny", "--variants", "int8.tflite,int8_mixed,float16.onnx"]
    result = run(arguments, tiny.workspace)
    assert result.code == 0
    assert [line for line in result.stderr.splitlines() if not line.startswith("  ")] == []  # but of its own progress
    assert len(result.stdout.splitlines()) == 3
