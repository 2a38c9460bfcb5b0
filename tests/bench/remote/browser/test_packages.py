"""The npm packages: exact, and without the address of a registry."""

import json

from bench.runtimes.browser import browser_runtime_names, find_browser_runtime, script_of
from tests.conftest import ROOT

FOLDER = ROOT / "bench" / "remote" / "browser"
WANTED = json.loads((FOLDER / "package.json").read_text())["dependencies"]
LOCK = json.loads((FOLDER / "package-lock.json").read_text())


def test_each_runtime_has_its_package_and_its_script() -> None:
    assert set(WANTED) == {find_browser_runtime(name).NPM_PACKAGE for name in browser_runtime_names()}
    assert all(script_of(name).is_file() for name in browser_runtime_names())


def test_versions_are_exact_and_those_of_the_lock() -> None:
    for name, version in WANTED.items():
        assert version[0].isdecimal()
        assert LOCK["packages"][f"node_modules/{name}"]["version"] == version
    assert LOCK["packages"][""]["dependencies"] == WANTED


def test_every_locked_package_has_its_hash_and_no_address() -> None:
    packages = [entry for path, entry in LOCK["packages"].items() if path]
    assert all(entry["integrity"].startswith("sha512-") for entry in packages)
    assert "resolved" not in (FOLDER / "package-lock.json").read_text()
    assert "://" not in (FOLDER / "package-lock.json").read_text()
