"""`--preprocess`: a file of the card's own kind, of Hugging Face or of timm, or the name of a preset."""

from pathlib import Path

from common.files import read_json
from convert.importing.preprocessing import card_json, hugging_face, presets, timm_config
from convert.importing.preprocessing.preprocess_option import Layout, Preprocess
from device.errors import EdgeproofError

__all__ = ["Layout", "Preprocess", "read_preprocess"]


def read_preprocess(option: str | Path) -> Preprocess:
    """Read what `--preprocess` says. Raises EdgeproofError that names the field which cannot be used.

    Of a Hugging Face `preprocessor_config.json` the labels are taken from the `config.json` beside it, where it has some.
    """
    if presets.is_preset(str(option)):
        return presets.preset(str(option))
    path = Path(option)
    if not path.exists():
        raise EdgeproofError(
            f"--preprocess {option}: no such file: expected JSON of a card's kind, a preprocessor_config.json, timm's "
            f"config.json, or a preset: {', '.join(presets.PRESETS)}"
        )
    document = read_json(path, "correct it, or export it again")
    if isinstance(document, dict) and hugging_face.recognises(document):
        return hugging_face.read(path, document)
    if isinstance(document, dict) and timm_config.recognises(document):
        return timm_config.read(path, document)
    if isinstance(document, dict) and hugging_face.LABELS in document:
        raise EdgeproofError(
            f"{path}: holds labels and no preprocessing: give it as --labels, and the preprocessor_config.json beside it "
            "as --preprocess"
        )
    return card_json.read(path, document)
