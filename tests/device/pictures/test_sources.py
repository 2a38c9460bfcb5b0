"""Where `classify.py` takes pictures from, what it says about a model, and how it starts."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT, Tiny, classify, run

CLASSIFY = ROOT / "device" / "classify.py"


def files_of(stdout: str) -> list[str]:
    return [json.loads(line)["file"] for line in stdout.splitlines()]


class TestInputs:
    def test_a_folder_is_its_pictures_at_any_depth_in_order(self, tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
        folder = tmp_path / "my pictures ä"
        for name in ("b.png", "a.PNG", "deep/c.png"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(digit_png, folder / name)
        (folder / "notes.txt").write_text("no picture")
        result = classify(tiny.artifact("int8.tflite"), "--json", folder, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert files_of(result.stdout) == [str(folder / name) for name in ("a.PNG", "b.png", "deep/c.png")]

    def test_a_pattern_that_no_shell_expanded_is_its_matches_and_a_file_of_that_name_comes_first(
        self, tiny: Tiny, digit_png: Path, tmp_path: Path
    ) -> None:
        for name in ("1.png", "2.png", "[1].png"):
            shutil.copy(digit_png, tmp_path / name)
        result = classify(tiny.artifact("int8.tflite"), "--json", "?.png", "[1].png", cwd=tmp_path)
        assert files_of(result.stdout) == ["1.png", "2.png", "[1].png"]

    @pytest.mark.parametrize(("name", "found"), [("empty", "is a folder without pictures"), ("no*.png", "no such file")])
    def test_a_folder_or_pattern_without_pictures_is_said(self, tiny: Tiny, tmp_path: Path, name: str, found: str) -> None:
        (tmp_path / "empty").mkdir()
        result = classify(tiny.artifact("int8.tflite"), name, cwd=tmp_path)
        assert result.code == 1
        assert found in result.error_line

    def test_a_picture_on_standard_input_is_answered_as_its_file(self, tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
        model = tiny.artifact("int8.tflite")
        by_name = classify(model, "--json", digit_png, cwd=tmp_path).stdout
        command = [sys.executable, str(CLASSIFY), str(model), "--json", "-"]
        piped = subprocess.run(command, input=digit_png.read_bytes(), capture_output=True, timeout=120, check=True).stdout
        assert json.loads(piped)["file"] == "-"
        assert json.loads(piped)["top"] == json.loads(by_name)["top"]

    @pytest.mark.parametrize(("sent", "says"), [(b"", b"standard input is closed or empty"), (b"text", b"not a picture")])
    def test_standard_input_that_is_no_picture_is_code_1(self, tiny: Tiny, sent: bytes, says: bytes) -> None:
        command = [sys.executable, str(CLASSIFY), str(tiny.artifact("int8.tflite")), "-"]
        result = subprocess.run(command, input=sent, capture_output=True, timeout=120, check=False)
        assert result.returncode == 1
        assert b"-: " + says in result.stderr


PICAMERA2 = """
import numpy as np
from PIL import Image
class Picamera2:
    def __init__(self, number):
        if number > 0: raise IndexError("list index out of range")
    def create_video_configuration(self, main):
        assert main["format"] == "RGB888"
        return main
    def configure(self, configuration): pass
    def start(self): pass
    def capture_array(self, stream):
        import os, time
        time.sleep(0.05)  # a camera has its pace
        return np.asarray(Image.open(os.environ["SCENE"]).convert("RGB"))[:, :, ::-1]  # B, G, R, as the real one
    def stop(self): pass
    def close(self): print("CLOSED", flush=True)
