"""Device files."""

from pathlib import Path

import pytest

from bench.remote.device_config import find_device, read_device
from common.project import device_files
from common.toml_config import read_toml
from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.devices import READY


class TestDeviceFiles:
    @pytest.mark.parametrize("name", device_files())
    def test_each_can_be_read_and_is_reached_or_recognised(self, name: str) -> None:
        path = device_files()[name]
        assert read_device(path).description
        if "match" in read_toml(path):
            with pytest.raises(EdgeproofError, match="budgets recognise the machine by it"):
                find_device(name)
        else:
            device = find_device(name)
            assert device.host or device.loopback or device.interpreter or device.browser

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "description"),
            ('description = "d"', "key 'host'"),
            ('description = "d"\nhost = "-oProxyCommand=sh"', "begins with '-'"),
            ('description = "d"\nhost = "h"\npassword = "p"', "unknown key 'password'"),
            ('description = "d"\nhost = "h"\ntarget = "pdp11"', "unknown target"),
            ('description = "d"\nhost = "h"\nport = "22"', "key 'port'"),
            ('description = "d"\nhost = "h"\nemulated = "cortex-a72"', "emulated devices must be named emulated-NAME"),
            ('description = "d"\ninterpreter = "tflite_micro"', "devices named tflite-microNAME have interpreter"),
            ('description = "d"\ninterpreter = "micropython"', "key 'interpreter': found 'micropython'"),
            ("host = ", "no readable TOML"),
        ],
    )
    def test_what_is_wrong_with_one_is_named(self, tmp_path: Path, text: str, found: str) -> None:
        (tmp_path / "d.toml").write_text(text)
        with pytest.raises(EdgeproofError, match=found):
            read_device(tmp_path / "d.toml")

    def test_an_interpreter_is_reached_in_no_other_way(self, tmp_path: Path) -> None:
        path = tmp_path / "tflite-micro.toml"
        path.write_text('description = "d"\ninterpreter = "tflite_micro"')
        assert find_device(str(path)).max_pictures == 100
        path.write_text('description = "d"\ninterpreter = "tflite_micro"\nhost = "h"')
        with pytest.raises(EdgeproofError, match="key 'host'"):
            read_device(path)
        path.write_text('description = "d"\nhost = "h"')
        with pytest.raises(EdgeproofError, match="key 'interpreter': found ''"):
            read_device(path)

    def test_a_browser_is_reached_in_no_other_way_and_answers_1000_pictures(self, tmp_path: Path) -> None:
        path = tmp_path / "kiosk.toml"
        path.write_text('description = "d"\nbrowser = ["chromium"]')
        device = find_device(str(path))
        assert (device.times_count, device.max_pictures) == (True, 1000)
        path.write_text('description = "d"\nbrowser = ["chromium"]\nhost = "h"')
        with pytest.raises(EdgeproofError, match="key 'host'"):
            read_device(path)

    def test_one_that_only_says_how_to_recognise_a_machine_cannot_be_measured_on(self, tmp_path: Path) -> None:
        (tmp_path / "d.toml").write_text('description = "a laptop"\n[match]\ncpu = "*Celeron*"')
        with pytest.raises(EdgeproofError, match=r"d\.toml: has a \[match\] and no host: .* add a host"):
            find_device(str(tmp_path / "d.toml"))

    @pytest.mark.parametrize(
        ("names", "found"),
        [("pdp11", "unknown device 'pdp11'"), ("pi4,pi4", "each once"), (",", "expected names"), ("host", "host")],
    )
    def test_an_unknown_device_is_code_2_before_anything_is_measured(self, tmp_path: Path, names: str, found: str) -> None:
        result = run_module("bench", "run", READY, "--device", names, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line
        assert list(tmp_path.iterdir()) == []

    def test_a_keras_file_is_for_no_device(self, tmp_path: Path) -> None:
        result = run_module("bench", "run", READY, "--device", "pi4", "--runtime", "keras", cwd=tmp_path)
        assert result.code == 2
        assert "none of the given files runs on a device" in result.error_line
