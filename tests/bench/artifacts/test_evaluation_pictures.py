"""The test pictures that a card names."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.artifacts.evaluation_pictures import own_pictures_text, own_test_part
from bench.artifacts.find import find_artifacts
from device.card import Card
from device.errors import EdgeproofError
from tests.support.baselines import READY


def card_of(dataset: dict[str, object]) -> Card:
    card = find_artifacts([READY / "mnist_cnn.int8.tflite"])[0].card
    provenance = {**card.document["provenance"], "dataset": dataset}
    return replace(card, document={**card.document, "provenance": provenance})


def of_folder(folder: Path, **more: object) -> dict[str, object]:
    return {"name": folder.name, "path": str(folder), "seed": 0, "skipped": [], **more}


@pytest.mark.parametrize("role", ["trained", "calibration"])
def test_a_folder_that_is_not_on_this_machine_is_refused_with_the_option_that_names_another(
    tmp_path: Path, role: str
) -> None:
    more = {"role": role, "validation": None} if role == "calibration" else {}
    with pytest.raises(EdgeproofError, match=r"no such folder.*--data FOLDER, one folder a class, tests on other pictures"):
        own_test_part(card_of(of_folder(tmp_path / "gone", **more)))


def test_it_is_said_which_pictures_they_are(tmp_path: Path) -> None:
    held = {"role": "calibration", "validation": None}
    assert own_pictures_text(card_of({"name": "mnist", "path": None, "seed": 0, "skipped": []})) == ""
    assert own_pictures_text(card_of(of_folder(tmp_path))) == f"of {tmp_path}"
    assert own_pictures_text(card_of(of_folder(tmp_path, **held))) == f"held out of {tmp_path}"
    assert own_pictures_text(card_of(of_folder(tmp_path, **{**held, "validation": "val"}))) == "of val"