"""

CV2 = (
    PICAMERA2.replace("Picamera2", "VideoCapture")
    .replace("capture_array(self, stream)", "read(self)")
    .replace("return np.asarray", "return True, np.asarray")
    .replace("close(self)", "release(self)")
)

NO_MODULE = "raise ImportError('not here')"


def with_cameras(folder: Path, picamera2: str, cv2: str, scene: Path) -> dict[str, str]:
    (folder / "picamera2.py").write_text(picamera2)
    (folder / "cv2.py").write_text(cv2)
    return {**os.environ, "PYTHONPATH": str(folder), "SCENE": str(scene)}


@pytest.fixture(scope="session")
def orange_and_blue(tmp_path_factory: pytest.TempPathFactory, digit_png: Path) -> Path:
    """Return a digit in a colour whose luma depends on the order of the channels: saturated blue on black."""
    gray = Image.open(digit_png)
    black = Image.new("L", gray.size)
    path = tmp_path_factory.mktemp("scene") / "blue.png"
    Image.merge("RGB", (black, black, gray)).save(path)
    return path


class TestCamera:
    @pytest.mark.parametrize(("picamera2", "cv2"), [(PICAMERA2, NO_MODULE), (NO_MODULE, CV2)], ids=["picamera2", "opencv"])
    def test_frames_are_json_lines_in_the_right_colours_and_the_camera_is_let_go(
        self, tiny: Tiny, orange_and_blue: Path, tmp_path: Path, picamera2: str, cv2: str
    ) -> None:
        environment = with_cameras(tmp_path, picamera2, cv2, orange_and_blue)
        model = tiny.artifact("float32.tflite")
        result = run([CLASSIFY, model, "--camera", "--frames", "2"], tmp_path, **environment)
        assert result.code == 0, result.stderr
        lines = result.stdout.splitlines()
        assert lines.pop() == "CLOSED"
        assert files_of("\n".join(lines)) == ["camera0#0", "camera0#1"]
        as_file = json.loads(classify(model, "--json", orange_and_blue, cwd=tmp_path).stdout)
        assert [json.loads(line)["top"] for line in lines] == [as_file["top"]] * 2

    def test_ctrl_c_ends_it_cleanly(self, tiny: Tiny, orange_and_blue: Path, tmp_path: Path) -> None:
        environment = with_cameras(tmp_path, PICAMERA2, NO_MODULE, orange_and_blue)
        command = [sys.executable, str(CLASSIFY), str(tiny.artifact("int8.tflite")), "--camera"]
        with subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert rest.splitlines()[-1] == "CLOSED"
        assert "Traceback" not in errors

    def test_a_camera_that_is_not_there_is_one_line_and_code_1(
        self, tiny: Tiny, orange_and_blue: Path, tmp_path: Path
    ) -> None:
        environment = with_cameras(tmp_path, PICAMERA2, NO_MODULE, orange_and_blue)
        result = run([CLASSIFY, tiny.artifact("int8.tflite"), "--camera", "3"], tmp_path, **environment)
        assert result.code == 1
        assert "camera 3" in result.error_line

    def test_without_a_camera_library_it_says_what_to_install(
        self, tiny: Tiny, orange_and_blue: Path, tmp_path: Path
    ) -> None:
        environment = with_cameras(tmp_path, NO_MODULE, NO_MODULE, orange_and_blue)
        result = run([CLASSIFY, tiny.artifact("int8.tflite"), "--camera"], tmp_path, **environment)
        assert result.code == 2
        assert "python3-picamera2" in result.error_line


class TestInfo:
    @pytest.mark.parametrize("key", ["int8.tflite", "float32.onnx"])
    def test_says_what_the_model_is_and_what_opens_it(self, tiny: Tiny, key: str) -> None:
        result = classify(tiny.artifact(key), "--info", "--json", cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        said = json.loads(result.stdout)
        assert (said["model"], said["input"], said["labels"]) == ("mnist_cnn", [28, 28, 1], list("0123456789"))
        assert said["runtime"] == {"tflite": "litert", "onnx": "onnxruntime"}[key.partition(".")[2]]
        assert said["runtime_version"][0].isdigit()
        assert "mnist_cnn" in classify(tiny.artifact(key), "--info", cwd=tiny.workspace).stdout


class TestBench:
    @pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
    def test_keeps_every_sample_in_nanoseconds(self, tiny: Tiny, digit_png: Path, key: str) -> None:
        options = ["--bench", "--json", "--queries", "100", "--seconds", "0"]
        result = classify(tiny.artifact(key), digit_png, *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        said = json.loads(result.stdout)
        assert len(said["latency_ns"]) == 100
        assert min(said["latency_ns"]) > 0
        assert len(said["startup_ns"]) == 4
        assert said["peak_rss_bytes"] > 10_000_000
        assert said["warmup_calls"] > 0

    def test_without_pictures_it_takes_those_inside_the_model(self, tiny: Tiny) -> None:
        result = classify(tiny.artifact("int8.tflite"), "--bench", "--seconds", "0", cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        assert "p50" in result.stdout

    def test_pictures_that_cannot_be_used_are_said(self, tiny: Tiny, tmp_path: Path) -> None:
        result = classify(tiny.artifact("int8.tflite"), "--bench", ROOT / "README.md", cwd=tmp_path)
        assert result.code == 2
        assert "no usable picture" in result.error_line


def test_classifying_a_tflite_imports_nothing_that_a_bare_script_would_not_but_what_it_uses(
    tiny: Tiny, digit_png: Path
) -> None:
    # Start-up is imports: these are the expensive ones that crept in before, and that a picture does not need.
    code = (
        "import sys\n"
        "from device.command_line import main\n"
        f"assert main([{str(tiny.artifact('int8.tflite'))!r}, {str(digit_png)!r}]) == 0\n"
        "print('LOADED', sorted({'importlib.metadata', 'email', 'cv2', 'picamera2', 'onnxruntime', 'asyncio', 'unittest'}"
        " & set(sys.modules)))"
    )
    result = run(["-c", code], ROOT)
    assert "LOADED []" in result.stdout, result.stdout + result.stderr
