"""What the server answers to requests, good and bad, and what they may cost."""

import base64
import io
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from device.card import Card
from device.errors import ModelError
from device.inference import Answer, classify
from device.preprocessing.prepare import prepare, read_picture
from device.runtimes import Session
from device.serve.limits import Limits
from device.serve.service import Service
from tests.conftest import classify as run_classify
from tests.robustness.corpus.pictures import pictures
from tests.support.served import FOUR, PATIENCE_S, READY, exchange, post, read_answer, request, service_of, serving

PICTURE = FOUR.read_bytes()
CROWD = 1_000
SHORT = Limits(body_bytes=200_000, pixels=1_000_000, pictures=2, connections=4, silence_s=0.3, request_s=0.8)


@pytest.fixture(scope="module")
def service() -> Service:
    return service_of()


@pytest.fixture(scope="module")
def port(service: Service) -> Iterator[int]:
    with serving(service) as number:
        yield number


@pytest.fixture(scope="module")
def impatient() -> Iterator[int]:
    """Return the port of a server with small limits."""
    with serving(service_of(limits=SHORT)) as number:
        yield number


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class TestAnswer:
    def test_is_that_of_the_command_with_json(self, port: int, tmp_path: Path) -> None:
        printed = json.loads(run_classify(READY, FOUR, "--json", cwd=tmp_path).stdout)
        answered = post(port, PICTURE)
        assert (answered.status, answered.headers["content-type"]) == (200, "application/json")
        assert answered.document.keys() == printed.keys()
        assert answered.document["file"] == "-"
        assert answered.document["top"] == printed["top"]
        assert answered.document["latency_ms"].keys() == printed["latency_ms"].keys()

    def test_of_a_picture_without_a_digit_is_that_of_the_command_too(self, port: int, tmp_path: Path) -> None:
        blank = png(Image.new("L", (200, 200), 255))
        (tmp_path / "blank.png").write_bytes(blank)
        printed = json.loads(run_classify(READY, "blank.png", "--json", cwd=tmp_path).stdout)
        answered = post(port, blank)
        assert answered.status == 422
        assert answered.document == {"file": "-", "error": printed["error"]}

    def test_holds_the_prepared_picture_where_it_is_wanted(self, port: int, service: Service) -> None:
        prepared = post(port, PICTURE, "?prepared=1").document["prepared"]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(prepared["png"]))))
        expected = prepare(read_picture(FOUR), service._card)
        assert (prepared["height"], prepared["width"], prepared["channels"]) == expected.shape
        assert np.array_equal(pixels, expected[:, :, 0])

    def test_has_as_many_classes_as_are_wanted(self, port: int) -> None:
        assert [len(post(port, PICTURE, f"?top={n}").document["top"]) for n in (1, 5, 99)] == [1, 5, 10]

    def test_below_the_threshold_is_unsure(self) -> None:
        with serving(service_of(min_score=1.0)) as port:
            assert post(port, PICTURE).document["unsure"] is True
        with serving(service_of(min_score=0.0)) as port:
            assert "unsure" not in post(port, PICTURE).document

    def test_comes_after_the_server_asked_for_the_body(self, port: int) -> None:
        head = request("POST", "/classify", None, Content_Length=str(len(PICTURE)), Expect="100-continue")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
            connection.sendall(PICTURE)
            assert read_answer(connection).status == 200

    def test_of_a_head_asks_for_no_body(self, port: int) -> None:
        answered = exchange(port, request("HEAD", "/"))
        assert (answered.status, answered.body) == (200, b"")
        assert int(answered.headers["content-length"]) > 1_000


HOSTS = ["localhost", "localhost:1", "127.0.0.1:8000", "[::1]:8000", "192.168.1.20", "LOCALHOST", socket.gethostname()]
STRANGE_HOSTS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "localhost@evil.example", "[", " "]


