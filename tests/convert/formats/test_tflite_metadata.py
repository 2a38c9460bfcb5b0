"""The standard TFLite metadata: its content, and that nothing else in the model changes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.formats import to_tflite
from convert.formats.tflite_metadata import model_metadata, with_metadata
from convert.formats.tflite_reader import metadata, read_model
from convert.formats.tflite_writer import DATA_ALIGNMENT
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from device.formats.model_file import read_card
from device.runtimes import TFLITE_RUNTIMES
from tests.conftest import CONVERTED, TFLITE, Tiny
from tests.support.models.model_files import own_bytes

KEYS = [variant.key for variant in CONVERTED if variant.format == "tflite"]
STANDARD = b"TFLITE_METADATA"

# Runs two models on the same random pixels in one runtime, in a process of its own, and compares the bits.
COMPARE = """
import importlib, sys
import numpy as np
Interpreter = importlib.import_module(sys.argv[1]).Interpreter
outputs = []
for path in sys.argv[2:]:
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    random = np.random.default_rng(0)
    answers = b""
    for _ in range(20):
        interpreter.set_tensor(source["index"], random.integers(0, 256, source["shape"]).astype(source["dtype"]))
        interpreter.invoke()
        answers += interpreter.get_tensor(target["index"]).tobytes()
    outputs.append(answers)
assert len(outputs[0]) > 100
sys.exit(outputs[0] != outputs[1])
"""


@pytest.fixture(scope="module")
def trained(tiny: Tiny) -> Any:
    trained = TrainedModel(tiny.folder / "mnist_cnn.keras")
    yield trained
    trained.close()


@pytest.fixture(scope="module", params=KEYS)
def pair(
    request: pytest.FixtureRequest, trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return a variant without and with its metadata."""
    variant = find_variants([request.param])[0]
    folder = tmp_path_factory.mktemp("pair")
    bare, described = folder / "bare.tflite", folder / "described.tflite"
    bare.write_bytes(to_tflite.convert(trained.tflite_source, variant))
    described.write_bytes(with_metadata(bare.read_bytes(), {**trained.common, "variant": variant.name}))
    return bare, described


def plain(value: Any) -> Any:
    """Return an object of the flatbuffer as dictionaries and lists, to compare it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in vars(value).items()} if hasattr(value, "__dict__") else value


def data_offsets(model: bytes) -> list[int]:
    """Return the position in the file at which each buffer's data starts."""
    from ai_edge_litert import schema_py_generated as schema

    root = schema.Model.GetRootAs(model)
    buffers = [root.Buffers(index) for index in range(root.BuffersLength())]
    # Field 0 (data): slot 4 of the table; a vector starts with its length
    return [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]


class TestModelStaysItself:
    @pytest.mark.parametrize("module", [TFLITE_RUNTIMES[name][0] for name in TFLITE])
    def test_outputs_are_bit_identical_with_and_without(self, pair: tuple[Path, Path], module: str) -> None:
        subprocess.run([sys.executable, "-c", COMPARE, module, *pair], check=True, timeout=120)

    def test_all_else_is_as_it_was(self, pair: tuple[Path, Path]) -> None:
        before, after = (read_model(path.read_bytes()) for path in pair)
        added = after.metadata.pop()
        assert added.name == STANDARD
        assert added.buffer == len(after.buffers) - 1
        after.buffers.pop()
        assert plain(after) == plain(before)

    def test_the_converters_own_entries_survive(self, pair: tuple[Path, Path]) -> None:
        before, after = (read_model(path.read_bytes()) for path in pair)
        for name in (b"min_runtime_version", b"CONVERSION_METADATA"):
            assert metadata(after, name) == metadata(before, name) is not None

    def test_every_buffer_stays_aligned(self, pair: tuple[Path, Path]) -> None:
        offsets = data_offsets(pair[1].read_bytes())
        assert len(offsets) > 5
        assert [offset % DATA_ALIGNMENT for offset in offsets] == [0] * len(offsets)

    def test_written_again_it_is_replaced(self, pair: tuple[Path, Path], trained: TrainedModel) -> None:
        card = {**trained.common, "variant": "other"}
        once = with_metadata(pair[1].read_bytes(), card)
        assert once == with_metadata(once, card)
        assert [entry.name for entry in read_model(once).metadata].count(STANDARD) == 1
        assert metadata(read_model(once), STANDARD) == model_metadata(card)


class TestArtifacts:
    @pytest.mark.parametrize("key", KEYS)
    def test_each_has_it_and_its_card_follows(self, tiny: Tiny, key: str) -> None:
        card = read_card(tiny.artifact(key))
        assert card is not None
        found = metadata(read_model(own_bytes(tiny.artifact(key))), STANDARD)
        assert found == model_metadata(card.document)
        assert found[4:8] == b"M001"
        version = card.document["provenance"]["source_sha256"][:12]
        steps = ", ".join(step.name for step in card.preprocess)
        for text in ("mnist_cnn", version, "image", steps, "probabilities", "labels.txt"):
            assert text.encode() in found
