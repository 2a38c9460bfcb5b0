"""The command `train run`."""

from pathlib import Path

import pytest

from tests.conftest import run_module


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["resnet"], "unknown model 'resnet'"),
        (["mnist_cnn", "--recipe", "grandmothers"], "unknown recipe"),
        (["mnist_cnn", "--data", "nowhere"], "no such folder"),
        (["mnist_cnn", "--name", "../../etc"], "--name"),
        (["mnist_cnn", "--name", ".hidden"], "give another name with --name"),
        (["mnist_cnn", "--side", "56"], "--side 56: mnist_cnn takes 28 alone"),
        (["mobilenet_v2", "--side", "100"], "--side 100: mobilenet_v2 takes 96, 128, 160, 192, 224"),
    ],
)
def test_a_training_request_that_cannot_be_met_is_one_line_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], found: str
) -> None:
    result = run_module("train", "run", *arguments, cwd=tmp_path)
    assert result.code == 2
    assert found in result.error_line
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_all_its_files(tiny: "object") -> None:
    from tests.conftest import Tiny

    assert isinstance(tiny, Tiny)
    names = {path.name for path in tiny.folder.iterdir()}
    expected = ("mnist_cnn.keras", "mnist_cnn.card.json", "history.json", "history.png", "layers.png", "summary.txt")
    assert set(expected) <= names
