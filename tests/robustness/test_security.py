"""What SECURITY.md promises: untrusted input is only read. It is never run, and its paths are not followed."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bench.artifacts.find import find_artifacts
from bench.machine import environment
from bench.remote.ssh import OPTIONS, Address
from device.card import Card
from device.errors import CardError, EdgeproofError
from device.formats.model_file import read_card, split_card
from device.safe_text import printable
from tests.conftest import ROOT, classify, run, run_module
from tests.support.models.model_files import ENVIRONMENT, model
from tests.support.packages import MODULES

READY = ROOT / "data" / "ready" / "mnist_cnn_crop.int8.tflite"
PICTURE = next((ROOT / "data" / "ready" / "pictures" / "7").iterdir())
RUNS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "__import__",
}
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
VALUE = "hunter2-the-value"  # of environment variables that are nobody's business


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == name), None)


class TestNoCode:
    @pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_no_room_reads_what_could_run_code(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        names = {
            alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not names & RUNS_CODE
        for call in calls(path):
            name = ast.unparse(call.func)
            assert name not in FORBIDDEN_CALLS, f"line {call.lineno}"
            assert keyword(call, "shell") in (None, "False"), f"line {call.lineno}"
            if name == "np.load":
                assert keyword(call, "allow_pickle") == "False", f"line {call.lineno}"
            if name.endswith("load_model") and "keras" in name:
                assert keyword(call, "safe_mode") is not None, (
                    f"line {call.lineno}: safe mode is said, not left to a default"
                )
            if "extractall" in name or name.endswith(".extract"):
                assert is_checked(path, call), f"line {call.lineno}: which archives, and by what filter?"

    def test_safe_mode_is_off_only_where_a_person_asks_for_it(self) -> None:
        off = [
            path.relative_to(ROOT).as_posix()
            for path in MODULES
            for call in calls(path)
            if keyword(call, "safe_mode") not in (None, "True")
        ]
        assert off == ["convert/importing/sources/keras_file.py"]  # --unsafe-code

    @pytest.mark.slow
    def test_code_in_a_keras_file_does_not_run(self, tmp_path: Path) -> None:
        owned = tmp_path / "owned"
        code = (
            "import keras\n"
            f"bad = lambda x: (open({str(owned)!r}, 'w').close(), x)[1]\n"
            "inputs = keras.Input((28, 28, 1))\n"
            "x = keras.layers.Lambda(bad, output_shape=(28, 28, 1))(inputs)\n"
            "keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))).save('m.keras')\n"
            "import os\n"
            "keras.models.load_model('m.keras', safe_mode=False)(keras.ops.zeros((1, 28, 28, 1)))\n"
            f"os.unlink({str(owned)!r})\n"  # it does run where safe mode is off
        )
        made = run(["-c", code], tmp_path)
        assert made.code == 0, made.stderr
        card = document(READY)
        provenance = {**card["provenance"], "source_sha256": hashlib.sha256((tmp_path / "m.keras").read_bytes()).hexdigest()}
        (tmp_path / "m.card.json").write_text(json.dumps({**card, "labels": ["a", "b"], "provenance": provenance}))
        for command in (["convert", "run", "m.keras", "--variants", "float32.tflite"], ["bench", "run", "m.keras"]):
            done = run_module(*command, cwd=tmp_path)
            assert not owned.exists()
            assert "m.keras" in done.stdout + done.stderr
            assert done.code == 2 or "skipped" in done.stdout


def is_checked(path: Path, call: ast.Call) -> bool:
    """Say whether an archive is extracted with the safe filter. zipfile itself keeps names inside the folder."""
    tree, receiver = path.read_text(), ast.unparse(call.func).partition(".")[0]
    opened_as_zip = re.search(rf"zipfile\.ZipFile\([^\n]*\) as {receiver}:", tree)
    return keyword(call, "filter") == "'data'" or opened_as_zip is not None


def test_an_archive_that_points_outside_stays_inside(tmp_path: Path) -> None:
    """What the rule above relies on."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../../outside", "x")
        archive.writestr("/absolute", "x")
    with zipfile.ZipFile(tmp_path / "bad.zip") as archive:
        archive.extractall(tmp_path / "in")  # noqa: S202  # that is the question
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"outside", "absolute"}
    assert {path.name for path in tmp_path.iterdir()} == {"bad.zip", "in"}


def document(path: Path) -> dict[str, Any]:
    card = read_card(path)
    assert card is not None
    return dict(card.document)


