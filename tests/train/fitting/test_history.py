"""Keeping each epoch's figures."""

import pytest

from device.errors import CheckFailed
from train.fitting.history import recorder


def test_a_validation_loss_that_is_no_number_stops_training_too() -> None:
    record = recorder("train", 0, [], None)
    with pytest.raises(CheckFailed, match="epoch 1: the loss is nan"):
        record.on_epoch_end(0, {"loss": 0.1, "accuracy": 0.9, "val_loss": float("nan"), "val_accuracy": 0.9})
