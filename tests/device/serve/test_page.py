"""The page in a headless Chromium: drawn on with mouse, finger and keys, given pictures and a camera."""

import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from device.preprocessing.prepare import read_picture
from device.serve.page import load_page
from tests.support.models.model_files import own_bytes
from tests.support.served import FOUR, READY, exchange, request, service_of, serving
from tests.tools.browser import DESKTOP, PHONE, SCHEMES, Opened, chromium, find_chromium, opened

SMALL_PHONE = (360, 640)
STROKES = (((0.60, 0.14), (0.24, 0.60), (0.80, 0.60)), ((0.62, 0.36), (0.62, 0.88)))  # of a 4
HOSTILE = (
    '<img src=x onerror="window.pwned=1">',
    "</script><script>window.pwned=1</script>",
    "{{7*7}}",
    "'\"&",
    "javascript:alert(1)",
    "ab" * 60,
    "שלום",
    "7",
    "8",
    "9",
)


class TestDocument:
    def test_refers_to_nothing_outside_of_itself(self) -> None:
        html = load_page().html.decode()
        assert "{{" not in html
        assert re.findall(r"""(?:src|href)=(?!["']?data:)""", html) == []
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", html)

    def test_is_held_to_its_own_style_and_script_by_their_hashes(self) -> None:
        with serving(service_of()) as port:
            answered = exchange(port, request("GET", "/"))
        html, policy = answered.body.decode(), answered.headers["content-security-policy"]
        for tag in ("style", "script"):
            (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answered.headers["x-content-type-options"] == "nosniff"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the browser's camera sees: a photo of a 4, again and again."""
    path = tmp_path_factory.mktemp("film") / "four.mjpeg"
    still = path.with_suffix(".jpg")
    read_picture(FOUR).convert("RGB").resize((640, 480)).save(still)
    path.write_bytes(still.read_bytes() * 5)
    return path


@pytest.fixture(scope="module")
def browser(film: Path) -> Iterator[Any]:
    if find_chromium() is None:
        pytest.skip("no Chromium here: `make chromium` installs it (CI does); the page was not opened")
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    with chromium(*flags) as started:
        yield started


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(service_of()) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def shown(browser: Any, address: str) -> Iterator[Opened]:
    with opened(browser, address) as page:
        yield page
        assert page.problems == []


def places(page: Any) -> list[list[tuple[float, float]]]:
    """Return where on the screen the strokes of a 4 go."""
    box = page.locator("#pad").bounding_box()
    return [[(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke] for stroke in STROKES]


def draw(page: Any) -> None:
    """Draw a 4 with the mouse."""
    for stroke in places(page):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for place in stroke[1:]:
            page.mouse.move(*place, steps=8)
        page.mouse.up()


def draw_with_a_finger(page: Any) -> None:
    devtools = page.context.new_cdp_session(page)
    for (x, y), *others in places(page):
        devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for to_x, to_y in others:
            for part in range(1, 9):
                at = {"x": x + (to_x - x) * part / 8, "y": y + (to_y - y) * part / 8}
                devtools.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
            x, y = to_x, to_y
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def press(page: Any, keys: str) -> None:
    for word in keys.split():
        name, _, times = word.partition("*")
        for _ in range(int(times or 1)):
            page.keyboard.press(name)


def wait_for(page: Any, state: str) -> str:
    """Wait for an answer in a state, and return what it says large."""
    page.wait_for_selector(f"#answer[data-state='{state}'][data-waiting='no']")
    said: str = page.locator("#said").inner_text()
    return said


@pytest.mark.slow
class TestDrawing:
    def test_a_drawn_4_is_read_as_a_4(self, shown: Opened) -> None:
        draw(shown.page)
        assert wait_for(shown.page, "sure") == "4"
        assert shown.texts("#classes .best .label") == ["4"]
        assert shown.texts("#classes .label") == list("0123456789")
        scores = [float(text.removesuffix(" %")) for text in shown.texts("#classes .score")]
        assert sum(scores) == pytest.approx(100, abs=0.6)
        assert shown.texts("#about") == [f"{max(scores):.1f} %"]

    def test_shows_what_the_model_was_given_and_where_the_time_went(self, shown: Opened) -> None:
        draw(shown.page)
        wait_for(shown.page, "sure")
        shown.page.wait_for_selector("#prepared:visible")
        assert shown.page.locator("#prepared").evaluate("one => [one.naturalWidth, one.naturalHeight]") == [28, 28]
        assert shown.texts("#size") == ["28 × 28"]
        assert shown.texts("#times dt") == ["decode", "prepare", "invoke", "postprocess"]
        assert all(re.fullmatch(r"\d+\.\d+ ms", text) for text in shown.texts("#times dd"))
        assert "on the way" in shown.texts("#total")[0]

    def test_undo_takes_a_stroke_back_and_clear_all(self, shown: Opened) -> None:
        draw(shown.page)
        wait_for(shown.page, "sure")
        shown.page.get_by_role("button", name="Clear").click()
        assert wait_for(shown.page, "empty") == "?"
        assert shown.page.get_by_role("button", name="Undo").is_disabled()
        draw(shown.page)
        wait_for(shown.page, "sure")
        shown.page.keyboard.press("Control+z")
        shown.page.keyboard.press("Control+z")
        assert wait_for(shown.page, "empty") == "?"

    def test_keys_alone_draw_a_digit(self, shown: Opened) -> None:
        press(shown.page, "Tab*4")
        assert shown.page.evaluate("document.activeElement.id") == "pad"
        press(shown.page, "ArrowUp*11 Space ArrowDown*22 Space")
        assert wait_for(shown.page, "sure") == "1"
        press(shown.page, "Delete")
        assert wait_for(shown.page, "empty") == "?"
        press(shown.page, "ArrowUp*22 ArrowLeft*6 Space ArrowRight*12 ArrowDown*22 Space")
        assert wait_for(shown.page, "sure") == "7"

    def test_every_control_is_reached_by_keys_and_shows_it(self, shown: Opened) -> None:
        reached = []
        for _ in range(6):
            shown.page.keyboard.press("Tab")
            reached.append(shown.page.evaluate("document.activeElement.textContent || document.activeElement.id"))
            mark = "#ring" if reached[-1] == "pad" else ":focus-visible"
            assert shown.page.locator(mark).is_visible()
            if reached[-1] == "pad":
                press(shown.page, "Space ArrowDown*5 Space")  # Undo and Clear have something to do now
        assert reached == ["Draw", "Picture", "Camera", "pad", "Undo", "Clear"]

    def test_below_the_threshold_it_is_unsure_and_says_from_where_on_it_is_sure(self, browser: Any) -> None:
        with serving(service_of(min_score=1.0)) as port, opened(browser, f"http://127.0.0.1:{port}/") as page:
            draw(page.page)
            assert wait_for(page.page, "unsure") == "Unsure"
            assert re.fullmatch(r"Most likely 4, with \S+ %\. It is sure from 100\.0 % on\.", page.texts("#about")[0])
            assert page.problems == []

    def test_a_program_that_is_gone_is_said(self, browser: Any) -> None:
        with serving(service_of()) as port, opened(browser, f"http://127.0.0.1:{port}/") as page:
            page.page.route("**/classify*", lambda route: route.abort())
            draw(page.page)
            assert wait_for(page.page, "problem") == "No answer"
            assert "Does it still run?" in page.texts("#about")[0]


@pytest.mark.slow
class TestPicture:
    def test_a_chosen_picture_is_answered(self, shown: Opened) -> None:
        shown.page.get_by_role("button", name="Picture", exact=True).click()
        shown.page.locator("#file").set_input_files(FOUR)
        assert wait_for(shown.page, "sure") == "4"
        assert shown.page.locator("#shown").is_visible()
        shown.page.get_by_role("button", name="Draw").click()
        assert wait_for(shown.page, "empty") == "?"

    def test_a_dropped_picture_is_answered(self, shown: Opened) -> None:
        drop = """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], "four.jpg", { type: "image/jpeg" }));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
        }"""
        shown.page.evaluate(drop, list(FOUR.read_bytes()))
        assert wait_for(shown.page, "sure") == "4"

    def test_what_is_no_picture_says_so_and_executes_nothing(self, browser: Any, address: str, tmp_path: Path) -> None:
        svg = tmp_path / "hostile.svg"
        svg.write_text(
            "<svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=1'><script>window.pwned=1</script></svg>"
        )
        with opened(browser, address) as page:
            page.page.locator("#file").set_input_files(svg)
            assert wait_for(page.page, "problem") == "No answer"
            assert page.texts("#about")[0].startswith("Not a picture that is read here: ")
            assert page.page.evaluate("window.pwned") is None
            assert page.page.locator("#classes .best").count() == 0

    def test_a_blank_picture_has_no_digit(self, browser: Any, address: str, tmp_path: Path) -> None:
        Image.new("L", (300, 200), 255).save(tmp_path / "blank.png")
        with opened(browser, address) as page:
            page.page.locator("#file").set_input_files(tmp_path / "blank.png")
            wait_for(page.page, "problem")
            assert page.texts("#about")[0].startswith("No digit found: ")

    def test_a_file_that_is_too_large_is_not_even_sent(self, shown: Opened, tmp_path: Path) -> None:
        with (tmp_path / "large.jpg").open("wb") as file:
            file.truncate(21_000_000)
        shown.page.locator("#file").set_input_files(tmp_path / "large.jpg")
        assert wait_for(shown.page, "problem") == "Too large"
        assert shown.texts("#about") == ["The picture has 21.0 MB, at most 20.0 are read."]


@pytest.mark.slow
def test_what_the_camera_sees_is_answered_until_it_is_stopped(shown: Opened) -> None:
    shown.page.get_by_role("button", name="Camera", exact=True).click()
    assert wait_for(shown.page, "sure") == "4"
    shown.page.get_by_role("button", name="Stop the camera").click()
    assert shown.page.locator("video").evaluate("one => one.srcObject") is None
    shown.page.get_by_role("button", name="Draw").click()
    assert wait_for(shown.page, "empty") == "?"


@pytest.mark.slow
class TestHostileModel:
    def test_its_labels_stay_text(self, browser: Any, tmp_path: Path) -> None:
        card = json.loads(zipfile.ZipFile(READY).read("edgeproof/card.json"))
        path = tmp_path / "hostile.tflite"
        path.write_bytes(own_bytes(READY))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("edgeproof/card.json", json.dumps({**card, "labels": list(HOSTILE), "model": "<b>x"}))
        with serving(service_of(path)) as port, opened(browser, f"http://127.0.0.1:{port}/", SMALL_PHONE) as page:
            draw(page.page)
            wait_for(page.page, "sure")
            assert page.texts("#classes .label") == list(HOSTILE)
            assert page.texts("#said") == [HOSTILE[4]]
            assert page.texts("#model") == ["<b>x int8"]
            assert page.page.evaluate("window.pwned") is None
            assert page.page.locator("img[src='x']").count() == 0
            assert page.page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE[0]
            assert page.problems == []

    def test_a_script_that_got_into_the_page_would_not_run(self, browser: Any, address: str) -> None:
        with opened(browser, address) as page:
            add = "const one = document.createElement('script'); one.text = 'window.pwned=1'; document.head.append(one)"
            with pytest.raises(Exception, match="TrustedScript"):
                page.page.evaluate(add)
            assert page.page.evaluate("window.pwned") is None


@pytest.mark.slow
class TestLooks:
    @pytest.mark.parametrize("size", [SMALL_PHONE, PHONE])
    def test_a_phone_is_drawn_on_with_a_finger_and_never_scrolls_sideways(
        self, browser: Any, address: str, size: tuple[int, int]
    ) -> None:
        with opened(browser, address, size, has_touch=True, is_mobile=True) as page:
            draw_with_a_finger(page.page)
            assert wait_for(page.page, "sure") == "4"
            assert page.page.evaluate("[document.documentElement.scrollWidth, scrollY]") == [size[0], 0]
            said = page.page.locator("#said").bounding_box()
            assert said["y"] + said["height"] <= size[1]  # the answer is seen without scrolling
            page.page.get_by_role("button", name="Picture", exact=True).click()
            assert page.page.get_by_role("button", name="Take a photo").is_visible()
            small = (
                "[...document.querySelectorAll('button')].filter((one) => one.offsetHeight && one.offsetHeight < 40).length"
            )
            assert page.page.evaluate(small) == 0
            assert page.problems == []

    def test_dark_follows_the_system_and_reads_the_same(self, browser: Any, address: str) -> None:
        prepared = []
        for scheme, ground in zip(SCHEMES, ("rgb(246, 247, 249)", "rgb(15, 20, 26)"), strict=True):
            with opened(browser, address, DESKTOP, scheme) as page:
                assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
                draw(page.page)
                assert wait_for(page.page, "sure") == "4"
                prepared.append(page.page.locator("#prepared").get_attribute("src"))
                assert page.problems == []
        assert prepared[0] == prepared[1]

    def test_a_desktop_shows_everything_without_scrolling(self, shown: Opened) -> None:
        draw(shown.page)
        wait_for(shown.page, "sure")
        assert shown.page.evaluate("document.documentElement.scrollHeight") <= DESKTOP[1]

    def test_from_another_machine_without_https_there_is_no_camera_and_no_error(self, browser: Any) -> None:
        with serving(service_of()) as port, opened(browser, f"http://127.0.0.1:{port}/") as page:
            page.page.add_init_script("delete Navigator.prototype.mediaDevices")
            page.page.reload()
            page.settle()
            assert page.page.get_by_role("button", name="Camera", exact=True).count() == 0
            assert page.problems == []
