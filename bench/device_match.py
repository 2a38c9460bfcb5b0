"""Which device of bench/devices this machine is: each NAME.toml may say in [match] how its machine is recognised."""

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.typed_toml import read_toml
from device.classify import EdgeproofError

DEVICES = Path(__file__).parent / "devices"
FIELDS = ("host", "cpu", "cores", "os")  # of an environment in bench.json
HOST = "host"


def names_of(device: str, environments: Mapping[str, Any], folder: Path = DEVICES) -> set[str]:
    """Return every name that budgets may know a row's device by: its own, and for this machine those that match it.

    Raises EdgeproofError for a [match] that cannot be understood.
    """
    if device != HOST:
        return {device}
    environment = environments.get(device, {})
    return {HOST, *(path.stem for path in sorted(folder.glob("*.toml")) if _fits(path, environment))}


def _fits(path: Path, environment: Mapping[str, Any]) -> bool:
    rules = read_toml(path).get("match")
    if rules is None:
        return False  # a device that is reached, not this machine
    if not isinstance(rules, dict) or not rules:
        raise EdgeproofError(
            f'{path}: [match] is empty or no table: give it some of {", ".join(FIELDS)}, as cpu = "*Celeron*"'
        )
    for key, pattern in rules.items():
        if key not in FIELDS or not isinstance(pattern, str | int) or isinstance(pattern, bool):
            raise EdgeproofError(
                f"{path}: [match] {key} = {pattern!r}: expected {', '.join(FIELDS)} with a pattern or a number"
            )
    return all(fnmatch.fnmatchcase(str(environment.get(key)), str(pattern)) for key, pattern in rules.items())
