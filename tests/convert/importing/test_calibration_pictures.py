"""Pictures to calibrate an imported model with."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convert.importing.import_model import import_model
from device.errors import EdgeproofError
from tests.support.models.imported_models import COLOURS, Paint, colour_network, imported, outside, save
from train.data.calibration import calibration_reference, load_calibration
from train.data.dataset import NO_LABEL, DataReference
from train.data.open_dataset import open_dataset


class TestPictures:
    def test_a_seeded_third_is_held_out_with_every_class_in_both_parts(self, paint: Paint) -> None:
        reference = calibration_reference(paint.classes)
        dataset = load_calibration(reference, tuple(COLOURS))
        assert (len(dataset.train), len(dataset.val)) == (24, 12)
        assert not {str(path) for path in dataset.train.sources} & {str(path) for path in dataset.val.sources}
        assert np.bincount(dataset.train.labels).tolist() == [8, 8, 8]
        again = open_dataset(DataReference.from_json(json.loads(json.dumps(reference.to_json()))), tuple(COLOURS))
        assert (again.train.sha256, again.val.sha256) == (dataset.train.sha256, dataset.val.sha256)

    def test_folders_that_are_no_labels_give_pictures_without_labels(self, paint: Paint) -> None:
        dataset = load_calibration(calibration_reference(paint.classes), ("tench", "goldfish"))
        assert set(dataset.train.labels) == {NO_LABEL}
        assert not dataset.val.labelled

    def test_other_pictures_verify_where_there_are_some(self, paint: Paint) -> None:
        dataset = load_calibration(calibration_reference(paint.flat, paint.classes), tuple(COLOURS))
        assert (len(dataset.train), len(dataset.val)) == (36, 36)
        assert (dataset.train.labelled, dataset.val.labelled) == (False, True)

    @pytest.mark.parametrize(
        ("files", "found"),
        [
            ([], "holds no pictures"),
            (["a.png"], "holds 1 usable pictures, expected at least 29"),
            (
                ["red/a.png", "b.png"],
                r"holds 1 usable pictures \(left out: 1 beside the class folders.*\), expected at least 29",
            ),
            (["all/red/a.png", "all/b.txt"], r"its class folders \(red, \.\.\.\) lie one level deeper: give .*/all$"),
            (["all/x/red/a.png", "other/b.png"], r"1 in folders inside of class folders"),
            (["red/a.png", "pink/b.png"], "pink are none of the 3 labels"),
        ],
    )
    def test_a_folder_that_cannot_be_used_is_said(self, tmp_path: Path, files: Sequence[str], found: str) -> None:
        for name in files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / name, "PNG")
        with pytest.raises(EdgeproofError, match=found):
            load_calibration(calibration_reference(tmp_path), tuple(COLOURS))

    @pytest.mark.parametrize("apart", [False, True])
    def test_the_number_that_is_asked_for_is_enough_and_one_less_is_not(
        self, paint: Paint, tmp_path: Path, apart: bool
    ) -> None:
        """29 with a third held out, and 20 with other pictures to verify with: 20 calibrate in both cases."""
        least, validation = (20, paint.classes) if apart else (29, None)
        for number in range(least - 1):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
        reference = calibration_reference(tmp_path, validation)
        with pytest.raises(EdgeproofError, match=f"holds {least - 1} usable pictures, expected at least {least}"):
            load_calibration(reference, tuple(COLOURS))
        Image.new("RGB", (8, 8)).save(tmp_path / "last.png")
        assert len(load_calibration(reference, tuple(COLOURS)).train) == 20

    def test_unreadable_ones_are_listed_or_left_out(self, paint: Paint, tmp_path: Path) -> None:
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        for path in paint.flat.iterdir():
            (pictures / path.name).write_bytes(path.read_bytes())
        (pictures / "broken.jpg").write_bytes(b"no picture")
        told = outside(paint, save(colour_network(), tmp_path), calibration=pictures)
        with pytest.raises(EdgeproofError, match=r"1 unusable pictures; .*--skip-bad:\n  broken\.jpg: not a picture"):
            import_model(told, print)
        trained, said = imported(replace(told, skip_bad=True))
        assert any("left out 1 unusable pictures: broken.jpg" in line for line in said)
        assert trained.dataset.reference.skipped == ("broken.jpg",)
        trained.close()
