"""The command `--serve`: where it listens, from which copies of the program it runs, and how it ends."""

import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from convert.deployment.one_file import NAME, device_archive, write_one_file
from device.command_line import build_parser
from device.serve.command import serve
from tests.conftest import ROOT, classify, run
from tests.support.processes import eventually, is_gone
from tests.support.served import FOUR, READY, exchange, post, request, started

PICTURE = FOUR.read_bytes()
CLASSIFY = ROOT / "device" / "classify.py"


@pytest.fixture
def copies(tmp_path: Path) -> dict[str, list[str | Path]]:
    """Return how each copy of the program is started."""
    shutil.copytree(ROOT / "device", tmp_path / "copied", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(READY, tmp_path)
    (tmp_path / NAME).write_bytes(device_archive())
    return {
        "checkout": [CLASSIFY, READY],
        "copied folder": ["-I", "copied/classify.py", READY.name],
        "archive": [NAME, READY.name],
        "one file": [write_one_file(tmp_path / READY.name)],
        "edgeproof classify": ["-P", ROOT / "edgeproof.py", "classify", READY.name],
    }


@pytest.mark.parametrize("copy", ["checkout", "copied folder", "archive", "one file", "edgeproof classify"])
def test_every_copy_of_the_program_serves_the_page_and_answers(
    copies: dict[str, list[str | Path]], tmp_path: Path, copy: str
) -> None:
    with started([*copies[copy], "--serve", "0"], tmp_path) as (_, port):
        assert b"<title>edgeproof</title>" in exchange(port, request("GET", "/")).body
        assert post(port, PICTURE).document["top"][0]["label"] == "4"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_on_request_with_the_usual_code_and_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    with started([CLASSIFY, READY, "--serve", "0"], tmp_path) as (process, port):
        child = child_of(process)
        assert post(port, PICTURE).status == 200
        process.send_signal(number)
        assert process.wait(60) == (130 if number == signal.SIGINT else -signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert eventually(lambda: is_gone(child))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def child_of(process: "subprocess.Popen[str]") -> int:
    """Return the process that works."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def data_mb(process_id: int) -> float:
    """Return how much memory of its own a process has, as --max-memory-mb counts it."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmData:")) * 1024 / 1e6


@pytest.mark.slow
def test_large_pictures_at_a_time_are_answered_or_refused_and_their_memory_is_given_back(tmp_path: Path) -> None:
    Image.new("RGBA", (7_000, 7_000)).save(tmp_path / "large.png", compress_level=1)
    large = (tmp_path / "large.png").read_bytes()
    with started([CLASSIFY, READY, "--serve", "0"], tmp_path) as (process, port), ThreadPoolExecutor(16) as pool:
        before = data_mb(child_of(process))
        assert {one.status for one in pool.map(lambda _: post(port, large), range(16))} <= {422, 503}
        assert data_mb(child_of(process)) < before + 250
        assert {one.status for one in pool.map(lambda _: post(port, PICTURE), range(16))} == {200}


def test_what_is_in_work_is_finished_before_it_ends(tmp_path: Path) -> None:
    with started([CLASSIFY, READY, "--serve", "0"], tmp_path) as (process, port):
        whole = request("POST", "/classify", PICTURE)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(whole[:-1])
            assert post(port, PICTURE).status == 200  # by now the other one is in work too
            process.send_signal(signal.SIGINT)
            connection.sendall(whole[-1:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert process.wait(60) == 130


def test_listens_at_the_loopback_address_alone_unless_told(tmp_path: Path) -> None:
    with started([CLASSIFY, READY, "--serve", "0"], tmp_path) as (process, port):
        assert listening(port) == {"0100007F"}
        assert process.poll() is None
    with started([CLASSIFY, READY, "--serve", "0", "--listen"], tmp_path) as (process, port):
        assert listening(port) == {"00000000"}
        assert process.stderr is not None
        assert process.stderr.readline() == "everybody who reaches this machine can use it, without a password\n"


def listening(port: int) -> set[str]:
    """Return the addresses, as the kernel writes them, at which somebody listens to a port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == port}


def test_a_port_in_use_is_one_line_and_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = classify(READY, "--serve", str(port), cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use: name another port" in done.error_line


def test_an_address_that_is_not_this_machines_is_one_line_and_code_2(tmp_path: Path) -> None:
    for address in ("192.0.2.1", "no such name", "a..b"):
        done = classify(READY, "--serve", "0", "--listen", address, cwd=tmp_path)
        assert done.code == 2
        assert f"cannot listen at {address}, port 0: " in done.error_line


@pytest.mark.parametrize("defect", ["missing", "cut off", "no model"])
def test_a_model_that_cannot_be_opened_is_one_line_and_code_2_and_nothing_listens(tmp_path: Path, defect: str) -> None:
    path = tmp_path / "model.tflite"
    if defect != "missing":
        path.write_bytes(READY.read_bytes()[:50_000] if defect == "cut off" else b"no model at all")
    with socket.create_server(("127.0.0.1", 0)) as taken:  # the port is not even asked for
        done = classify(path, "--serve", str(taken.getsockname()[1]), cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert "model.tflite" in done.error_line
    assert "listen" not in done.error_line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--serve", FOUR], "is no port: 0 to 65535"),
        ([FOUR, "--serve"], "--serve takes no IMAGE"),
        (["--serve", "--self-test"], "--serve and --self-test are different commands: give one of them"),
        (["--serve", "70000"], "70000 is no port: 0 to 65535"),
        (["--listen"], "name at least one IMAGE"),
        ([FOUR, "--listen"], "--listen needs --serve"),
    ],
)
def test_wrong_usage_is_code_2(tmp_path: Path, words: list[str | Path], says: str) -> None:
    done = classify(READY, *words, cwd=tmp_path)
    assert done.code == 2
    assert says in done.error_line


@pytest.mark.parametrize("missing", ["page.css", "service.py"])
def test_a_part_that_is_missing_is_said_with_what_to_copy(tmp_path: Path, missing: str) -> None:
    shutil.copytree(ROOT / "device", tmp_path / "device", ignore=shutil.ignore_patterns("__pycache__", missing))
    done = run([tmp_path / "device" / "classify.py", READY, "--serve", "0"], tmp_path, PYTHONPATH="")
    assert done.code == 2
    assert missing.partition(".")[0] in done.error_line
    assert "copy the whole folder device/" in done.error_line


def test_a_model_that_does_not_run_is_said_before_anything_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from device.errors import ModelError
    from device.runtimes import TfliteSession

    def fail(*_: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TfliteSession, "infer", fail)
    with pytest.raises(ModelError, match="cannot run the model: no such operation"):
        serve(build_parser().parse_args([str(READY), "--serve", "0"]))
    assert capsys.readouterr().out == ""


def test_nothing_of_it_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys; from device.command_line import main\n"
        f"main([{str(READY)!r}, {str(FOUR)!r}])\n"
        "print('LOADED', sorted(name for name in sys.modules if name.startswith(('device.serve', 'http', 'socketserver'))))"
    )
    assert "LOADED []" in run(["-c", code], tmp_path).stdout


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid", "not an address"])
def test_an_address_that_is_not_this_machines_is_no_matter_of_the_port(tmp_path: Path, address: str) -> None:
    done = run([CLASSIFY, READY, "--serve", "0", "--listen", address], tmp_path)
    assert done.code == 2
    assert f"cannot listen at {address}, port 0: " in done.error_line
    assert done.error_line.endswith("give --listen an address of this machine, or no ADDRESS for all of them")
