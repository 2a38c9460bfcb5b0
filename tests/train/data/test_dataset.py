"""Data: MNIST as bundled, folders of class folders, orders and splits."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.card import Step
from device.errors import EdgeproofError, PictureError
from train.data import mnist, open_dataset
from train.data.dataset import DataReference, Dataset, stratified_order
from train.data.folders import load_folder, unusable
from train.request import Request, request_dataset


def write_pictures(folder: Path, classes: dict[str, int]) -> Path:
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (8, 8), number).save(folder / name / f"{number}.png")
    return folder


class TestMnist:
    def test_is_split_as_in_the_tutorial(self, mnist: Dataset) -> None:
        assert (len(mnist.train), len(mnist.val), len(mnist.test)) == (48_000, 12_000, 10_000)
        assert mnist.val.labels[:5].tolist() == [5, 0, 4, 1, 9]  # the first labels of the training file
        assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]

    def test_a_recipe_may_train_on_more_and_its_card_opens_the_same_split_again(self, mnist: Dataset) -> None:
        dataset = request_dataset(Request("mnist_cnn", recipe="best"), ())
        assert (len(dataset.train), len(dataset.val)) == (58_000, 2_000)
        assert np.array_equal(dataset.val.labels, mnist.val.labels[:2_000])
        assert dataset.test.sha256 == mnist.test.sha256
        again = open_dataset.open_dataset(DataReference.from_json(dataset.reference.to_json()))
        assert (again.train.sha256, again.val.sha256) == (dataset.train.sha256, dataset.val.sha256)

    @pytest.mark.parametrize("held_out", [0, -1, 60_000])
    def test_a_split_with_an_empty_part_is_refused(self, held_out: int) -> None:
        with pytest.raises(EdgeproofError, match="validation pictures: expected 1 to 59,999"):
            mnist.load_mnist(held_out)

    def test_parts_have_different_hashes(self, mnist: Dataset) -> None:
        assert len({mnist.train.sha256, mnist.val.sha256, mnist.test.sha256}) == 3

    def test_a_damaged_file_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copytree(mnist.BUNDLED / "mnist", tmp_path / "mnist")
        victim = tmp_path / "mnist" / "train-labels-idx1-ubyte.gz"
        content = bytearray(victim.read_bytes())
        content[1000] ^= 1
        victim.write_bytes(content)
        monkeypatch.setattr(mnist, "BUNDLED", tmp_path)
        with pytest.raises(EdgeproofError, match=r"train-labels-idx1-ubyte\.gz: is damaged"):
            mnist.load_mnist()

    def test_a_missing_file_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mnist, "BUNDLED", tmp_path)
        with pytest.raises(EdgeproofError, match=r"train-images-idx3-ubyte\.gz: is missing"):
            mnist.load_mnist()

    def test_every_bundled_file_is_what_it_was(self) -> None:
        for name in mnist.SHA256:
            assert mnist.bundled(name).is_file()


class TestFolder:
    def test_is_split_80_10_10_by_class(self, tmp_path: Path) -> None:
        dataset = load_folder(write_pictures(tmp_path / "d", {"cat": 50, "dog": 20}))
        assert dataset.labels == ("cat", "dog")
        counts = [np.bincount(split.labels).tolist() for split in (dataset.train, dataset.val, dataset.test)]
        assert counts == [[40, 16], [5, 2], [5, 2]]

    def test_the_split_depends_on_the_seed_alone_and_does_not_overlap(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "d", {"cat": 50, "dog": 20})
        first, again, other = load_folder(folder, 1), load_folder(folder, 1), load_folder(folder, 2)
        assert first.test.sha256 == again.test.sha256 != other.test.sha256
        parts = [set(map(str, split.sources)) for split in (first.train, first.val, first.test)]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 70

    def test_given_parts_are_taken_as_they_are(self, tmp_path: Path) -> None:
        write_pictures(tmp_path / "d" / "train", {"cat": 8, "dog": 8})
        write_pictures(tmp_path / "d" / "val", {"cat": 2, "dog": 2})
        write_pictures(tmp_path / "d" / "test", {"cat": 3, "dog": 1})
        dataset = load_folder(tmp_path / "d")
        assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (16, 4, 4)

    def test_parts_of_other_usual_names_are_taken_and_what_is_beside_them_is_counted(self, tmp_path: Path) -> None:
        for part in ("Training", "validation"):
            write_pictures(tmp_path / part, {"cat": 10, "dog": 10})
        (tmp_path / "Training" / "cat" / "._0.png").write_bytes(b"")
        (tmp_path / "docs").mkdir()
        dataset = load_folder(tmp_path)
        assert (dataset.labels, len(dataset.train), len(dataset.val), len(dataset.test)) == (("cat", "dog"), 18, 20, 2)
        assert dataset.left_out == {"hidden": 1, "folders beside the parts (docs)": 1}

    def test_a_missing_part_is_drawn_from_the_training_pictures(self, tmp_path: Path) -> None:
        write_pictures(tmp_path / "d" / "train", {"cat": 20, "dog": 20})
        write_pictures(tmp_path / "d" / "test", {"cat": 3, "dog": 1})
        dataset = load_folder(tmp_path / "d")
        assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (36, 4, 4)

    def test_can_be_opened_again_from_its_reference(self, tmp_path: Path) -> None:
        dataset = load_folder(write_pictures(tmp_path / "d", {"cat": 50, "dog": 20}), seed=3)
        assert open_dataset.open_dataset(dataset.reference).test.sha256 == dataset.test.sha256

    def test_a_changed_picture_changes_the_hash(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "d", {"cat": 50, "dog": 20})
        before = load_folder(folder)
        Image.new("L", (8, 8), 99).save(Path(str(before.test.sources[0])))
        after = load_folder(folder)
        assert (before.train.sha256, before.test.sha256 != after.test.sha256) == (after.train.sha256, True)

    @pytest.mark.parametrize(
        ("classes", "found"),
        [({}, "found 0 class folders"), ({"cat": 9}, "found 1 class folders"), ({"cat": 9, "dog": 2}, "too few")],
    )
    def test_too_little_is_refused(self, tmp_path: Path, classes: dict[str, int], found: str) -> None:
        folder = tmp_path / "d"
        folder.mkdir()
        write_pictures(folder, classes)
        with pytest.raises(EdgeproofError, match=found):
            load_folder(folder)

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="nowhere: no such folder"):
            load_folder(tmp_path / "nowhere")

    def test_names_with_control_characters_are_refused_before_anything_is_trained(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "d", {"line\nfeed": 12, "emoji 🎉": 12})
        with pytest.raises(EdgeproofError, match="control characters"):
            load_folder(folder)

    def test_a_picture_in_two_parts_is_found_and_left_out_until_none_is(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "d", {"cat": 30})
        (folder / "dog").mkdir()
        for number in range(30):
            Image.new("L", (9, 9), number).save(folder / "dog" / f"{number}.png")
        first = sorted((folder / "cat").iterdir())[0]
        for number in range(8):  # drawn into parts by the seed, so some lie in another than the first
            shutil.copy(first, folder / "cat" / f"again{number}.png")
        steps, request = [Step("gray")], Request("mnist_cnn", data=folder, seed=1)
        with pytest.raises(EdgeproofError, match=r"cat/.*: the same picture as cat/.*, in another part"):
            request_dataset(request, steps)
        dataset = request_dataset(replace(request, skip_bad=True), steps)
        assert dataset.reference.skipped
        assert unusable(dataset, steps) == {}

    def test_classes_that_differ_between_parts_are_named(self, tmp_path: Path) -> None:
        write_pictures(tmp_path / "d" / "train", {"cat": 8, "dog": 8})
        write_pictures(tmp_path / "d" / "test", {"cat": 3, "fox": 1})
        with pytest.raises(EdgeproofError, match="dog, fox"):
            load_folder(tmp_path / "d")

    def test_a_picture_that_is_none_is_named(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "d", {"cat": 5, "dog": 5})
        (folder / "cat" / "0.png").write_text("no picture")
        dataset = load_folder(folder)
        split = next(s for s in (dataset.train, dataset.val, dataset.test) if folder / "cat" / "0.png" in list(s.sources))
        with pytest.raises(PictureError, match=r"cat/0\.png: not a picture"):
            split.prepared([Step("gray")])


class TestOrders:
    def test_every_prefix_of_a_stratified_order_is_stratified(self, mnist: Dataset) -> None:
        order = stratified_order(mnist.test.labels, seed=0)
        assert sorted(order.tolist()) == list(range(10_000))
        share = np.bincount(mnist.test.labels) / 10_000
        for size in (500, 1_000, 2_000, 5_000):
            counts = np.bincount(mnist.test.labels[order[:size]], minlength=10)
            assert np.abs(counts - share * size).max() <= 1

    @pytest.mark.parametrize(
        "document",
        [5, "mnist", {"seed": "x"}, {"seed": 1.5}, {"held_out": []}, {"held_out": True}, {"skipped": 3}, {"skipped": [1]}],
    )
    def test_a_reference_of_another_form_is_refused(self, document: object) -> None:
        with pytest.raises(EdgeproofError, match=r"the card's data set .*: train the model again"):
            DataReference.from_json(document)

    @pytest.mark.parametrize("held_out", [None, 4_000])
    def test_references_survive_json(self, held_out: int | None) -> None:
        reference = DataReference("d", "/some/where", 3, ("cat/1.png",), held_out=held_out)
        assert DataReference.from_json(reference.to_json()) == reference
