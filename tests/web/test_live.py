"""The live page and the window: what is seen of a stream while it runs."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from pipeline.config.schema import LiveConfig
from pipeline.errors import ConfigError
from pipeline.transport.planes import Planes
from pipeline.web import live_view as viewing
from pipeline.web.live_page import LivePage, encode_jpeg
from pipeline.web.live_view import LiveWindow, has_window, open_view
from tests.running import wait_until


def frame(level: int, width: int = 64, height: int = 48) -> Planes:
    return Planes.from_rgb(np.full((height, width, 3), level, np.uint8))


@pytest.fixture
def page() -> Iterator[LivePage]:
    made = LivePage("the <gate>")
    yield made
    made.close()


class Browser:
    """Asks a page; its connections stay open until it is closed."""

    def __init__(self) -> None:
        self._opened: list[http.client.HTTPConnection | http.client.HTTPResponse] = []

    def __call__(self, page: LivePage, path: str, host: str | None = None) -> http.client.HTTPResponse:
        where = urlsplit(page.address)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        self._opened += [connection, answer]
        return answer

    def close(self) -> None:
        for one in self._opened:
            one.close()


@pytest.fixture
def ask() -> Iterator[Browser]:
    """`ask(page, path)`: the answer."""
    browser = Browser()
    yield browser
    browser.close()


def next_picture(answer: http.client.HTTPResponse) -> np.ndarray:
    """The next JPEG of the row, (H, W, 3)."""
    assert answer.readline() == b"--frame\r\n"
    assert answer.readline() == b"Content-Type: image/jpeg\r\n"
    length = int(answer.readline().split(b":")[1])
    assert answer.readline() == b"\r\n"
    data = answer.read(length)
    assert answer.readline() == b"\r\n"
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_a_viewer_sees_the_newest_frames(page: LivePage, ask: Browser) -> None:
    answer = ask(page, "/stream.mjpg")
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    wait_until(lambda: page.watched)
    page.show(frame(50), now_s=1.0)
    assert abs(int(next_picture(answer).mean()) - 50) <= 3
    page.show(frame(120), now_s=1.01)  # too soon after the last one
    page.show(frame(200), now_s=2.0)
    assert abs(int(next_picture(answer).mean()) - 200) <= 3


def test_a_frame_may_be_changed_after_it_was_shown(page: LivePage, ask: Browser) -> None:
    answer = ask(page, "/stream.mjpg")
    wait_until(lambda: page.watched)
    planes = frame(50)
    page.show(planes, now_s=1.0)
    planes.y[:] = 235
    assert abs(int(next_picture(answer).mean()) - 50) <= 3


def test_nobody_watches_and_nothing_is_copied(page: LivePage) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was read")

    assert not page.watched
    page.show(Untouchable())  # type: ignore[arg-type]


def test_a_viewer_who_goes_is_forgotten(page: LivePage, ask: Browser) -> None:
    ask(page, "/stream.mjpg")
    wait_until(lambda: page.watched)
    ask.close()
    wait_until(lambda: not page.watched)


def test_the_page_shows_the_stream_under_its_name(page: LivePage, ask: Browser) -> None:
    text = ask(page, "/").read().decode()
    assert "<title>the &lt;gate&gt;" in text and 'src="stream.mjpg"' in text


def test_a_page_elsewhere_cannot_look_in_by_a_name_of_its_own(page: LivePage, ask: Browser) -> None:
    assert ask(page, "/", host="evil.example").status == 400
    assert ask(page, "/", host="localhost:1").status == 200


def test_closing_ends_the_viewers_and_frees_the_port(ask: Browser) -> None:
    page = LivePage("gate")
    answer = ask(page, "/stream.mjpg")
    wait_until(lambda: page.watched)
    page.close()
    assert answer.read() == b""
    LivePage("gate", port=urlsplit(page.address).port or 0).close()


def test_a_port_that_is_taken_is_told(page: LivePage) -> None:
    port = urlsplit(page.address).port or 0
    with pytest.raises(ConfigError, match=f"output.live: cannot listen on 127.0.0.1 port {port}"):
        LivePage("other", port=port)


def test_large_frames_are_scaled_down() -> None:
    data = encode_jpeg(frame(90, 1920, 1080))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (720, 1280, 3)
    assert cv2.imdecode(np.frombuffer(encode_jpeg(frame(90)), np.uint8), cv2.IMREAD_COLOR).shape == (
        48,
        64,
        3,
    )


def test_without_a_display_or_without_windows_in_opencv_there_is_a_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    QT5\n")
    assert not has_window()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_window()
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    NONE\n")
    assert not has_window()
    view = open_view(LiveConfig(), "gate", 0)
    view.close()
    assert isinstance(view, LivePage)


def test_a_window_shows_frames_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    keys = iter([-1, ord("q")])
    monkeypatch.setattr(viewing, "has_window", lambda: True)
    monkeypatch.setattr(cv2, "namedWindow", lambda *arguments: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append(int(image.mean())))
    monkeypatch.setattr(cv2, "waitKey", lambda ms: next(keys))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: 1.0)
    monkeypatch.setattr(cv2, "destroyWindow", lambda name: shown.append(-1))
    view = open_view(LiveConfig(), "gate", 0)
    assert isinstance(view, LiveWindow)
    for level in (50, 60, 70):
        view.show(frame(level))
    view.close()
    assert len(shown) == 3 and shown[-1] == -1 and not view.watched
