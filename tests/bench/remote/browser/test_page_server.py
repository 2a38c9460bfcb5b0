"""The server of pages: who it answers, and what it takes."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bench.remote.browser import visit as visits
from bench.remote.browser.page_server import PageServer, serving
from bench.remote.browser.visit import Task, Visit


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    (tmp_path / "node_modules" / "a").mkdir(parents=True)
    (tmp_path / "node_modules" / "a" / "a.mjs").write_text("export {}")
    (tmp_path / "secret").write_text("secret")
    with serving(tmp_path / "node_modules") as running:
        yield running


@pytest.fixture
def visit(server: PageServer, tmp_path: Path) -> Iterator[Visit]:
    (tmp_path / "m.tflite").write_bytes(b"model")
    tensors = [np.full((1, 2, 2, 1), number, np.uint8) for number in range(5)]
    awaited = Visit(Task("litert_web", tmp_path / "m.tflite", tensors, 5, 3, 10, 1, 0.1, 4))
    with server.awaiting(awaited):
        yield awaited


def ask(
    server: PageServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


@pytest.mark.parametrize("path", ["/", "/task", "/x/task", "/x/result", "/../secret", "//task"])
@pytest.mark.usefixtures("visit")
def test_nobody_is_answered_without_the_token(server: PageServer, path: str) -> None:
    assert ask(server, path)[0] == 404
    assert ask(server, path, "POST", b"{}")[0] == 404


def test_a_result_of_somebody_else_is_refused_and_the_page_is_still_awaited(server: PageServer, visit: Visit) -> None:
    other = Visit(visit.task)  # as of a page before
    assert ask(server, f"/{other.token}/result", "POST", b"{}")[0] == 404
    assert ask(server, f"/{visit.token}/result", "POST", b"{}")[0] == 200


def test_a_name_that_was_bent_to_this_machine_is_not_answered(server: PageServer, visit: Visit) -> None:
    assert ask(server, f"/{visit.token}/task", Host="evil.example")[0] == 404


def test_a_page_posts_once(server: PageServer, visit: Visit) -> None:
    assert ask(server, f"/{visit.token}/result", "POST", b"{}")[0] == 200
    assert ask(server, f"/{visit.token}/result", "POST", b"{}")[0] == 409


def test_a_result_that_is_too_long_is_refused_before_it_is_read(server: PageServer, visit: Visit) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.putrequest("POST", f"/{visit.token}/result")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()
        assert connection.getresponse().status == 413


@pytest.mark.parametrize("name", ["npm/../secret", "npm/%2e%2e/secret", "npm//etc/passwd", "npm/", "tensors/x", "page.py"])
def test_no_other_file_of_this_machine_is_sent(server: PageServer, visit: Visit, name: str) -> None:
    assert ask(server, f"/{visit.token}/{name}")[0] == 404


@pytest.mark.parametrize("name", ["", "device.js", "litert_web.js", "npm/a/a.mjs", "model", "task", "tensors/0"])
def test_everything_is_isolated(server: PageServer, visit: Visit, name: str) -> None:
    status, headers, _ = ask(server, f"/{visit.token}/{name}")
    assert status == 200
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"


def test_scripts_and_packages_have_types_that_a_browser_runs(server: PageServer, visit: Visit) -> None:
    for name in ("device.js", "npm/a/a.mjs"):
        assert ask(server, f"/{visit.token}/{name}")[1]["Content-Type"] == "text/javascript"


def test_tensors_come_in_shards(server: PageServer, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "SHARD_BYTES", 8)
    assert visit.task.to_json()["at_a_time"] == 2
    assert ask(server, f"/{visit.token}/tensors/2")[2] == b"\2\2\2\2\3\3\3\3"
    assert ask(server, f"/{visit.token}/tensors/4")[2] == b"\4\4\4\4"
    assert ask(server, f"/{visit.token}/tensors/9")[2] == b""


def test_model_and_packages_are_what_a_page_downloads(server: PageServer, visit: Visit, tmp_path: Path) -> None:
    for name in ("model", "npm/a/a.mjs", "npm/a/a.mjs", "device.js", "tensors/0"):
        ask(server, f"/{visit.token}/{name}")
    assert visit.fetched == {tmp_path / "m.tflite": 5, tmp_path / "node_modules/a/a.mjs": 9}


def test_no_label_of_the_model_reaches_the_page(visit: Visit) -> None:
    assert set(visit.task.to_json()) == {
        "runtime", "input_shape", "input_type", "answers", "timed", "at_a_time", "threads", "seconds", "blocks",
        "accelerator", "disabled_optimizers",
    }  # fmt: skip
