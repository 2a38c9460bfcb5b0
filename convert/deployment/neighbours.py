"""The other variants of a model: the files beside it."""

from pathlib import Path


def other_variants(path: Path) -> list[Path]:
    """Return the files MODEL.OTHER_VARIANT.FORMAT beside MODEL.VARIANT.FORMAT, by name."""
    parts = path.name.rsplit(".", 2)
    if len(parts) < 3:
        return []
    files = sorted(path.parent.iterdir())
    others = [file for file in files if file.suffix in (".tflite", ".onnx") and file.name.rsplit(".", 2)[0] == parts[0]]
    return [other for other in others if other.name != path.name]
