"""Defective TOML and JSON files, for everything that reads such files."""

import io
import json
import pickle
import random
import shutil
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.paths import PROGRAM
from tests.robustness.corpus.defect import Bad, no_files, write

BASELINE = PROGRAM / "data" / "baseline"
BUDGETS = PROGRAM / "bench" / "budgets" / "budgets.toml"
DEVICE = b"""description = "nowhere"
host = "127.0.0.1"
port = 1
user = "nobody"
python = ["python3"]
target = "pi4_bookworm"
"""
PREPROCESS = {
    "preprocess": [["gray"], ["resize", {"size": 28, "filter": "bilinear"}]],
    "input": {"scale": 1.0, "offset": [0.0]},
}
STRANGE: tuple[Any, ...] = (None, True, -1, 0, 10**30, 1e308, "", "\0", "../../x", [], {}, [[]], {"a": 1})
HUGE_NUMBERS = (b"1e999", b"9" * 6_000, b"NaN", b"-Infinity")


@dataclass(frozen=True)
class Text:
    """The content of a defective file."""

    name: str
    kind: str
    data: bytes
    any_end: bool = False


def texts(good: bytes) -> Iterator[Text]:
    """Yield the defects that any text file can have."""
    for share in range(1, 20):
        yield Text(f"truncated-{share * 5:02}-percent", "truncated", good[: len(good) * share // 20], any_end=True)
    for number in range(40):
        flipped = bytearray(good)
        flipped[random.Random(number).randrange(len(good))] ^= 1 << number % 8
        yield Text(f"flip-{number:02}", "a bit flipped", bytes(flipped), any_end=True)
    middle = len(good) // 2
    yield Text("nul-inside", "NUL bytes", good[:middle] + b"\0" + good[middle:], any_end=True)
    yield Text("not-utf-8", "not UTF-8", good[:middle] + b"\xff\xfe" + good[middle:])
    yield Text("utf-16", "not UTF-8", good.decode().encode("utf-16"))


def json_texts(good: bytes, strange: int = 400) -> Iterator[Text]:
    """Yield these and the defects of JSON; `strange` is how many values are replaced by a strange one."""
    yield from texts(good)
    for name, data in {
        "list": b"[]",
        "text": b'"x"',
        "number": b"7",
        "null": b"null",
        "true": b"true",
        "object": b"{}",
    }.items():
        yield Text(f"is-a-{name}", "wrong types", data, any_end=True)
    yield Text("deep", "deep nesting", b"[" * 100_000)
    yield Text("deep-objects", "deep nesting", b'{"a":' * 100_000)
    first = good.index(b"{") + 1
    key = good[first : good.index(b":", first)]
    yield Text("duplicate-key", "duplicate keys", good[:first] + key + b": 1, " + good[first:])
    document = json.loads(good)
    places = list(_leaves(document))
    chosen = random.Random(0)
    for number in range(strange):
        place = chosen.choice(places)
        changed = _exchanged(document, place, chosen.choice(STRANGE))
        yield Text(f"strange-{number:03}", "wrong types", json.dumps(changed).encode(), any_end=True)
    for number in range(strange // 10):
        changed = json.dumps(_exchanged(document, chosen.choice(places), "@@@")).encode()
        huge = chosen.choice(HUGE_NUMBERS)
        yield Text(f"huge-{number:03}", "NaN, huge numbers", changed.replace(b'"@@@"', huge), any_end=True)
    for number in range(strange // 10):
        yield Text(
            f"without-{number:03}", "missing keys", json.dumps(_exchanged(document, chosen.choice(places))).encode(), True
        )


def toml_texts(good: bytes) -> Iterator[Text]:
    """Yield the defects of TOML."""
    yield from texts(good)
    lines = good.decode().splitlines()
    pairs = [number for number, line in enumerate(lines) if "=" in line and not line.startswith("#")]
    yield Text("duplicate-key", "duplicate keys", "\n".join([*lines, lines[pairs[-1]]]).encode())
    yield Text("deep", "deep nesting", b"a = " + b"[" * 100_000)
    values = (
        "nan",
        "inf",
        "-1",
        "0",
        "true",
        '""',
        '"\\u0000"',
        "[]",
        "{}",
        "1979-05-27",
        "1e308",
        "9" * 5_000,
        '"../../x"',
        "''''",
    )
    for place in pairs:
        for number, value in enumerate(values):
            changed = [*lines]
            changed[place] = f"{lines[place].partition('=')[0]}= {value}"
            yield Text(f"line-{place}-{number:02}", "wrong types", "\n".join(changed).encode(), any_end=True)
        yield Text(
            f"without-line-{place}", "missing keys", "\n".join(lines[:place] + lines[place + 1 :]).encode(), any_end=True
        )
        table = f"{lines[place].partition('=')[0].strip()}_x = 1"
        yield Text(f"unknown-{place}", "unknown keys", "\n".join([*lines[: place + 1], table]).encode(), any_end=True)


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _leaves(inner, (*place, key))


def _exchanged(document: Any, place: tuple[Any, ...], *new: Any) -> Any:
    """Return a copy whose value at a place is `new`, or is left out."""
    changed = json.loads(json.dumps(document))
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    if new:
        inside[place[-1]] = new[0]
    else:
        del inside[place[-1]]
    return changed


def _files(folder: Path, ending: str, found: Iterator[Text], good: bytes) -> Iterator[Bad]:
    folder.mkdir(parents=True, exist_ok=True)
    yield from no_files(folder, ending, good)
    for text in found:
        yield Bad(write(folder / f"{text.name}{ending}", text.data), text.kind, any_end=text.any_end)


def _in_folders(folder: Path, name: str, found: Iterator[Text], place: Callable[[Path], None]) -> Iterator[Bad]:
    """Write each under the only name that is read, in its own folder, which `place` fills."""
    for text in found:
        place(folder / text.name)
        yield Bad(write(folder / text.name / name, text.data), text.kind, any_end=text.any_end, named=text.name)


def budgets(folder: Path) -> Iterator[Bad]:
    """Write every bad budgets.toml."""
    good = BUDGETS.read_bytes()
    assert tomllib.loads(good.decode())
    return _files(folder, ".toml", toml_texts(good), good)


def devices(folder: Path) -> Iterator[Bad]:
    """Write every bad file of a device."""
    return _files(folder, ".toml", toml_texts(DEVICE), DEVICE)


def targets(folder: Path) -> Iterator[Bad]:
    """Write every bad file of a target."""
    good = (PROGRAM / "convert" / "targets" / "pi4_bookworm.toml").read_bytes()
    return _files(folder, ".toml", toml_texts(good), good)


def boards(folder: Path) -> Iterator[Bad]:
    """Write every bad file of a microcontroller's board."""
    good = (PROGRAM / "convert" / "boards" / "stm32h743.toml").read_bytes()
    return _files(folder, ".toml", toml_texts(good), good)


def results(folder: Path) -> Iterator[Bad]:
    """Write every bad bench.json, each with the samples of the good one."""
    good = (BASELINE / "bench.json").read_bytes()
    samples = write(folder / "good.npz", (BASELINE / "bench.npz").read_bytes())
    for bad in _files(folder, ".json", json_texts(good), good):
        own_samples = bad.path.with_suffix(".npz")
        own_samples.symlink_to(samples)
        yield bad if bad.named else replace(bad, named=own_samples.name)


def micro_results(folder: Path) -> Iterator[Bad]:
    """Write every bad bench.json of a microcontroller's interpreter, as far as another stage reads it."""
    from tests.robustness.corpus.models import good_card

    figures = {
        "interpreter": "tflite-micro 0.dev1",
        "model_sha256": good_card()["model_sha256"],
        "flash_bytes": 105_600,
        "arena_bytes": 31_552,
        "tensor_bytes": 27_040,
        "operations": ["CONV_2D", "SOFTMAX"],
        "compared": 111,
        "equal": 111,
    }
    rows = [{"artifact": {"path": "m.tflite"}, "microcontroller": figures}]
    skipped = [{"model": "m", "name": None, "variant": "int8", "device": "tflite-micro", "reason": "refused"}]
    good = json.dumps({"schema": 1, "measurements": rows, "skipped": skipped}).encode()
    return _files(folder, ".json", json_texts(good), good)


def samples(folder: Path) -> Iterator[Bad]:
    """Write good bench.json files whose samples are bad."""
    good = (BASELINE / "bench.npz").read_bytes()
    results = (BASELINE / "bench.json").read_bytes()
    with np.load(BASELINE / "bench.npz") as arrays:
        first = next(iter(arrays))
    bad_arrays = {
        "of-objects": pickle.dumps({"a": 1}),
        "npy-of-objects": _npy({"descr": "|O", "fortran_order": False, "shape": (3,)}, pickle.dumps([1, 2, 3])),
        "npy-of-10-terabytes": _npy({"descr": "<i8", "fortran_order": False, "shape": (10**12,)}, bytes(80)),
        "npy-of-text": _npy({"descr": "<U9", "fortran_order": False, "shape": (2,)}, bytes(72)),
        "npy-of-nan": _npy({"descr": "<f8", "fortran_order": False, "shape": (2,)}, np.full(2, np.nan).tobytes()),
        "npy-of-negative-shape": _npy({"descr": "<i8", "fortran_order": False, "shape": (-4,)}, bytes(80)),
    }
    found = [Text(text.name, text.kind, text.data, any_end=True) for text in _bytes_of(good)]
    found += [Text(name, "wrong types", _npz(first, data), any_end="of-n" in name) for name, data in bad_arrays.items()]
    for text in found:
        write(folder / f"{text.name}.json", results)
        path = write(folder / f"{text.name}.npz", text.data)
        yield Bad(path, text.kind, any_end=text.any_end, named=f"{text.name}.json")


def _bytes_of(good: bytes) -> Iterator[Text]:
    yield Text("zero-bytes", "zero bytes", b"")
    yield Text("random-bytes", "random bytes", random.Random(0).randbytes(5_000))
    for share in range(1, 20):
        yield Text(f"truncated-{share * 5:02}-percent", "truncated", good[: len(good) * share // 20])
    for number in range(60):
        flipped = bytearray(good)
        flipped[random.Random(number).randrange(len(good))] ^= 1 << number % 8
        yield Text(f"flip-{number:02}", "a bit flipped", bytes(flipped))


def _npy(header: dict[str, Any], data: bytes) -> bytes:
    """Return the file of an array with this header (numpy.lib.format, version 1.0)."""
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def _npz(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def histories(folder: Path) -> Iterator[Bad]:
    """Write every bad history.jsonl, beside good results."""
    from bench.results.history import lines_of
    from bench.results.store import load_results

    results = load_results(BASELINE / "bench.json")
    lines = [json.dumps(line.to_json()).encode() for line in lines_of(results.rows, results.environments["host"])]
    for text in json_texts(lines[0], strange=150):
        name = text.name
        shutil.copy(BASELINE / "bench.json", write(folder / f"bench@{name}.json", b""))
        shutil.copy(BASELINE / "bench.npz", folder / f"bench@{name}.npz")
        yield Bad(write(folder / f"history@{name}.jsonl", text.data + b"\n" + lines[0] + b"\n"), text.kind, any_end=True)


def baselines(folder: Path) -> Iterator[Bad]:
    """Write baselines whose baseline.json is bad, or whose files are not those that it names."""
    good = (BASELINE / "baseline.json").read_bytes()

    def place(to: Path) -> None:
        shutil.copytree(BASELINE, to)

    yield from _in_folders(folder, "baseline.json", json_texts(good, strange=100), place)
    for name in sorted(json.loads(good)["sha256"]):
        changed = folder / f"other-{Path(name).name}"
        place(changed)
        (changed / name).write_bytes((changed / name).read_bytes()[:-7])
        yield Bad(changed / name, "not what was saved", "SHA-256")
        gone = folder / f"without-{Path(name).name}"
        place(gone)
        (gone / name).unlink()
        yield Bad(gone / name, "missing", "no such file")


def preprocesses(folder: Path) -> Iterator[Bad]:
    """Write every bad file of preprocessing."""
    good = json.dumps(PREPROCESS).encode()
    return _files(folder, ".json", json_texts(good, strange=150), good)


def common_cards(folder: Path) -> Iterator[Bad]:
    """Write the bad cards of Keras models, each beside its model. A command gets the model."""
    from tests.robustness.corpus.models import good_card

    card = good_card()
    del card["golden"], card["golden_tolerance"]
    for bad in _files(folder, ".card.json", json_texts(json.dumps(card).encode(), strange=200), b"{}"):
        write(bad.path.with_name(bad.path.name.replace(".card.json", ".keras")), b"not opened")
        yield bad


def labels(folder: Path) -> Iterator[Bad]:
    """Write every bad file of labels; ten labels are needed."""
    good = b"".join(b"%d\n" % digit for digit in range(10))
    found = [Text(text.name, text.kind, text.data, any_end=True) for text in texts(good) if text.kind != "not UTF-8"]
    found += [text for text in texts(good) if text.name == "not-utf-8"]
    for count in (1, 9, 11, 1_000_000):
        found.append(Text(f"labels-{count}", "wrong number", b"x\n" * count))
    for bad in _files(folder, ".txt", iter(found), good):
        says_model = bad.kind == "wrong number" or bad.any_end  # the message is about the model that has other outputs
        yield Bad(bad.path, bad.kind, bad.says, any_end=bad.any_end or says_model, nobody=bad.nobody)
