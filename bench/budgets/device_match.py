"""Which device this machine is: each device file may say in [match] how its machine is recognised."""

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.budgets.rules import Rule
from bench.machine.environment import Environment
from bench.results.row import HOST
from common.paths import PROJECT
from common.project import device_files
from common.toml_config import read_toml
from device.errors import EdgeproofError

FIELDS = ("host", "cpu", "cpu_flags", "cores", "os")  # of an environment in bench.json


def names_of(device: str, environments: Mapping[str, Environment], folder: Path | None = None) -> set[str]:
    """Return every name that budgets may know a row's device by: its own, and for this machine those whose [match] fits.

    The devices are those of `folder`; without it the built-in ones and the project's.
    Raises EdgeproofError for an invalid [match].
    """
    if device != HOST:
        return {device}
    values = _values(environments.get(device))
    files = device_files(None if folder is None else [folder])
    return {HOST, *(name for name, path in files.items() if _fits(path, values))}


def refuse_unknown_devices(rules: Iterable[Rule], devices: Iterable[str], folder: Path | None = None) -> None:
    """Raise EdgeproofError for a rule about a device that is none of `devices` and has no file: it would never be judged.

    The files are those of `folder`; without it the built-in ones and the project's.
    """
    known = sorted({HOST, *devices, *device_files(None if folder is None else [folder])})
    for rule in rules:
        pattern = rule.selectors.get("device", "*")
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            raise EdgeproofError(
                f"{rule.place}: device: found {pattern!r}, expected one of {', '.join(known)}: correct the name, or add a "
                f"NAME.toml of the device to the folder of devices in {PROJECT}"
            )


def _values(environment: Environment | None) -> dict[str, str]:
    """Return the values of FIELDS of a machine; none where there is no description of it."""
    if environment is None:
        return dict.fromkeys(FIELDS, "")
    return {
        "host": environment.host or "",
        "cpu": environment.cpu,
        "cpu_flags": " ".join(environment.cpu_flags),
        "cores": str(environment.cores),
        "os": environment.os,
    }


def _fits(path: Path, values: Mapping[str, str]) -> bool:
    rules = read_toml(path).get("match")
    if rules is None:
        return False  # a device over SSH, not this machine
    if not isinstance(rules, dict) or not rules:
        raise EdgeproofError(
            f'{path}: [match] is empty or no table: give it some of {", ".join(FIELDS)}, as cpu = "*Celeron*"'
        )
    for key, pattern in rules.items():
        if key not in FIELDS or not isinstance(pattern, str | int) or isinstance(pattern, bool):
            raise EdgeproofError(
                f"{path}: [match] {key} = {pattern!r}: expected {', '.join(FIELDS)} with a pattern or a number"
            )
    return all(fnmatch.fnmatchcase(values[key], str(pattern)) for key, pattern in rules.items())