class TestSender:
    @pytest.mark.parametrize("host", HOSTS)
    def test_an_address_and_this_machines_names_are_answered(self, port: int, host: str) -> None:
        assert exchange(port, request("GET", "/model", Host=host)).status == 200

    @pytest.mark.parametrize("path", ["/", "/model", "/classify"])
    @pytest.mark.parametrize("host", STRANGE_HOSTS)
    def test_a_name_of_somebody_else_is_refused_everywhere(self, port: int, host: str, path: str) -> None:
        answered = exchange(port, request("POST" if path == "/classify" else "GET", path, PICTURE, Host=host))
        assert answered.status == 403
        assert b"top" not in answered.body

    def test_a_request_without_a_host_is_refused(self, port: int) -> None:
        assert exchange(port, b"GET /model HTTP/1.0\r\n\r\n").status == 403

    def test_another_page_cannot_send_pictures(self, port: int) -> None:
        assert post(port, PICTURE, Origin="http://evil.example").status == 403
        assert post(port, PICTURE, Origin="null").status == 403
        assert post(port, PICTURE, Host="localhost:8000", Origin="http://localhost:8000").status == 200

    @pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]", "//", "http://", "x", "http://[v1.x]"])
    def test_an_origin_that_is_no_address_is_another_page(self, port: int, origin: str) -> None:
        """It is refused as any other foreign page, not taken for a defect of this program."""
        answered = post(port, PICTURE, Origin=origin)
        assert (answered.status, "is another page" in answered.document["error"]) == (403, True)

    def test_the_own_page_behind_a_proxy_can(self, port: int) -> None:
        assert post(port, PICTURE, Origin="https://pi.example", Sec_Fetch_Site="same-origin").status == 200


WITH = {"Content_Length": "10"}
REFUSED = {
    "path": (request("GET", "/etc/passwd"), 404, "there are /, /model, /classify"),
    "path that climbs": (request("GET", "/../../etc/passwd"), 404, "there is no"),
    "address as path": (request("GET", "http://evil.example/"), 404, "there is no"),
    "GET of classify": (request("GET", "/classify"), 405, "takes POST"),
    "PUT": (request("PUT", "/classify", PICTURE), 405, "takes POST"),
    "OPTIONS": (request("OPTIONS", "/classify"), 405, "takes POST"),
    "POST of the page": (request("POST", "/", PICTURE), 405, "takes GET"),
    "unknown method": (request("BREW", "/"), 501, "BREW"),
    "no length": (request("POST", "/classify"), 411, "Content-Length"),
    "chunks": (request("POST", "/classify", None, Transfer_Encoding="chunked") + b"0\r\n\r\n", 411, "chunks"),
    "negative length": (request("POST", "/classify", None, Content_Length="-1"), 400, "is no number"),
    "length in words": (request("POST", "/classify", None, Content_Length="ten"), 400, "is no number"),
    "length with a sign": (request("POST", "/classify", None, Content_Length="+5"), 400, "is no number"),
    "length in wide digits": (request("POST", "/classify", None, Content_Length="１２"), 400, "is no number"),
    "length with an underscore": (request("POST", "/classify", None, Content_Length="1_0"), 400, "is no number"),
    "length in Arabic digits": (request("POST", "/classify", None, Content_Length="٣"), 400, "is no number"),
    "two lengths": (request("POST", "/classify", None, Content_Length="1\r\nContent-Length: 2"), 400, "is no number"),
    "huge length": (request("POST", "/classify", None, Content_Length="9" * 5_000), 413, "at most 20,000,000"),
    "one byte too many": (request("POST", "/classify", None, Content_Length="20000001"), 413, "at most 20,000,000"),
    "form": (request("POST", "/classify", b"--x", Content_Type="multipart/form-data; boundary=x"), 415, "--data-binary"),
    "unknown query": (request("POST", "/classify?colour=1", PICTURE), 400, "top=NUMBER from 1 and prepared=NUMBER"),
    "query for no class": (request("POST", "/classify?top=0", PICTURE), 400, "has 'top=0', there are top=NUMBER from 1"),
    "query that is no number": (request("POST", "/classify?top=all", PICTURE), 400, "top=NUMBER"),
    "query without a value": (request("POST", "/classify?top", PICTURE), 400, "cannot be read"),
    "empty body": (request("POST", "/classify", b""), 422, "not a picture"),
    "text as a picture": (request("POST", "/classify", b"<script>alert(1)</script>"), 422, "not a picture"),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n\r\n", 400, ""),
    "long address": (request("GET", "/" + "a" * 70_000), 414, "Too Long"),
    "many headers": (request("GET", "/", None, **{f"X{n}": "x" for n in range(200)}), 431, ""),
    "other version": (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, ""),
}


