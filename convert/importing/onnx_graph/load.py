"""Reading an untrusted `.onnx` file: its size, its weights in other files and its operators are checked first.

Nothing in it is run, and no file outside its own folder is opened.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from common.files import sha256_of
from convert.formats.onnx_tensors import nodes, tensors
from device.errors import EdgeproofError

LIMIT_BYTES = 2_000_000_000  # of a protobuf message, and so of an .onnx with its weights inside
OLDEST_OPSET, NEWEST_OPSET = 9, 23
ONNX_DOMAINS = ("", "ai.onnx")
RUN_HERE = (*ONNX_DOMAINS, "com.microsoft", "ai.onnx.ml")  # domains whose operators onnxruntime has
EXTERNAL = 1  # TensorProto.DataLocation.EXTERNAL


@dataclass(frozen=True)
class OnnxFile:
    """An onnx.ModelProto with all weights inside, and the hash of its file, or over it and its files of weights."""

    path: Path
    model: Any
    sha256: str
    opset: int


def load(path: Path) -> OnnxFile:
    """Read a whole file. Raises EdgeproofError with the reason where it cannot be used, before any of it is run."""
    import onnx
    from google.protobuf.message import DecodeError

    size = path.stat().st_size
    if not 0 < size <= LIMIT_BYTES:
        what = "is empty" if not size else f"has {size / 1e9:.1f} GB, at most {LIMIT_BYTES / 1e9:.0f} GB are read"
        raise EdgeproofError(f"{path}: {what}: expected an .onnx file")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise EdgeproofError(f"{path}: is no ONNX model, or is cut off: copy it again") from error
    if not model.graph.node:
        raise EdgeproofError(f"{path}: is no ONNX model, or is cut off (it has no operators): copy it again")
    opset = _checked_opset(path, model)
    _check_operators(path, model)
    files = _take_in_weights(path, model)
    _check_structure(path, model)
    return OnnxFile(path, model, _sha256(path, files), opset)


def _sha256(path: Path, files: list[Path]) -> str:
    if not files:
        return sha256_of(path)
    digest = hashlib.sha256()
    for file in (path, *files):
        digest.update(f"{file.name}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _checked_opset(path: Path, model: Any) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ONNX_DOMAINS]
    if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        found = ", ".join(map(str, versions)) or "none"
        raise EdgeproofError(
            f"{path}: opset {found}, expected {OLDEST_OPSET} to {NEWEST_OPSET}: export it with opset_version=17"
        )
    return int(versions[0])


def _check_operators(path: Path, model: Any) -> None:
    """Raise EdgeproofError that names operators that neither ONNX nor onnxruntime nor the file itself has."""
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    versions = {entry.domain: entry.version for entry in model.opset_import}
    inside = [node for function in model.functions for node in nodes(function.node)]
    unknown: list[str] = []
    for node in (*nodes(model.graph.node), *inside):
        if (node.domain, node.op_type) in own:
            continue
        known = node.domain in RUN_HERE
        if node.domain in ONNX_DOMAINS:
            try:
                onnx.defs.get_schema(node.op_type, versions.get(node.domain, versions.get("", NEWEST_OPSET)), "")
            except onnx.defs.SchemaError:
                known = False
        if not known:
            unknown.append(f"{node.domain}.{node.op_type}".lstrip("."))
    if unknown:
        named = ", ".join(dict.fromkeys(unknown))
        raise EdgeproofError(f"{path}: uses operators that no runtime has: {named}: export it without them")


def _check_structure(path: Path, model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, UnicodeDecodeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EdgeproofError(f"{path}: is a damaged ONNX model: {reason}: export it again") from error


# ---- weights in other files -----------------------------------------------------------------------------------------


def _take_in_weights(path: Path, model: Any) -> list[Path]:
    """Read weights that lie in other files (`.onnx.data`) into the model; return these files."""
    folder = path.resolve().parent
    external = [(tensor, _reference(path, tensor)) for tensor in tensors(model) if tensor.data_location == EXTERNAL]
    total = path.stat().st_size + sum(_size_of(tensor) for tensor, _ in external)
    if total > LIMIT_BYTES:
        raise EdgeproofError(
            f"{path}: has {total / 1e9:.1f} GB of weights, at most {LIMIT_BYTES / 1e9:.0f} GB fit into one file"
        )
    files = {reference.location: _inside(path, folder, reference.location) for _, reference in external}
    for file, checksum in {(files[reference.location], reference.checksum) for _, reference in external}:
        _check_sha1(path, file, checksum)
    for tensor, reference in external:
        tensor.raw_data = _part(path, files[reference.location], reference, _size_of(tensor))
        tensor.data_location = 0
        del tensor.external_data[:]
    return sorted(set(files.values()))


@dataclass(frozen=True)
class _Reference:
    location: str
    offset: int
    length: int | None
    checksum: str | None


def _reference(path: Path, tensor: Any) -> _Reference:
    told = {entry.key: entry.value for entry in tensor.external_data}
    offset, length = told.get("offset") or "0", told.get("length") or None
    if not told.get("location") or not offset.isdecimal() or not (length is None or length.isdecimal()):
        raise EdgeproofError(f"{path}: weight {tensor.name!r} does not say where its values are: export it again")
    return _Reference(told["location"], int(offset), None if length is None else int(length), told.get("checksum"))


def _inside(path: Path, folder: Path, location: str) -> Path:
    """Return the file of a location. Raises EdgeproofError for one outside the model's folder, also through links."""
    parts = PurePosixPath(location)
    outside = parts.is_absolute() or PureWindowsPath(location).anchor or ".." in parts.parts or "\\" in location
    if outside or "\0" in location or folder not in (folder / location).resolve().parents:
        raise EdgeproofError(f"{path}: its weights are outside its folder, in {location!r}: not opened; put them beside it")
    file = folder / location
    if not file.is_file():
        raise EdgeproofError(f"{path}: its weights in {location!r} are missing: copy that file beside it")
    return file


def _check_sha1(path: Path, file: Path, expected: str | None) -> None:
    """Check a file against the SHA-1 that ONNX may give for it (onnx/docs/ExternalData.md)."""
    if expected is None:
        return
    digest = hashlib.sha1(usedforsecurity=False)
    with file.open("rb") as data:
        while block := data.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected.lower():
        raise EdgeproofError(f"{path}: the checksum of {file.name} is not the one in the model: copy both again")


def _size_of(tensor: Any) -> int:
    """Return how many bytes a tensor's values take."""
    import onnx

    if tensor.data_type not in onnx.TensorProto.DataType.values() or not tensor.data_type:
        return 0
    width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return math.prod(max(0, int(side)) for side in tensor.dims) * int(width)


def _part(path: Path, file: Path, reference: _Reference, size: int) -> bytes:
    length = size if reference.length is None else reference.length
    there = file.stat().st_size
    if length != size or reference.offset + length > there:
        raise EdgeproofError(
            f"{path}: a weight takes {size} bytes from byte {reference.offset} of {file.name}, which has {there}: "
            "it is cut off or another model's: copy both again"
        )
    with file.open("rb") as data:
        data.seek(reference.offset)
        return data.read(length)
