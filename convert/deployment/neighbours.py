"""The other variants of a model: the files beside it."""

from pathlib import Path


def other_variants(path: Path) -> list[Path]:
    """Return the files MODEL.OTHER_VARIANT.FORMAT beside MODEL.VARIANT.FORMAT, by name."""
    parts = path.name.rsplit(".", 2)
    if len(parts) < 3:
        return []
    models = [file for file in sorted(path.parent.iterdir()) if file.suffix.lower() in (".tflite", ".onnx")]
    return [file for file in models if file.name.rsplit(".", 2)[0] == parts[0] and file.name != path.name]
