"""What a person is told to do next works: no command sends to another that refuses the same file."""

import shlex
from pathlib import Path

import pytest

from convert.importing.sources import open_source, source_names
from convert.show import how_to_get_a_card
from convert.trained_model import keras_path
from device.errors import EdgeproofError
from tests.conftest import Tiny
from tests.support.models.imported_models import save, sequential
from tests.support.models.model_files import bare_copy


class TestConverted:
    def test_show_and_run_send_a_tflite_without_a_card_to_convert_card(self, tiny: Tiny, tmp_path: Path) -> None:
        path = bare_copy(tiny.artifact("int8.tflite"), tmp_path)
        command = f"edgeproof convert card {path}"
        assert command in how_to_get_a_card(path)
        with pytest.raises(EdgeproofError, match="is converted already") as refusal:
            keras_path(str(path))
        assert command in str(refusal.value)
        assert open_source(path).understood.next_command.startswith(command)


def test_a_command_can_be_copied_where_a_path_holds_spaces(tmp_path: Path) -> None:
    path = save(sequential(), tmp_path, "h5").rename(tmp_path / "Mein Modell (1).h5")
    assert shlex.split(open_source(path).understood.next_command)[:4] == ["edgeproof", "convert", "run", str(path)]
    with pytest.raises(EdgeproofError) as refusal:
        keras_path(str(path))
    assert f"'{path}'" in str(refusal.value)
    assert f"convert inspect '{path}'" in how_to_get_a_card(path)


class TestNotConverted:
    def test_run_without_options_sends_to_inspect_which_names_them(self, tmp_path: Path) -> None:
        path = save(sequential(), tmp_path, "h5")
        with pytest.raises(
            EdgeproofError, match="was not trained here: `convert run` converts it, with --calibration DIR and the options"
        ) as refusal:
            keras_path(str(path))
        assert f"edgeproof convert inspect {path}" in str(refusal.value)
        understood = open_source(path).understood
        assert understood.missing == ("--labels FILE", "--input-range A..B", "--calibration DIR")
        assert understood.next_command == f"edgeproof convert run {path} {' '.join(understood.missing)}"

    def test_a_file_of_no_format_is_told_all_that_there_are(self, tmp_path: Path) -> None:
        path = tmp_path / "model.pth"
        path.write_bytes(b"PK no model")
        with pytest.raises(EdgeproofError, match=r"\.keras or \.h5 file.*\.onnx.*SavedModel.*Teachable Machine.*\.tflite"):
            open_source(path)
        assert set(source_names()) == {"keras_file", "onnx_file", "saved_model", "teachable_machine", "tflite_file"}
