"""The ready artifacts and sample pictures in data/ready, which need no training."""

import hashlib
from pathlib import Path

import pytest

from device.formats.model_file import read_card
from tests.conftest import ROOT, TFLITE, classify, run_module
from train.data.dataset import Dataset

READY = ROOT / "data" / "ready"
ARTIFACTS = sorted(READY.glob("*.tflite"))
PICTURES = sorted((READY / "pictures").glob("*/*.jpg"))


def test_there_is_one_of_each_small_model_and_its_hash_is_the_documented_one() -> None:
    documented = dict(line.split()[::-1] for line in (READY / "SHA256SUMS").read_text().splitlines())
    assert documented == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in ARTIFACTS}
    assert sorted(documented) == ["mnist_cnn.int8.tflite", "mnist_cnn_crop.int8.tflite"]


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda path: path.name)
class TestReadyArtifact:
    @pytest.mark.parametrize("runtime", TFLITE)
    def test_passes_its_self_test(self, artifact: Path, runtime: str, tmp_path: Path) -> None:
        result = classify(artifact, "--self-test", "--runtime", runtime, cwd=tmp_path)
        assert result.code == 0, result.stdout + result.stderr
        assert result.stdout.splitlines()[-1].startswith("PASS")

    def test_reads_every_sample_picture_as_its_folder_says(self, artifact: Path, tmp_path: Path) -> None:
        result = classify(artifact, *PICTURES, cwd=tmp_path)
        read = [line.removeprefix(f"{path}: ")[0] for path, line in zip(PICTURES, result.stdout.splitlines(), strict=True)]
        assert read == [path.parent.name for path in PICTURES]
        assert len(read) >= 5

    def test_was_trained_with_the_bundled_pictures(self, artifact: Path, mnist: Dataset) -> None:
        card = read_card(artifact)
        assert card is not None
        provenance = card.document["provenance"]
        assert provenance["recipe"] == "default"
        assert provenance["dataset_sha256"] == {part: getattr(mnist, part).sha256 for part in ("train", "val", "test")}

    def test_is_shown_in_words(self, artifact: Path, tmp_path: Path) -> None:
        result = run_module("convert", "show", artifact, cwd=tmp_path)
        assert result.code == 0
        assert hashlib.sha256(artifact.read_bytes()).hexdigest() in result.stdout
        assert "digit_frame (size 28, box 20)" in result.stdout