class TestRefusal:
    @pytest.mark.parametrize("defect", REFUSED)
    def test_says_what_is_wrong_in_json(self, port: int, defect: str, capfd: pytest.CaptureFixture[str]) -> None:
        data, status, says = REFUSED[defect]
        answered = exchange(port, data)
        assert answered.status == status
        assert says in answered.document["error"]
        assert capfd.readouterr().err == ""

    def test_names_the_method_in_a_header(self, port: int) -> None:
        assert exchange(port, request("GET", "/classify")).headers["allow"] == "POST"

    def test_of_a_body_that_is_sent_whole_arrives(self, impatient: int) -> None:
        answered = post(impatient, bytes(5_000_000))
        assert answered.status == 413
        assert "at most 200,000" in answered.document["error"]

    def test_of_a_body_that_never_comes_comes_in_time(self, impatient: int) -> None:
        assert exchange(impatient, request("POST", "/classify", None, Content_Length="1000")).status == 408

    def test_of_a_head_that_never_comes_comes_in_time(self, impatient: int) -> None:
        assert exchange(impatient, b"GET / HT").status == 408
        assert exchange(impatient, b"").status == 408

    def test_of_a_body_that_drips_comes_in_time(self, impatient: int) -> None:
        with socket.create_connection(("127.0.0.1", impatient)) as connection:
            connection.sendall(request("POST", "/classify", None, Content_Length="1000"))
            stop = threading.Event()
            dripping = threading.Thread(target=drip, args=(connection, stop))
            dripping.start()
            answered = read_answer(connection)
            stop.set()
            dripping.join()
        assert answered.status == 408

    def test_of_a_body_that_ends_early_says_so(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request("POST", "/classify", None, Content_Length="1000") + b"abc")
            connection.shutdown(socket.SHUT_WR)
            answered = read_answer(connection)
        assert (answered.status, answered.document["error"]) == (400, "the body ended after 3 of 1000 bytes: send it again")


def drip(connection: socket.socket, stop: threading.Event) -> None:
    """Send a byte at a time, each soon enough."""
    while not stop.wait(0.1):
        try:
            connection.sendall(b"x")
        except OSError:
            return


class TestPicture:
    def test_with_too_many_pixels_is_not_decoded(self, impatient: int) -> None:
        answered = post(impatient, png(Image.new("L", (1_001, 1_000))))
        assert answered.status == 422
        assert answered.document["error"].startswith("too large: 1001×1000, at most 1,000,000 pixels")

    def test_for_which_another_program_would_be_started_is_refused(self, port: int) -> None:
        eps = io.BytesIO()
        Image.new("L", (28, 28)).save(eps, "EPS")
        assert "not a picture that is read here: " in post(port, eps.getvalue()).document["error"]

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
    def test_of_every_usual_format_is_read(self, port: int, kind: str) -> None:
        file = io.BytesIO()
        read_picture(FOUR).convert("L").save(file, kind)
        assert post(port, file.getvalue()).document["top"][0]["label"] == "4"

    @pytest.mark.slow
    def test_that_is_hostile_is_answered_or_refused_and_the_next_one_answered(self, port: int, tmp_path: Path) -> None:
        files = [bad.path for bad in pictures(tmp_path) if bad.path.is_file() and bad.path.stat().st_size < 20_000_000]
        assert len(files) > 150
        for path in files:
            answered = post(port, path.read_bytes())
            assert answered.status in (200, 422), (path.name, answered.body)
            assert "object at 0x" not in answered.body.decode(), path.name
        assert post(port, PICTURE).document["top"][0]["label"] == "4"


