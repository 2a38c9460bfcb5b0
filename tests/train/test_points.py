"""Training one point: stopped early and gone on with, it is what it would have been."""

import tempfile
from pathlib import Path

import pytest

from train.data.dataset import DataReference
from train.data.folders import load_folder
from train.fitting.checkpoint import Checkpoint
from train.points import executor_for, train_settings

SETTINGS = {"filters": 4, "epochs": 3, "batch_size": 32, "weight_average": 0.5, "normalized": True}


@pytest.fixture(scope="module")
def reference(digit_folder: Path) -> DataReference:
    return load_folder(digit_folder).reference


@pytest.mark.slow
def test_a_point_that_stops_after_an_epoch_and_goes_on_is_the_same(reference: DataReference, tmp_path: Path) -> None:
    whole = train_settings("mnist_cnn_crop", SETTINGS, reference)
    for epochs in (1, 3):
        parts = train_settings("mnist_cnn_crop", SETTINGS, reference, Checkpoint(tmp_path, SETTINGS), stop_after=epochs)
        assert len(parts.history) == epochs
    assert [one.val_loss for one in parts.history] == pytest.approx([one.val_loss for one in whole.history])


@pytest.mark.slow
def test_a_depth_that_the_picture_is_too_small_for_is_refused(reference: DataReference) -> None:
    with pytest.raises(ValueError, match=r"negative|Negative|must be"):
        train_settings("mnist_cnn_crop", {**SETTINGS, "depth": 4}, reference)


@pytest.mark.slow
def test_temporary_files_of_a_training_process_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with executor_for(1, None) as pool:
        forgotten = Path(pool.submit(tempfile.mkstemp).result()[1])
        assert forgotten.exists()
    assert list(tmp_path.iterdir()) == []
