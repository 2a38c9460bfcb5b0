"""Holding a bench.json that came from somewhere against schema 1, so that what reads it afterwards may trust it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.classify import EdgeproofError, printable

NUMBER = (int, float)
TEXT = (str,)
TEXT_OR_NONE = (str, type(None))
NUMBER_OR_NONE = (int, float, type(None))

SUBJECT: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("model", "variant", "format", "runtime", "runtime_version", "device", "accelerator"), TEXT),
    "name": TEXT_OR_NONE,
    "threads": (int,),
}
PARTS: dict[str, dict[str, tuple[type, ...]]] = {
    "artifact": {"path": TEXT, "sha256": TEXT, "size_bytes": (int,)},
    "accuracy": {  # of a model whose labels nobody knows the total is 0, or all of it null
        "correct": (int,),
        "total": (int,),
        "top1": NUMBER_OR_NONE,
        "ci95": (list,),
        "dataset_sha256": TEXT_OR_NONE,
    },
    "latency": {
        "queries": (int,),
        "processes": (int,),
        "p50_ms": NUMBER,
        "p90_ms": NUMBER_OR_NONE,
        "p99_ms": NUMBER_OR_NONE,
        "ci95_p50_ms": (list,),
        "valid": (bool,),
        "why_invalid": TEXT_OR_NONE,
    },
    "startup": dict.fromkeys(("import_ms", "load_ms", "first_inference_ms"), NUMBER),
    "memory": {"peak_rss_bytes": (int,)},
    "samples": {"key": TEXT},
}
OPTIONAL_PARTS: dict[str, dict[str, tuple[type, ...]]] = {  # absent or null, else whole
    "path": dict.fromkeys(
        ("decode_ms", "prepare_ms", "invoke_ms", "postprocess_ms", "end_to_end_ms", "unaccounted_ms"), NUMBER
    ),
    "instructions": {
        **dict.fromkeys(("core", "counter"), TEXT),
        **dict.fromkeys(("import_runtime", "load", "first_inference", "steady_inference"), (int,)),
        "dot_products": (int, type(None)),
    },
}
OPTIONAL: dict[str, dict[str, tuple[type, ...]]] = {  # fields that files of earlier versions have not
    "accuracy": {"agreement_with_reference": NUMBER_OR_NONE},
    "latency": {"flags": (list,), "flags_unknown": (list,), "min_ms": NUMBER, "warmup_calls": (int,)},
    "startup": {"steady_ms": NUMBER_OR_NONE, "processes_ms": (list,)},
}
ENVIRONMENT: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("cpu", "os", "python"), TEXT),
    **dict.fromkeys(("cores", "memory_bytes"), NUMBER),
    "cpu_flags": (list,),
}
NAMES = ("model", "name", "variant", "format", "runtime", "device")
MAY_BE_NULL = frozenset({"accuracy"})
SKIPPED = {**dict.fromkeys(("model", "variant", "format", "runtime", "device", "reason"), TEXT), "name": TEXT_OR_NONE}


def check_document(path: Path, document: Mapping[str, Any]) -> None:
    """Check every row. Raises EdgeproofError that names the file, the row and the field."""
    for part, kind in (("environments", dict), ("measurements", list), ("skipped", list)):
        if not isinstance(document.get(part), kind):
            raise _damaged(path, f"{part!r} is {_shown(document.get(part))}, expected a {kind.__name__}")
    for device, environment in document["environments"].items():
        _check_fields(path, f"environments.{device}", environment, ENVIRONMENT)
        _check_items(path, f"environments.{device}.cpu_flags", environment["cpu_flags"], TEXT)
    for place, row in enumerate(document["measurements"]):
        where = f"measurements[{place}]"
        _check_fields(path, where, row, SUBJECT)
        _check_names(path, where, row)
        for part, fields in PARTS.items():
            if part in MAY_BE_NULL and row.get(part, 0) is None:
                continue
            _check_fields(path, f"{where}.{part}", row.get(part), fields)
        _check_optional(path, where, row)
        _check_interval(path, f"{where}.latency.ci95_p50_ms", row["latency"]["ci95_p50_ms"])
        if row["accuracy"] is not None and row["accuracy"]["total"]:
            _check_fields(path, f"{where}.accuracy", row["accuracy"], {"top1": NUMBER, "dataset_sha256": TEXT})
            _check_interval(path, f"{where}.accuracy.ci95", row["accuracy"]["ci95"])
        if not row["latency"]["p50_ms"] > 0:
            raise _damaged(path, f"{where}.latency.p50_ms is {_shown(row['latency']['p50_ms'])}, expected more than 0")
    for place, row in enumerate(document["skipped"]):
        _check_fields(path, f"skipped[{place}]", row, SKIPPED)
        _check_names(path, f"skipped[{place}]", row)


def _check_optional(path: Path, where: str, row: Mapping[str, Any]) -> None:
    for part, fields in OPTIONAL_PARTS.items():
        if row.get(part) is not None:
            _check_fields(path, f"{where}.{part}", row[part], fields)
    for part, fields in OPTIONAL.items():
        there = row.get(part) or {}
        _check_fields(path, f"{where}.{part}", there, {name: kinds for name, kinds in fields.items() if name in there})
    for name in ("flags", "flags_unknown"):
        _check_items(path, f"{where}.latency.{name}", row["latency"].get(name, []), TEXT)
    for times in row["startup"].get("processes_ms", []):
        _check_items(path, f"{where}.startup.processes_ms", times, NUMBER)


def _check_items(path: Path, where: str, items: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(items, list):
        raise _damaged(path, f"{where} is {_shown(items)}, expected a list")
    for number, item in enumerate(items):
        _check_fields(path, where, {f"{number}": item}, {f"{number}": kinds})


def _check_fields(path: Path, where: str, row: Any, fields: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(row, dict):
        raise _damaged(path, f"{where} is {_shown(row)}, expected an object")
    for name, kinds in fields.items():
        value = row.get(name, ...)
        odd_bool = isinstance(value, bool) and bool not in kinds
        if not isinstance(value, kinds) or odd_bool or (isinstance(value, float) and not math.isfinite(value)):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise _damaged(path, f"{where}.{name} is {_shown(value)}, expected {expected}")


def _check_names(path: Path, where: str, row: Mapping[str, Any]) -> None:
    """Names become lines, paths and keys: what a card may not be called, a row may not be."""
    for name in NAMES:
        text = row[name]
        if text is not None and (printable(text) != text or "/" in text or text.startswith(".")):
            raise _damaged(path, f"{where}.{name} is {_shown(text)}, expected a name")


def _check_interval(path: Path, where: str, value: list[Any]) -> None:
    if len(value) != 2 or not all(isinstance(end, NUMBER) and math.isfinite(end) for end in value):
        raise _damaged(path, f"{where} is {_shown(value)}, expected two numbers")


def _shown(value: Any) -> str:
    return "missing" if value is ... else repr(value)[:60]


def _damaged(path: Path, what: str) -> EdgeproofError:
    return EdgeproofError(f"{path}: damaged: {what}: restore the file, or remove it and measure again")