class TestCrowd:
    def test_a_client_that_goes_away_disturbs_nobody(self, port: int, capfd: pytest.CaptureFixture[str]) -> None:
        whole = request("POST", "/classify", PICTURE)
        for part in (b"", b"GET", whole[:200], whole[:-1], whole):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(part)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed with a reset
        assert post(port, PICTURE).status == 200
        assert capfd.readouterr().err == ""

    def test_silent_clients_are_sent_away_and_the_next_one_is_answered(self, impatient: int) -> None:
        silent = [socket.create_connection(("127.0.0.1", impatient)) for _ in range(3 * SHORT.connections)]
        assert exchange(impatient, request("GET", "/model")).status == 200
        assert [read_answer(connection).status for connection in silent] == [408] * len(silent)
        for connection in silent:
            connection.close()

    @pytest.mark.slow
    def test_a_thousand_requests_at_once_are_all_answered(self, port: int) -> None:
        connections = [socket.socket() for _ in range(CROWD)]
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(lambda one: one.connect(("127.0.0.1", port)), connections))
            list(pool.map(lambda one: one.sendall(request("POST", "/classify", PICTURE)), connections))
            answers = list(pool.map(read_answer, connections))
        for connection in connections:
            connection.close()
        assert {answer.status for answer in answers} == {200}
        assert {answer.document["top"][0]["label"] for answer in answers} == {"4"}

    def test_a_picture_waits_until_there_is_a_place_for_it(self) -> None:
        service = service_of(limits=SHORT)
        with serving(service) as port, ThreadPoolExecutor(1) as pool:
            for _ in range(SHORT.pictures):
                assert service._places.acquire(blocking=False)
            answered = pool.submit(post, port, PICTURE)
            with pytest.raises(TimeoutError):
                answered.result(SHORT.request_s / 4)
            service._places.release()
            assert answered.result().status == 200
            service._places.acquire()
            assert post(port, PICTURE).status == 503

    def test_no_more_requests_are_worked_on_at_a_time_than_the_limits_say(self) -> None:
        before = threading.active_count()
        with serving(service_of(limits=SHORT)) as port:
            assert threading.active_count() == before + SHORT.connections
            with ThreadPoolExecutor(20) as pool:
                assert {one.status for one in pool.map(lambda _: post(port, PICTURE[:100]), range(40))} == {422}
            assert threading.active_count() <= before + SHORT.connections
        assert threading.active_count() == before

    def test_where_the_model_takes_too_long_the_others_are_told_to_come_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, told = threading.Event(), threading.Event()

        def slowly(source: Any, session: Session, card: Card) -> Answer:
            begun.set()
            assert told.wait(PATIENCE_S)
            return classify(source, session, card)

        monkeypatch.setattr("device.serve.service.classify", slowly)
        patient = replace(SHORT, silence_s=PATIENCE_S, request_s=3.0)  # enough to send a picture on any machine
        with serving(service_of(limits=patient)) as port, ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, port, PICTURE)
            assert begun.wait(PATIENCE_S)
            assert post(port, PICTURE).status == 503
            told.set()
            assert first.result().status == 200


class TestFault:
    def fail(self, error: BaseException) -> Any:
        def failing(*_: object) -> None:
            raise error

        return failing

    @pytest.mark.parametrize(
        ("error", "status", "says"),
        [
            (ModelError("the weights are damaged"), 500, "the weights are damaged"),
            (MemoryError(), 503, "out of memory: send it later, or a smaller picture"),
            (ZeroDivisionError("x"), 500, "this program has a defect: see what it printed"),
        ],
    )
    def test_of_the_model_or_of_the_program_is_an_answer_and_the_next_one_comes(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        error: BaseException,
        status: int,
        says: str,
    ) -> None:
        with serving(service_of()) as port:
            monkeypatch.setattr("device.serve.service.classify", self.fail(error))
            answered = post(port, PICTURE)
            monkeypatch.undo()
            assert post(port, PICTURE).status == 200
        assert (answered.status, answered.document["error"]) == (status, says)
        said = capfd.readouterr().err
        assert "Traceback" not in said
        assert said.count("\n") == (0 if isinstance(error, MemoryError) else 1)


def test_the_facts_are_those_of_the_card(port: int, service: Service) -> None:
    facts, card = exchange(port, request("GET", "/model")).document, service._card
    assert isinstance(card, Card)
    assert facts["labels"] == list(card.labels)
    assert facts["input"] == [card.height, card.width, card.channels]
    assert facts["min_score"] == card.min_score
    assert facts["reads_drawings"] is True
    assert facts["most_bytes"] == 20_000_000
