"""A bundle: everything that a device needs in one file, the same bytes each time, installed by one command."""

import hashlib
import importlib.metadata
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from bench.remote.emulation.device import NotHere, find_emulated
from bench.remote.emulation.overlay import fill
from bench.remote.emulation.qemu import find_emulator
from bench.remote.emulation.user_space import find_user_space
from convert.deployment.bundle import Bundle, packed, write_bundle
from convert.deployment.target import Target, find_target, target_names, wheels
from convert.deployment.wheelhouse import download, requirements
from device.errors import CheckFailed, EdgeproofError
from tests.conftest import Finished, Tiny, needs_tflite_runtime, run_module

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = Target("here", "This machine", architecture="x86_64", bits=64, python=VERSION, glibc="2.31")
DEVICES = [name for name in target_names() if find_target(name).architecture]


def bundle(tiny: Tiny, folder: Path, target: str | Target = "pi4_bookworm", key: str = "int8.tflite") -> Bundle:
    chosen = find_target(target) if isinstance(target, str) else target
    return write_bundle(tiny.artifact(key), chosen, folder / "b.tar.gz", with_wheels=False)


def unpacked(path: Path, folder: Path) -> Path:
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return folder / path.name.removesuffix(".tar.gz")


def install(folder: Path, **environment: str) -> Finished:
    environ = {**os.environ, "PYTHON": sys.executable, **environment}
    result = subprocess.run(["sh", "./install.sh"], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return Finished(result.returncode, result.stdout, result.stderr)


class TestWhatIsInside:
    def test_is_the_program_the_artifact_exact_requirements_and_checksums(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = unpacked(bundle(tiny, tmp_path).path, tmp_path)
        names = {path.name for path in folder.iterdir()}
        own = {"classify.py", "classify.pyz", "requirements.txt", "README", "install.sh", "SHA256SUMS"}
        assert names == own | {"mnist_cnn.int8.tflite"}
        assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in (folder / "requirements.txt").read_text().splitlines())
        assert len((folder / "README").read_text().splitlines()) == 5
        for line in (folder / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest

    def test_is_the_same_bytes_each_time(self, tiny: Tiny, tmp_path: Path) -> None:
        first = bundle(tiny, tmp_path).path.read_bytes()
        os.utime(tiny.artifact("int8.tflite"))
        assert bundle(tiny, tmp_path).path.read_bytes() == first

    def test_holds_names_of_any_length(self) -> None:
        name, folder = f"{'n' * 180}.tflite", "f" * 120
        with tarfile.open(fileobj=io.BytesIO(packed({name: b"model"}, folder))) as archive:
            assert archive.getnames() == [f"{folder}/{name}"]

    def test_leaves_numpy_and_pillow_to_debian_where_there_are_no_wheels(self, tiny: Tiny, tmp_path: Path) -> None:
        done = bundle(tiny, tmp_path, "pi_zero_2w")
        assert done.requirements == ("tflite-runtime==2.14.0",)
        folder = unpacked(done.path, tmp_path)
        assert "sudo apt install python3-numpy python3-pil" in (folder / "README").read_text()
        assert "--system-site-packages" in (folder / "install.sh").read_text()

    @pytest.mark.parametrize("name", DEVICES)
    def test_has_a_pin_for_all_that_the_wheels_of_a_device_need(self, name: str) -> None:
        target = find_target(name)
        for wheel in wheels():
            if target.misfit(wheel) is None:
                assert wheel.requirement in requirements(target, wheel)

    @pytest.mark.parametrize(
        "wheel",
        [
            pytest.param(wheel, marks=needs_tflite_runtime if wheel.distribution == "tflite-runtime" else ())
            for wheel in wheels()
        ],
        ids=lambda wheel: wheel.distribution,
    )
    def test_names_the_same_needs_as_the_installed_packages_do(self, wheel: "object") -> None:
        from convert.deployment.target import Wheel

        assert isinstance(wheel, Wheel)
        found: set[str] = set()
        open_names = [wheel.distribution]
        while open_names:
            for line in importlib.metadata.requires(open_names.pop()) or []:
                name = re.split(r"[ <>=!;\[]", line, maxsplit=1)[0]
                if "extra" not in line and "Windows" not in line and name not in found:
                    found.add(name)
                    open_names.append(name)
        assert {name.replace("_", "-") for name in found} == set(wheel.needs)


def refusal_of(target: str) -> str:
    """Return what the installer of a 64-bit ARM device prints on this machine: it checks Python first."""
    python = find_target(target).python
    return "made for aarch64" if python == VERSION else f"expected {python} of 64"


class TestInstalling:
    def test_refuses_a_damaged_file(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = unpacked(bundle(tiny, tmp_path).path, tmp_path)
        (folder / "mnist_cnn.int8.tflite").write_bytes(b"cut")
        result = install(folder)
        assert result.code == 2
        assert "a file is damaged" in result.stderr

    @pytest.mark.parametrize(
        ("target", "found"),
        [("pi4_bookworm", refusal_of("pi4_bookworm")), ("pi5_trixie", refusal_of("pi5_trixie")), ("pi_zero_2w", "of 32")],
    )
    def test_refuses_another_device(self, tiny: Tiny, tmp_path: Path, target: str, found: str) -> None:
        result = install(unpacked(bundle(tiny, tmp_path, target).path, tmp_path))
        assert result.code == 2
        assert found in result.stderr

    @pytest.mark.slow
    def test_works_offline_with_wheels_and_ends_with_the_self_test(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("convert.deployment.bundle.WHEELS", tmp_path / "kept")
        done = write_bundle(tiny.artifact("int8.tflite"), HERE, tmp_path / "b.tar.gz", with_wheels=True)
        assert done.wheels == len(done.requirements)
        folder = unpacked(done.path, tmp_path)
        offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
        result = install(folder, **offline, http_proxy="127.0.0.1:9", https_proxy="127.0.0.1:9")
        assert result.code == 0, result.stderr
        assert result.stdout.splitlines()[-1].startswith("PASS")


# What Debian's python3-venv would make, for a Python that runs under QEMU: one that sees its own packages alone (-S), and
# pip, which is the same files on every machine.
EMULATED_PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin" "$3/site"
    here=$(cd "$3" && pwd)
    sed -e "s|^folder=.*|folder=$here/site|" "$0" > "$3/bin/python"
    chmod +x "$3/bin/python"
    exit 0
fi
folder=
exec env QEMU_SET_ENV="PYTHONPATH=$folder:{pip},PIP_TARGET=$folder" {qemu} -S "$@"
"""


class TestInstallingOnADevice:
    @pytest.mark.slow
    def test_an_aarch64_python_without_a_network_installs_the_wheels_and_the_model_proves_itself(
        self, tiny: Tiny, tmp_path: Path
    ) -> None:
        device = find_emulated("emulated-pi4")
        try:
            space, emulator = find_user_space(device), find_emulator(device.qemu)
        except NotHere as absent:
            pytest.skip(str(absent))
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            pytest.skip("the network can be cut off by root alone: run the tests as root")
        done = write_bundle(tiny.artifact("int8.tflite"), device.target, tmp_path / "b.tar.gz", with_wheels=True)
        folder, tools = unpacked(done.path, tmp_path), tmp_path / "tools"
        shutil.copytree(Path(str(importlib.metadata.distribution("pip").locate_file("pip"))), tools / "pip")
        fill(tmp_path / "root", device, space)
        command = emulator.command(device, space, tmp_path / "root", emulator.hidden)
        settings = [f"{name}={value}" for name, value in emulator.environment.items()]
        python = EMULATED_PYTHON.format(pip=tools, qemu=shlex.join([*settings, *command]))
        for name, text in (("python", python), ("uname", "#!/bin/sh\necho aarch64\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        environment = {**os.environ, "PYTHON": str(tools / "python"), "PATH": f"{tools}:{os.environ['PATH']}"}
        result = subprocess.run(
            ["unshare", "--net", "sh", "./install.sh"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1].startswith("PASS")
        installed = {path.name.rsplit(".dist-info")[0] for path in (folder / "venv" / "site").glob("*.dist-info")}
        assert len(installed) == len(done.requirements)


class TestRefusals:
    def test_what_does_not_run_on_the_target_is_not_packed(self, tiny: Tiny, tmp_path: Path) -> None:
        with pytest.raises(CheckFailed, match="no wheel for armv7l"):
            bundle(tiny, tmp_path, "pi_zero_2w", "int8.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_a_runtime_is_no_device(self, tiny: Tiny, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="is a runtime, not a device"):
            bundle(tiny, tmp_path, "ai_edge_litert_2_3")

    def test_a_python_without_pins_is_named(self) -> None:
        target = Target("old", "", architecture="aarch64", bits=64, python="3.12", glibc="2.36")
        with pytest.raises(EdgeproofError, match=r"no \[pins.'3.12'\]"):
            requirements(target, wheels()[0])

    def test_a_wheel_that_is_there_is_not_downloaded_again(self, tmp_path: Path) -> None:
        for name in (
            "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl",
            "backports_strenum-1.2.8-py3-none-any.whl",
        ):
            (tmp_path / name).touch()
        files = download(find_target("pi3"), ["ai-edge-litert==2.3.0", "backports.strenum==1.2.8"], tmp_path)
        assert len(files) == 2


class TestCommand:
    def test_writes_beside_the_artifact_and_names_the_hash(self, tiny: Tiny, tmp_path: Path) -> None:
        shutil.copytree(tiny.folder, tmp_path / "build" / "mnist_cnn@tiny")
        result = run_module("convert", "bundle", "mnist_cnn@tiny", "--target", "pi4-bookworm", cwd=tmp_path)
        assert result.code == 0, result.stderr
        path = tmp_path / "build" / "mnist_cnn@tiny" / "mnist_cnn.int8.tflite.pi4_bookworm.tar.gz"
        assert hashlib.sha256(path.read_bytes()).hexdigest() in result.stdout

    def test_unusable_input_is_one_line_and_code_2(self, tiny: Tiny) -> None:
        for arguments, found in (
            (["mnist_cnn@tiny", "--target", "pi6"], "there are aarch64_linux"),
            (["mnist_cnn@tiny", "--variant", "int7", "--target", "pi3"], "unknown variant"),
            (["nowhere.tflite", "--target", "pi3"], "cannot be read"),
        ):
            result = run_module("convert", "bundle", *arguments, cwd=tiny.workspace)
            assert result.code == 2
            assert found in result.error_line
