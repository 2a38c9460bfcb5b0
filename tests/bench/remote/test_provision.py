"""Making an environment on a device."""

from pathlib import Path
from typing import Any

import pytest

from bench.remote.device_config import find_device
from bench.remote.loopback_sshd import Loopback
from bench.remote.provision import set_up_device
from bench.remote.ssh import DeviceLost
from bench.results.store import load_results
from tests.conftest import run_module
from tests.support.devices import arguments, device_file, measure, patched_python


class FakeLink:
    """An agent that has the given facts and nothing on its disk."""

    def __init__(self, free_bytes: int = 10**10, **facts: Any) -> None:
        known = {"machine": "aarch64", "bits": 64, "python": "3.11.2", "glibc": "2.36", "folder": "/f", "clock_off_s": 0.0}
        self.facts = {**known, **facts}
        self.free_bytes = free_bytes

    def ask(self, op: str, *_: Any, **__: Any) -> dict[str, Any]:
        assert op == "have", "nothing is started before it is known that it can end well"
        return {"have": [], "free_bytes": self.free_bytes}


class TestProvision:
    @pytest.mark.parametrize(
        ("facts", "found"),
        [
            ({"machine": "riscv64"}, "has no wheel for riscv64"),
            ({"python": "3.9.2", "glibc": "2.28"}, "no runtime can be installed there"),
            ({"glibc": ""}, "needs glibc 2.34 on aarch64, found none"),
            ({"free_bytes": 50_000_000}, "has 50 MB free"),
        ],
        ids=["architecture", "old system", "musl", "full disk"],
    )
    def test_what_cannot_be_installed_is_said_before_anything_is_done(self, facts: dict[str, Any], found: str) -> None:
        link: Any = FakeLink(**facts)
        with pytest.raises(DeviceLost, match=found):
            set_up_device(link, find_device("pi4"), ["litert", "tflite_runtime"], False, print)

    def test_a_32_bit_system_under_a_64_bit_kernel_is_armv7l(self) -> None:
        from bench.remote.provision import real_target

        said: list[str] = []
        target = real_target(find_device("zero"), FakeLink(bits=32).facts, said.append)
        assert (target.architecture, target.system_packages) == ("armv7l", ("python3-numpy", "python3-pil"))
        other = real_target(find_device("zero"), FakeLink().facts, said.append)
        assert (other.architecture, other.system_packages) == ("aarch64", ())
        assert len(said) == 1

    def test_a_runtime_that_is_not_there_is_a_row_skipped_with_the_command_that_installs_it(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        hide = "from importlib import metadata\nreal = metadata.version\ndef version(name):\n"
        hide += "    if name == 'ai-edge-litert': raise metadata.PackageNotFoundError(name)\n    return real(name)\n"
        python = patched_python(tmp_path, hide + "metadata.version = version\n")
        result, results = measure(device_file(tmp_path, server, python=python), pictures=pictures)
        assert result.code == 0, result.stderr
        assert "ai-edge-litert is not installed there" in results.skipped[0].reason
        assert "pip install ai-edge-litert==" in results.skipped[0].reason

    @pytest.mark.slow
    def test_a_virtual_environment_is_made_once_from_wheels_that_are_pushed(
        self, server: Loopback, pictures: Path, tmp_path: Path
    ) -> None:
        device = device_file(tmp_path, server, ready=False)
        options = [*arguments(device, pictures=pictures, output=tmp_path / "bench.json"), "--offline"]
        first = run_module("bench", *options, cwd=tmp_path)
        assert first.code == 0, first.stdout + first.stderr
        assert "making a virtual environment there, once" in first.stdout
        assert load_results(tmp_path / "bench.json").environments["board"].more["installed"]["ai-edge-litert"]
        assert not any((tmp_path / "far sidé" / "wheels").iterdir())
        second = run_module("bench", *options, cwd=tmp_path)
        assert second.code == 0, second.stderr
        assert "virtual environment" not in second.stdout
