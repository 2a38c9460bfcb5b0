"""Teachable Machine exports as they are downloaded: nothing has to be told but pictures to calibrate with."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.importing.add_card import CardOptions, add_card
from convert.importing.import_model import import_model
from convert.importing.import_options import ImportOptions
from convert.importing.sources import open_source
from convert.trained_model import TrainedModel
from device.errors import EdgeproofError
from tests.conftest import Tiny
from tests.support.models.imported_models import SIDE, Paint, save, sequential, some_pixels
from tests.support.models.model_files import bare_copy

LABELS = "\ufeff0 red\r\n1 green\r\n2 dark blue\r\n\r\n"


def export_network() -> Any:
    """Return a network built as the export's is: Sequentials in a Sequential, of Keras 2."""
    import tf_keras

    whole = sequential(tf_keras.layers.DepthwiseConv2D(1, use_bias=False, name="depthwise"), library=tf_keras)
    whole.get_layer("depthwise").set_weights([np.ones((1, 1, 3, 1))])
    inner = tf_keras.Sequential([tf_keras.Input((SIDE, SIDE, 3)), *whole.layers[:-1]])
    outer = tf_keras.Sequential([tf_keras.Input((8,)), whole.layers[-1]])
    return tf_keras.Sequential([tf_keras.Input((SIDE, SIDE, 3)), inner, outer])


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Return the folder of an export."""
    folder = tmp_path / "converted_keras"
    folder.mkdir()
    save(export_network(), folder, "h5").rename(folder / "keras_model.h5")
    (folder / "labels.txt").write_text(LABELS, newline="")
    return folder


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.mark.parametrize("packed", [True, False])
def test_the_zip_and_its_folder_need_pictures_alone(paint: Paint, export: Path, packed: bool) -> None:
    path = zipped(export) if packed else export
    said: list[str] = []
    trained = TrainedModel(import_model(ImportOptions(path, None, paint.flat), said.append))
    pixels = some_pixels(4)
    expected = np.asarray(export_network()(pixels / 127.5 - 1, training=False))
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=1e-5)
    assert trained.card.labels == ("red", "green", "dark blue")
    assert [step.name for step in trained.steps] == ["exif_orientation", "rgb", "resize", "center_crop"]
    assert trained.name == "converted_keras"
    source = trained.common["provenance"]["source"]
    assert (source["format"], source["input_range"]["name"]) == ("teachable_machine", "-1..1")
    assert source["checked"]["worst"] < 1e-5
    assert source["checked"]["framework"].startswith("tf_keras 2.")
    assert not any("--fit" in line for line in said)
    trained.close()


def test_a_folder_that_was_packed_again_is_found_inside(export: Path) -> None:
    path = Path(shutil.make_archive(str(export), "zip", export.parent, export.name))
    assert open_source(path).understood.labels is not None


def test_what_is_understood_names_where_each_fact_was_learnt(export: Path) -> None:
    understood = open_source(zipped(export)).understood
    assert understood.missing == ("--calibration DIR",)
    document = understood.to_json()
    assert document["labels"] == {"value": ["red", "green", "dark blue"], "learnt_from": "labels.txt"}
    assert document["fit"] == {"value": "crop", "learnt_from": "every Teachable Machine export"}
    assert document["shape"]["value"] == [None, SIDE, SIDE, 3]
    assert understood.next_command == f"edgeproof convert run {understood.path} --calibration DIR"


@pytest.mark.parametrize("packed", [True, False])
def test_a_tflite_inside_is_taken_as_it_is(tiny: Tiny, tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "converted_tflite"
    folder.mkdir()
    bare_copy(tiny.artifact("int8.tflite"), folder).rename(folder / "model.tflite")
    (folder / "labels.txt").write_text("".join(f"{number} digit {number}\n" for number in range(10)))
    taken = add_card(CardOptions(zipped(folder) if packed else folder, name="digits"), print)
    assert taken.card.labels == tuple(f"digit {number}" for number in range(10))
    assert taken.path.name == "digits.given.tflite"


def test_labels_that_do_not_fit_say_both_numbers(paint: Paint, export: Path) -> None:
    (export / "labels.txt").write_text("0 red\n1 green\n")
    with pytest.raises(EdgeproofError, match="holds 2 labels, the model has 3 outputs"):
        import_model(ImportOptions(zipped(export), None, paint.flat), print)


def test_a_zip_of_something_else_is_no_export(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.txt", "a\nb\n")
    with pytest.raises(EdgeproofError, match="no model that is known here"):
        open_source(path)
