"""ONNX files that nothing is known of: damaged and hostile ones are refused in one line, and nothing outside is opened."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from convert.importing.onnx_graph.load import NEWEST_OPSET, OLDEST_OPSET, load
from device.errors import EdgeproofError
from tests.support.models.onnx_models import TORCH, TORCH_DYNAMO, colour_graph, save_onnx


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model with its weights in paint.onnx.data."""
    return save_onnx(TORCH_DYNAMO, tmp_path / "model", external=True)


def with_location(path: Path, location: str) -> Path:
    """Write the model again with its weights said to be elsewhere."""
    return with_entries(path, lambda entry: location if entry.key == "location" else entry.value)


def with_entries(path: Path, value: Callable[[onnx.StringStringEntryProto], str]) -> Path:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = value(entry)
    path.write_bytes(model.SerializeToString())
    return path


class TestWeightsInOtherFiles:
    def test_are_read_from_beside_the_model(self, external: Path, tmp_path: Path) -> None:
        inside = load(save_onnx(TORCH_DYNAMO, tmp_path / "inside"))
        outside = load(external)
        arrays = [
            {one.name: onnx.numpy_helper.to_array(one).tolist() for one in file.model.graph.initializer}
            for file in (inside, outside)
        ]
        assert arrays[0] == arrays[1]

    def test_their_file_is_part_of_the_hash(self, external: Path) -> None:
        before = load(external).sha256
        data = external.with_name("paint.onnx.data")
        data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
        assert load(external).sha256 != before

    @pytest.mark.parametrize(
        "location", ["../secret", "/etc/hostname", "..\\secret", "C:\\secret", "sub/../../secret", "a\0b", "."]
    )
    def test_outside_the_folder_are_not_opened(self, external: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (external.parent.parent / "secret").write_bytes(external.with_name("paint.onnx.data").read_bytes())
        opened: list[str] = []
        original = Path.open

        def noted(path: Path, *arguments: Any, **named: Any) -> Any:
            opened.append(path.name)
            return original(path, *arguments, **named)

        monkeypatch.setattr(Path, "open", noted)
        with pytest.raises(EdgeproofError, match=r"outside its folder|are missing"):
            load(with_location(external, location))
        assert not {"secret", "hostname"} & set(opened)

    def test_behind_a_symbolic_link_that_leads_outside_are_not_opened(self, external: Path) -> None:
        data = external.with_name("paint.onnx.data")
        secret = external.parent.parent / "secret"
        secret.write_bytes(data.read_bytes())
        data.unlink()
        data.symlink_to(secret)
        with pytest.raises(EdgeproofError, match=r"are outside its folder, in 'paint\.onnx\.data': not opened"):
            load(external)

    def test_that_are_cut_off_are_refused(self, external: Path) -> None:
        data = external.with_name("paint.onnx.data")
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
        with pytest.raises(EdgeproofError, match=r"of paint.onnx.data, which has \d+: it is cut off or another model's"):
            load(external)

    def test_that_are_missing_are_refused_by_name(self, external: Path) -> None:
        external.with_name("paint.onnx.data").unlink()
        with pytest.raises(EdgeproofError, match=r"weights in 'paint.onnx.data' are missing"):
            load(external)

    def test_are_held_to_the_checksum_that_the_model_has_for_them(self, external: Path) -> None:
        data = external.with_name("paint.onnx.data")
        model = onnx.load(external, load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data.add(
                key="checksum", value=hashlib.sha1(data.read_bytes(), usedforsecurity=False).hexdigest()
            )
        external.write_bytes(model.SerializeToString())
        load(external)
        data.write_bytes(data.read_bytes()[::-1])
        with pytest.raises(EdgeproofError, match=r"the checksum of paint.onnx.data is not the one in the model"):
            load(external)

    @pytest.mark.parametrize("key", ["offset", "length"])
    def test_at_an_impossible_place_are_refused(self, external: Path, key: str) -> None:
        with pytest.raises(EdgeproofError, match="does not say where"):
            load(with_entries(external, lambda entry: "-1" if entry.key == key else entry.value))
        with pytest.raises(EdgeproofError, match="is cut off"):
            load(with_entries(external, lambda entry: "99999999" if entry.key == key else entry.value))


class TestFile:
    @pytest.mark.parametrize("opset", [OLDEST_OPSET, 13, NEWEST_OPSET])
    def test_every_opset_from_9_to_23_is_read(self, tmp_path: Path, opset: int) -> None:
        assert load(save_onnx(dataclasses.replace(TORCH, opset=opset), tmp_path)).opset == opset

    @pytest.mark.parametrize("opset", [8, 24, 999])
    def test_another_opset_is_refused_with_what_to_do(self, tmp_path: Path, opset: int) -> None:
        model = colour_graph(TORCH)
        model.opset_import[0].version = opset
        path = tmp_path / "paint.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(EdgeproofError, match=f"opset {opset}, expected 9 to 23: export it with opset_version=17"):
            load(path)

    @pytest.mark.parametrize("domain", ["", "custom.ops"])
    def test_unknown_operators_are_refused_by_name(self, tmp_path: Path, domain: str) -> None:
        model = colour_graph(TORCH)
        model.graph.node.append(helper.make_node("Blur", ["output"], ["blurred"], domain=domain))
        model.opset_import.append(helper.make_opsetid("custom.ops", 1))
        path = tmp_path / "paint.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(EdgeproofError, match=r"operators that no runtime has: (custom\.ops\.)?Blur"):
            load(path)

    def test_a_file_cut_in_half_is_refused(self, tmp_path: Path) -> None:
        path = save_onnx(TORCH, tmp_path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EdgeproofError, match=r"cut off|damaged"):
            load(path)

    @pytest.mark.parametrize("share", range(1, 20))
    def test_a_file_cut_anywhere_is_refused_or_whole(self, tmp_path: Path, share: int) -> None:
        path = save_onnx(TORCH, tmp_path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * share // 20])
        with pytest.raises(EdgeproofError):
            load(path)

    @pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"not a model", b"\xff" * 100])
    def test_what_is_no_model_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "paint.onnx"
        path.write_bytes(content)
        with pytest.raises(EdgeproofError, match=r"is no ONNX model|is empty"):
            load(path)

    def test_four_gigabytes_are_refused_without_being_read(self, tmp_path: Path) -> None:
        path = tmp_path / "paint.onnx"
        with path.open("wb") as file:
            os.truncate(file.fileno(), 4 << 30)
        with pytest.raises(EdgeproofError, match=r"has 4\.3 GB, at most 2 GB are read"):
            load(path)

    def test_weights_of_more_than_two_gigabytes_are_refused_before_they_are_read(self, external: Path) -> None:
        model = onnx.load(external, load_external_data=False)
        model.graph.initializer[0].dims[:] = [1 << 15, 1 << 15]
        external.write_bytes(model.SerializeToString())
        os.truncate(external.with_name("paint.onnx.data"), 5 << 30)
        with pytest.raises(EdgeproofError, match=r"has 4\.3 GB of weights, at most 2 GB fit into one file"):
            load(external)
