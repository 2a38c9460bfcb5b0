"""Models, augmentation and recipes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from device.errors import CheckFailed, EdgeproofError
from tests.support.training import PLAIN, examples
from train.fitting import fit as fitting
from train.fitting.augment import random_affine
from train.fitting.fit import fit
from train.fitting.frozen_layers import split_network
from train.models import find_model, model_names
from train.spec import Augmentation, Phase, Recipe


def trained_weights(phase: Phase, seed: int) -> list[Any]:
    import keras

    keras.utils.set_random_seed(seed)
    network = find_model("mnist_cnn").build(10)
    fit(network, Recipe((phase,)), examples(), examples(seed=1), seed)
    weights: list[Any] = network.get_weights()
    return weights


class TestModels:
    @pytest.mark.parametrize("name", model_names())
    def test_builds_a_network_of_pixels_to_probabilities(self, name: str) -> None:
        model = find_model(name)
        network = model.build(7)
        shape = (model.spec.height, model.spec.width, model.spec.channels)
        assert network.input.shape[1:] == shape
        scores = np.asarray(network(np.full((2, *shape), 255.0, np.float32)))
        assert scores.shape == (2, 7)
        assert scores.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)

    @pytest.mark.parametrize("name", model_names())
    def test_carries_its_files_name_and_a_default_recipe(self, name: str) -> None:
        spec = find_model(name).spec
        assert spec.name == name
        assert "default" in spec.recipes

    @pytest.mark.parametrize("name", model_names())
    def test_recipes_freeze_layers_that_there_are(self, name: str) -> None:
        model = find_model(name)
        network = model.build(10)
        for recipe in model.spec.recipes.values():
            for phase in recipe.phases:
                split_network(network, phase)

    def test_mnist_cnn_is_the_tutorials_network(self) -> None:
        assert find_model("mnist_cnn").build(10).count_params() == 93_962

    def test_an_unknown_model_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="mnist_cnn"):
            find_model("resnet")

    def test_an_unknown_recipe_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="tutorial"):
            find_model("mnist_cnn").spec.recipe("grandmothers")

    def test_bundled_weights_reach_the_base_and_are_said(self) -> None:
        model = find_model("mobilenet_v2")
        network = model.build(10)
        before = network.get_layer("Conv1").get_weights()[0]
        assert model.load_pretrained is not None
        used = model.load_pretrained(network, "bundled", print)
        assert "bundled" in used
        assert not np.array_equal(before, network.get_layer("Conv1").get_weights()[0])

    def test_weights_that_cannot_be_downloaded_are_the_bundled_ones_with_one_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import keras

        real = keras.applications.MobileNetV2

        def offline(*arguments: Any, **options: Any) -> Any:
            if options.get("weights") == "imagenet":
                raise Exception("URL fetch failure on somewhere: no network")
            return real(*arguments, **options)

        monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
        model, said = find_model("mobilenet_v2"), list[str]()
        assert model.load_pretrained is not None
        used = model.load_pretrained(model.build(10), "imagenet", said.append)
        assert "bundled" in used
        assert len(said) == 1
        assert "bundled copy is used" in said[0]


class TestAugmentation:
    def test_no_bounds_change_nothing(self) -> None:
        images = examples(4).pixels.astype(np.float32)
        assert np.allclose(random_affine(images, Augmentation(), np.array([1, 2])), images, atol=1e-3)

    def test_the_same_seed_gives_the_same_maps(self) -> None:
        images, bounds = examples(4).pixels.astype(np.float32), Augmentation(10, 0.1, 2, 0.1)
        first, again, other = (np.asarray(random_affine(images, bounds, np.array([1, s]))) for s in (2, 2, 3))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_a_shift_moves_by_at_most_its_bound(self) -> None:
        image = np.zeros((64, 28, 28, 1), np.float32)
        image[:, 14, 14] = 255
        moved = np.asarray(random_affine(image, Augmentation(shift_pixels=3), np.array([0, 0])))
        rows, columns = np.nonzero(moved.max(axis=(0, 3)))
        assert 14 - 4 <= min(rows.min(), columns.min()) < 13
        assert 15 < max(rows.max(), columns.max()) <= 14 + 4


class TestFit:
    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_weights(self) -> None:
        phase = replace(PLAIN, augmentation=Augmentation(10, 0.1, 2), cosine=True, weight_average=0.9, label_smoothing=0.05)
        first, again, other = trained_weights(phase, 1), trained_weights(phase, 1), trained_weights(phase, 2)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))

    @pytest.mark.slow
    @pytest.mark.parametrize(("batch_size", "at_once"), [(16, 4), (2, 32), (1, 32)])
    def test_steps_taken_at_once_give_the_weights_of_single_ones(
        self, monkeypatch: pytest.MonkeyPatch, batch_size: int, at_once: int
    ) -> None:
        phase = replace(PLAIN, batch_size=batch_size, cosine=True, weight_average=0.9)
        together = trained_weights(phase, 1)
        assert fitting._steps_at_once(64 // batch_size, 93_962) == at_once
        monkeypatch.setattr(fitting, "STEPS_AT_ONCE", 1)
        for ours, single in zip(together, trained_weights(phase, 1), strict=True):
            assert ours == pytest.approx(single, abs=1e-5)

    def test_a_prime_number_of_steps_and_a_large_network_go_step_by_step(self) -> None:
        assert fitting._steps_at_once(37, 93_962) == fitting._steps_at_once(64, 2_000_000) == 1

    @pytest.mark.parametrize("name", ["mnist_cnn", "mnist_cnn_crop"])
    def test_the_network_itself_never_holds_an_optimizer(self, name: str) -> None:
        network = find_model(name).build(10)
        fit(network, Recipe((PLAIN,)), examples(), examples(), 0)
        assert not network.compiled

    @pytest.mark.slow
    def test_history_counts_epochs_over_all_phases(self) -> None:
        network = find_model("mnist_cnn").build(10)
        history = fit(network, Recipe((PLAIN, replace(PLAIN, name="more"))), examples(), examples(), 0)
        assert [(epoch.phase, epoch.epoch) for epoch in history] == [("train", 1), ("train", 2), ("more", 3), ("more", 4)]

    @pytest.mark.slow
    @pytest.mark.parametrize("optimizer", ["adam", "adamw"])
    def test_weight_decay_takes_its_share_of_every_kernel(self, optimizer: Any) -> None:
        free, decayed = (
            trained_weights(replace(PLAIN, optimizer=optimizer, weight_decay=decay), 1) for decay in (1e-9, 10.0)
        )
        steps = 2 * 64 // PLAIN.batch_size
        kept = (1 - 10.0 * PLAIN.learning_rate) ** steps
        kernels = [(a, b) for a, b in zip(free, decayed, strict=True) if a.ndim > 1]  # biases begin at nothing
        for a, b in kernels:
            assert np.linalg.norm(b) == pytest.approx(kept * np.linalg.norm(a), rel=0.05)

    def test_a_step_is_traced_once_over_the_pixels_that_are_seen(self) -> None:
        import keras
        from keras import layers

        traced = []

        class Watching(layers.ReLU):  # type: ignore[misc]  # keras is untyped
            def call(self, inputs: Any, training: bool | None = None) -> Any:
                if training:
                    traced.append(tuple(inputs.shape[1:3]))
                return super().call(inputs)

        image = keras.Input((28, 28, 1))
        x = layers.MaxPooling2D(4)(layers.Conv2D(2, 3)(Watching()(image)))  # 26×26 in six windows of four: 24, from 26
        x = layers.Dense(10, activation="softmax")(layers.Flatten()(x))
        fit(keras.Model(image, x), Recipe((PLAIN,)), examples(), examples(), 0)
        assert traced == [(26, 26)]

    def test_frozen_layers_stay_as_they_are(self) -> None:
        network = find_model("mnist_cnn").build(10)
        names = [layer.name for layer in network.layers if layer.weights]
        before = {name: network.get_layer(name).get_weights()[0] for name in names}
        phase = replace(PLAIN, frozen_through="max_pooling2d", copies=2, augmentation=Augmentation(10))
        phase = replace(phase, frozen_through=[layer.name for layer in network.layers if "pooling" in layer.name][1])
        fit(network, Recipe((phase,)), examples(), examples(), 0)
        unchanged = [np.array_equal(before[name], network.get_layer(name).get_weights()[0]) for name in names]
        assert unchanged == [True, True, False, False]

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_a_loss_that_is_no_number_stops_with_the_epoch(self) -> None:
        network = find_model("mnist_cnn").build(10)
        with pytest.raises(CheckFailed, match="epoch 1: the loss is nan"):
            fit(network, Recipe((replace(PLAIN, learning_rate=float("nan")),)), examples(), examples(), 0)