def with_card(path: Path, target: Path, **changes: Any) -> Path:
    """Write a model whose card has other values, as anybody can."""
    own, _ = split_card(path, path.read_bytes())
    target.write_bytes(own)
    text = json.dumps({**document(path), **changes, "model_sha256": hashlib.sha256(own).hexdigest()})
    with zipfile.ZipFile(target, mode="a") as archive:
        archive.writestr("edgeproof/card.json", text)
    return target


HOSTILE_NAMES = ["../x", "a/b", "..", ".hidden", "a\\b", "", ESCAPE, "a\nb", "a\x00b", "\ud800", "\u202eexe"]


class TestNames:
    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    @pytest.mark.parametrize("field", ["model", "variant", "name"])
    def test_a_card_whose_names_are_none_is_refused(self, field: str, name: str) -> None:
        with pytest.raises(CardError, match=f"card field {field}"):
            Card.from_json({**document(READY), field: name})

    @pytest.mark.parametrize("label", [ESCAPE, "a\nb", "\x9b2J", "\ud800", "a\u2028b", "\u202etxt"])
    def test_a_label_that_a_terminal_would_obey_is_refused(self, label: str) -> None:
        with pytest.raises(CardError, match=r"card field labels\[9\].*control characters"):
            Card.from_json({**document(READY), "labels": [*"012345678", label]})

    @pytest.mark.parametrize("label", ["naïve café", "дом", "数字", "שלום", "👩‍🚒", "a;b", "<script>", "$(x)", "`x`", "a b"])
    def test_a_label_in_any_script_is_taken(self, label: str) -> None:
        card = Card.from_json({**document(READY), "labels": [*"012345678", label]})
        assert card.labels[9] == label
        assert printable(label) == label

    @pytest.mark.parametrize("changes", [{"model": ESCAPE}, {"variant": ESCAPE}, {"labels": [ESCAPE] * 10}])
    @pytest.mark.parametrize("command", ["classify", "show", "check", "bench"])
    def test_no_command_prints_an_escape_sequence_of_a_card(
        self, tmp_path: Path, command: str, changes: dict[str, Any]
    ) -> None:
        path = with_card(READY, tmp_path / "m.int8.tflite", **changes)
        if command == "classify":
            done = classify(path, PICTURE, cwd=tmp_path)
        elif command == "bench":
            done = run_module("bench", "run", path, cwd=tmp_path)
        else:
            done = run_module("convert", command, path, cwd=tmp_path)
        assert "\x1b" not in done.stdout + done.stderr
        if command != "check":  # which reads operations alone
            assert done.code == 2
            assert "control characters" in done.error_line or "expected a name" in done.error_line

    def test_labels_from_a_file_are_refused_too(self, tmp_path: Path) -> None:
        own, _ = split_card(READY, READY.read_bytes())
        (tmp_path / "m.tflite").write_bytes(own)
        (tmp_path / "labels.txt").write_text("\n".join(["\x1b[31mred"] * 10))
        done = classify("m.tflite", "--labels", "labels.txt", PICTURE, cwd=tmp_path)
        assert done.code == 2
        assert "labels.txt: label 0" in done.error_line
        assert "\x1b" not in done.stdout + done.stderr

    def test_names_of_pictures_are_written_out(self, tmp_path: Path) -> None:
        picture, broken = tmp_path / "a\x1b[2Jb.jpg", tmp_path / "a\x1b[2Jc.jpg"
        shutil.copy(PICTURE, picture)
        broken.write_text("none")
        done = classify(READY, picture, broken, cwd=tmp_path)
        assert done.code == 1
        assert "\x1b" not in done.stdout + done.stderr
        assert r"a\x1b[2Jb.jpg" in done.stdout
        assert r"a\x1b[2Jc.jpg" in done.stderr

    def test_a_name_that_is_not_utf_8_is_written_out(self, tmp_path: Path) -> None:
        name = os.fsdecode(b"\xff7.jpg")
        shutil.copy(PICTURE, tmp_path / name)
        done = classify(READY, name, cwd=tmp_path)
        assert done.code == 0, done.stderr
        assert r"\udcff7.jpg" in done.stdout

    def test_a_device_that_speaks_escape_sequences_is_written_out(self) -> None:
        from bench.remote.side_by_side import _voice

        said: list[str] = []
        _voice(said.append, "pi4")(ESCAPE)
        assert said == [r"[pi4] \x1b]0;owned\x07\x1b[2J"]

    def test_a_librarys_reason_is_written_out(self) -> None:
        from bench.measure.worker_pool import reason

        assert reason(f"x\nedgeproof: no operation {ESCAPE}\n") == r"no operation \x1b]0;owned\x07\x1b[2J"

    @pytest.mark.parametrize("name", ["../x", ESCAPE, "a\nb", ".x"])
    def test_results_whose_names_are_none_are_refused(self, tmp_path: Path, name: str) -> None:
        saved = json.loads((ROOT / "data" / "baseline" / "bench.json").read_text())
        saved["measurements"][0]["model"] = name
        shutil.copy(ROOT / "data" / "baseline" / "bench.npz", tmp_path / "bench.npz")
        (tmp_path / "bench.json").write_text(json.dumps(saved))
        done = run_module("bench", "report", "bench.json", cwd=tmp_path)
        assert done.code == 2
        assert "measurements[0].model" in done.error_line
        assert "\x1b" not in done.stdout + done.stderr

    def test_a_models_name_runs_nothing_in_the_installer(self, tmp_path: Path) -> None:
        path = tmp_path / "x;touch owned;$(touch owned).int8.tflite"
        shutil.copy(READY, path)
        done = run_module("convert", "bundle", path, "--target", "pi4_bookworm", "--output", "b.tar.gz", cwd=tmp_path)
        assert done.code == 0, done.stderr
        with tarfile.open(tmp_path / "b.tar.gz") as archive:
            archive.extractall(tmp_path / "out", filter="data")
        line = (tmp_path / "out" / "b" / "install.sh").read_text().splitlines()[-1]
        (tmp_path / "venv" / "bin").mkdir(parents=True)
        (tmp_path / "venv" / "bin" / "python").symlink_to("/bin/echo")
        said = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert said == f"classify.py {path.name} --self-test\n"
        assert not (tmp_path / "owned").exists()

    def test_a_models_name_leads_out_of_no_baseline(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="card field model"):
            find_artifacts([with_card(READY, tmp_path / "m.tflite", model="../../x")])
        assert not list(tmp_path.parent.glob("x"))


