"""The command line: help, usage, exit codes, and what reaches the terminal."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.__main__ import main as bench
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


@pytest.mark.slow
def test_converting_writes_no_line_of_a_library(tiny: Tiny) -> None:
    arguments = ["-m", "convert", "run", "mnist_cnn@tiny", "--variants", "int8.tflite,int8_mixed,float16.onnx"]
    result = run(arguments, tiny.workspace)
    assert result.code == 0
    assert [line for line in result.stderr.splitlines() if not line.startswith("  ")] == []  # but of its own progress
    assert len(result.stdout.splitlines()) == 3
