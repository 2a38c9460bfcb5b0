"""Distillation: the loss, the teachers and their seeds, and a run that is cut and goes on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import run_module
from tests.support.training import PLAIN, examples
from train.fitting.checkpoint import Checkpoint
from train.fitting.distillation import Teaching, accuracy, softened
from train.fitting.fit import fit
from train.fitting.teachers import build, teacher_seeds, trained_teachers, with_teachers_epochs
from train.models import find_model
from train.spec import Augmentation, Distillation, Recipe

PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]], np.float32)
LABELS = np.array([0, 2])
CROSS_ENTROPY = -np.log([0.8, 0.3])

TAUGHT = Recipe(
    (replace(PLAIN, epochs=2, augmentation=Augmentation(10, 0.1, 1), cosine=True, weight_average=0.9),),
    distillation=Distillation(replace(PLAIN, epochs=2), teachers=2, filters=2),
)


class PowerCut(Exception):
    """Raised to end a run at this point."""


def answering(probabilities: np.ndarray[Any, Any]) -> Any:
    """Return a teacher that gives these answers to any pictures."""
    return lambda _pictures, training: np.asarray(probabilities, np.float32)  # noqa: ARG005


def value(tensor: Any) -> np.ndarray[Any, Any]:
    return np.asarray(tensor)


class TestLoss:
    def test_softening_is_the_softmax_of_logits_over_the_temperature(self) -> None:
        logits = np.array([[2.0, 0.0, -4.0]])
        given = np.exp(logits) / np.exp(logits).sum()
        expected = np.exp(logits / 4) / np.exp(logits / 4).sum()
        assert value(softened(given.astype(np.float32), 4.0)) == pytest.approx(expected, rel=1e-5)

    def test_targets_are_the_label_and_the_mean_of_the_softened_answers(self) -> None:
        other = PROBABILITIES[::-1]
        teaching = Teaching((answering(PROBABILITIES), answering(other)), 2.0, 0.5)
        roots = [answers**0.5 / (answers**0.5).sum(axis=1, keepdims=True) for answers in (PROBABILITIES, other)]
        targets = value(teaching.targets(LABELS, np.zeros((2, 4, 4, 1))))
        assert targets[:, 0].tolist() == [0, 2]
        assert targets[:, 1:] == pytest.approx((roots[0] + roots[1]) / 2, rel=1e-5)

    @pytest.mark.parametrize("labels", [LABELS, LABELS[:, None]])
    def test_of_labels_alone_is_the_cross_entropy(self, labels: np.ndarray[Any, Any]) -> None:
        assert value(Teaching((), 4.0, 0.9).loss(labels, PROBABILITIES)) == pytest.approx(CROSS_ENTROPY, rel=1e-5)

    def test_of_the_teachers_own_answers_is_the_labels_share(self) -> None:
        teaching = Teaching((answering(PROBABILITIES),), 4.0, 0.75)
        loss = value(teaching.loss(teaching.targets(LABELS, None), PROBABILITIES))
        assert loss == pytest.approx(0.25 * CROSS_ENTROPY, rel=1e-4, abs=1e-5)

    def test_of_other_answers_is_the_divergence_times_the_squared_temperature(self) -> None:
        teacher = np.array([[0.64, 0.32, 0.04]])
        wanted = np.array([8, 4 * 2**0.5, 2]) / (10 + 4 * 2**0.5)  # roots of the teacher's answers
        uniform = np.full((1, 3), 1 / 3, np.float32)
        teaching = Teaching((answering(teacher),), 2.0, 1.0)
        loss = value(teaching.loss(teaching.targets(LABELS[:1], None), uniform))
        assert loss == pytest.approx([4 * (wanted * np.log(3 * wanted)).sum()], rel=1e-4)

    def test_is_a_number_where_a_probability_is_zero(self) -> None:
        certain = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
        teaching = Teaching((answering(PROBABILITIES),), 4.0, 0.9)
        assert np.isfinite(value(teaching.loss(teaching.targets(LABELS, None), certain))).all()

    def test_accuracy_is_that_of_the_labels(self) -> None:
        targets = value(Teaching((answering(PROBABILITIES),), 4.0, 0.9).targets(LABELS, None))
        assert [value(accuracy(given, PROBABILITIES)).tolist() for given in (targets, LABELS)] == [[1, 0], [1, 0]]


class TestTeachers:
    def test_each_has_a_seed_of_its_own(self) -> None:
        seeds = [seed for run in range(3) for seed in teacher_seeds(run, 4)]
        assert len(set(seeds)) == 12
        assert teacher_seeds(1, 2) == teacher_seeds(1, 4)[:2]

    def test_see_all_that_their_margin_leaves(self) -> None:
        assert build(10, 2).layers[-4].output.shape == (None, 3, 3, 4)

    def test_a_recipe_without_distillation_has_none(self) -> None:
        assert trained_teachers(Recipe((PLAIN,)), examples(), examples(), 10, 0) == []


def taught(checkpoint: Checkpoint | None) -> tuple[list[Any], list[float]]:
    """Return the weights and the losses of a small distillation."""
    import keras

    keras.utils.set_random_seed(3)
    network = find_model("mnist_cnn").build(10, filters=2)
    teachers = trained_teachers(TAUGHT, examples(), examples(seed=1), 10, 3, checkpoint)
    networks = [teacher.network for teacher in teachers]
    history = fit(network, TAUGHT, examples(), examples(seed=1), 3, checkpoint, teachers=networks)
    epochs = with_teachers_epochs(teachers, history)
    assert [epoch.phase for epoch in epochs] == ["teacher 1"] * 2 + ["teacher 2"] * 2 + ["train"] * 2
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    return network.get_weights(), [epoch.loss for epoch in epochs]


@pytest.mark.slow
class TestResume:
    @pytest.fixture(scope="class")
    def uninterrupted(self) -> tuple[list[Any], list[float]]:
        return taught(None)

    @pytest.mark.parametrize("cut_after", [1, 2, 3, 5])
    def test_gives_the_same_result_as_an_uninterrupted_run(
        self, uninterrupted: tuple[list[Any], list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_after: int
    ) -> None:
        checkpoint = Checkpoint(tmp_path / "checkpoint", {"seed": 3})
        saved, count = Checkpoint.save, 0

        def save_then_cut(self: Checkpoint, *arguments: Any) -> None:
            nonlocal count
            saved(self, *arguments)
            count += 1
            if count == cut_after:
                raise PowerCut

        monkeypatch.setattr(Checkpoint, "save", save_then_cut)
        with pytest.raises(PowerCut):
            taught(checkpoint)
        assert checkpoint.describe() == f"continuing after epoch {cut_after}"
        weights, losses = taught(checkpoint)
        assert losses == uninterrupted[1]
        assert all(np.array_equal(a, b) for a, b in zip(weights, uninterrupted[0], strict=True))
        checkpoint.discard()
        assert list(tmp_path.iterdir()) == []

    def test_the_teachers_change_what_is_learnt(self, uninterrupted: tuple[list[Any], list[float]]) -> None:
        import keras

        keras.utils.set_random_seed(3)
        network = find_model("mnist_cnn").build(10, filters=2)
        fit(network, TAUGHT, examples(), examples(seed=1), 3)
        assert not np.array_equal(network.get_weights()[0], uninterrupted[0][0])


@pytest.mark.slow
class TestCommands:
    def test_the_card_names_the_teachers_and_the_history_shows_them(self, digit_folder: Path, tmp_path: Path) -> None:
        options = ["--data", str(digit_folder), "--recipe", "best", "--name", "taught", "--seed", "5"]
        result = run_module("train", "run", "mnist_cnn", *options, cwd=tmp_path)
        assert result.code == 0, result.stderr
        folder = tmp_path / "build" / "mnist_cnn@taught"
        told = json.loads((folder / "mnist_cnn.card.json").read_text())["provenance"]["distillation"]
        about = find_model("mnist_cnn").spec.recipe("best").distillation
        assert about is not None
        assert [teacher["seed"] for teacher in told["teachers"]] == teacher_seeds(5, about.teachers)
        assert (told["temperature"], told["share"], told["filters"]) == (about.temperature, about.share, about.filters)
        phases = [epoch["phase"] for epoch in json.loads((folder / "history.json").read_text())]
        assert phases[0] == "teacher 1"
        assert phases[-1] == "train"

    def test_a_sweep_trains_the_teachers_too(self, digit_folder: Path, tmp_path: Path) -> None:
        options = [
            "--set",
            "recipe=best",
            "--set",
            "epochs=1",
            "--set",
            "training_images=128",
            "--data",
            str(digit_folder),
        ]
        result = run_module("train", "sweep", "mnist_cnn", *options, cwd=tmp_path)
        assert result.code == 0, result.stderr
        (point,) = json.loads((tmp_path / "build" / "mnist_cnn@sweep" / "sweep.json").read_text())
        assert point["val_accuracy"] is not None