class TestSsh:
    def test_host_keys_are_checked_and_passwords_never_asked_for(self) -> None:
        assert OPTIONS["StrictHostKeyChecking"] == "yes"
        assert OPTIONS["BatchMode"] == "yes"
        assert OPTIONS["ClearAllForwardings"] == "yes"
        assert "UserKnownHostsFile" not in OPTIONS  # a person's own, unless the device's file names one

    def test_a_host_is_never_taken_for_an_option_or_a_command(self) -> None:
        words = Address("d", "-oProxyCommand=touch owned", user="pi").command
        assert words[-2:] == ["--", "-oProxyCommand=touch owned"]


class TestSecrets:
    @pytest.mark.slow
    def test_no_result_and_no_log_holds_an_environment_variable(self, tmp_path: Path) -> None:
        options = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", "bench.json"]
        secrets = dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_PASSWORD"), VALUE)
        done = run(
            ["-m", "bench", "run", model(tmp_path, "healthy"), model(tmp_path, "crashing"), *options],
            tmp_path,
            **ENVIRONMENT,
            **secrets,
        )
        assert done.code == 1
        assert VALUE not in done.stdout + done.stderr
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {"bench.json", "bench.npz", "history.jsonl", "report.html", "report.md"} <= {path.name for path in written}
        for path in written:
            data = path.read_bytes()
            if path.suffix == ".npz":
                with zipfile.ZipFile(path) as archive:
                    data = b"".join(archive.read(name) for name in archive.namelist())
            assert VALUE.encode() not in data, path

    def test_what_is_told_of_a_machine_is_this_list_and_no_more(self) -> None:
        assert set(environment.describe().to_json()) <= {
            "host",
            "cpu",
            "cpu_flags",
            "cores",
            "memory_bytes",
            "os",
            "python",
            "governor",
            "git_commit",
            "edgeproof",
            "health",
        }

    def test_a_key_is_named_and_never_read(self) -> None:
        for path in MODULES:
            if path.name != "loopback.py":  # which makes keys of its own
                assert "PRIVATE KEY" not in path.read_text()
        assert not [path for path in MODULES if re.search(r"\.key\)?\.(read_|open)", path.read_text())]


class TestLock:
    @pytest.mark.parametrize("name", ["requirements.lock", "requirements-gpu.lock"])
    def test_every_requirement_is_exact_and_has_hashes(self, name: str) -> None:
        text = (ROOT / name).read_text().replace("\\\n", " ")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        assert len(lines) > 20
        for line in lines:
            assert re.match(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==[^ ]+ ", line), line
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line

    def test_make_installs_by_hash_alone(self) -> None:
        text = (ROOT / "Makefile").read_text()
        installs = re.findall(r"-m pip install[^\n]*-r [^\n]*", text)
        assert installs
        assert all("--require-hashes" in line for line in installs)


def test_no_file_names_a_package_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "http" not in lock
    assert "--hash=sha256:" in lock
