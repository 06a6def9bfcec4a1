"""Live sources against real servers: GStreamer's RTSP server and HTTP servers, killed, frozen, and back again."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.live_timeline import LiveTimeline
from pipeline.video.sources.source import Source
from pipeline.video.sources.source_registry import open_source
from pipeline.video.sources.url import url_options
from tests.running import wait_until
from tests.video.media import (
    number_of,
    picture,
    pixels,
    rtsp_missing,
    rtsp_server,
    write_rtsp_clip,
    write_video,
)

needs_rtsp = pytest.mark.skipif(bool(rtsp_missing()), reason=rtsp_missing() or "there is one")


class Taker(threading.Thread):
    """Takes all frames of a source; `wait` until something is so."""

    def __init__(self, source: Source, read: bool = True) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.rows: list[tuple[int, float, int, int]] = []  # index, time, epoch, number drawn
        self.ended = False
        self._read = read
        self._changed = threading.Condition()
        self.start()

    def run(self) -> None:
        for frame in self.source.frames():
            with self._changed:
                self.rows.append(
                    (frame.index, frame.pts_s, frame.epoch, number_of(pixels(frame)) if self._read else -1)
                )
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait(self, what: Callable[[], bool], timeout_s: float = 15.0) -> float:
        """Seconds until `what` is so."""
        began_s = time.monotonic()
        with self._changed:
            assert self._changed.wait_for(what, timeout_s), f"not within {timeout_s} s: {self.source.stats}"
        return time.monotonic() - began_s

    def epoch(self) -> int:
        return self.rows[-1][2] if self.rows else -1


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames at 25 fps without B-frames, a keyframe every second, as cameras send them."""
    folder = tmp_path_factory.mktemp("camera")
    options = {"tune": "zerolatency", "x264-params": "sliced-threads=0"}
    return write_rtsp_clip(write_video(folder / "c.mp4", 100, gop=25, options=options), folder / "c.aus")


def opened(url: str, stop: threading.Event | None = None, **settings: Any) -> Source:
    return open_source(StreamConfig(source=url, **settings), stop=stop or threading.Event())


@needs_rtsp
def test_an_rtsp_camera_is_read_in_order_and_ends_at_once_when_stopped(camera: Path) -> None:
    stop = threading.Event()
    with rtsp_server(camera) as (_, port):
        source = opened(f"rtsp://127.0.0.1:{port}/cam", stop)
        info = source.info
        assert (info.kind, info.live, info.width, info.height, info.fps) == ("rtsp", True, 160, 120, 25.0)
        taker = Taker(source)
        taker.wait(lambda: len(taker.rows) >= 40)
        stop.set()
        assert taker.wait(lambda: taker.ended) < 1.0
    rows = taker.rows[5:]
    for before, after in itertools.pairwise(rows):
        steps = after[0] - before[0]
        assert (after[3] - before[3]) % 100 == steps
        assert after[1] - before[1] == pytest.approx(steps / 25, abs=0.002)
    assert source.stats.errors == 0


@needs_rtsp
@pytest.mark.slow
def test_a_killed_and_a_frozen_server_are_found_again(camera: Path, caplog: pytest.LogCaptureFixture) -> None:
    with rtsp_server(camera) as (server, port):
        source = opened(f"rtsp://u:hunter2@127.0.0.1:{port}/cam", timeout_s=1.0)
        taker = Taker(source)
        taker.wait(lambda: len(taker.rows) >= 10)
        server.kill()
        server.wait()
        lost = taker.rows[-1]
        lost_s = time.monotonic()
    assert "hunter2" not in source.stats.last_error
    with rtsp_server(camera, "--port", str(port)) as (server, _):
        assert taker.wait(lambda: taker.epoch() == 1) < 3.0
        back = next(row for row in taker.rows if row[2] == 1)
        assert back[1] - lost[1] == pytest.approx(time.monotonic() - lost_s, abs=1.5)
        assert back[0] >= lost[0] + 1
        count = len(taker.rows)
        taker.wait(lambda: len(taker.rows) >= count + 10)

        os.kill(server.pid, signal.SIGSTOP)
        wait_until(lambda: "no data for 1 s" in source.stats.last_error)
        os.kill(server.pid, signal.SIGCONT)
        assert taker.wait(lambda: taker.epoch() == 2) < 3.0

        os.kill(server.pid, signal.SIGSTOP)
        source.close()
        assert taker.wait(lambda: taker.ended) < 1.0
    times_s = [row[1] for row in taker.rows]
    assert times_s == sorted(times_s)
    indices = [row[0] for row in taker.rows]
    assert indices == sorted(set(indices))
    assert source.stats.reconnects == 2
    said = [record.getMessage().split(":")[0] for record in caplog.records]
    assert [words for words in said if words == "source lost"] == ["source lost"] * 2
    assert sum(words.startswith("source back after ") for words in said) == 2
    assert "hunter2" not in caplog.text


@needs_rtsp
def test_a_slow_taker_gets_the_newest_frame_and_the_others_are_counted(camera: Path) -> None:
    with rtsp_server(camera) as (_, port):
        source = opened(f"rtsp://127.0.0.1:{port}/cam")
        frames = source.frames()
        next(frames)
        start = source.stats.decoded
        wait_until(lambda: source.stats.decoded >= start + 15)
        frame = next(frames)
        assert frame.index >= start + 13
        assert source.stats.skipped["late"] >= 12
        assert time.time() - frame.wall_s < 0.5
        source.close()


@needs_rtsp
def test_a_wrong_password_is_told_without_showing_it(camera: Path) -> None:
    with rtsp_server(camera, "--user", "viewer", "--password", "right") as (_, port):
        with pytest.raises(SourceError) as caught:
            opened(f"rtsp://viewer:wrong1@127.0.0.1:{port}/cam")
        assert "wrong1" not in str(caught.value) and "password (401)" in str(caught.value)
        source = opened(f"rtsp://viewer:right@127.0.0.1:{port}/cam")
        assert next(source.frames()).width == 160
        source.close()


@needs_rtsp
def test_a_path_that_the_server_does_not_have(camera: Path) -> None:
    with rtsp_server(camera) as (_, port), pytest.raises(SourceError, match="/other: cannot be opened"):
        opened(f"rtsp://127.0.0.1:{port}/other")


def test_a_server_that_never_answers_is_given_up_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began_s = time.monotonic()
        with pytest.raises(SourceError, match="no answer within 0.5 s|timed out"):
            opened(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam", timeout_s=0.5)
        assert time.monotonic() - began_s < 3


def test_addresses_may_use_few_protocols_and_have_a_timeout() -> None:
    rtsp, http = url_options("rtsp", 3.0), url_options("url", 2.5)
    assert rtsp["rtsp_transport"] == "tcp" and rtsp["timeout"] == "3000000" and http["timeout"] == "2500000"
    for options in (rtsp, http):
        assert not {"file", "concat", "subfile", "pipe", "data"} & set(
            options["protocol_whitelist"].split(",")
        )


def test_time_over_connections_is_that_of_this_hosts_clock() -> None:
    line = LiveTimeline(25.0)
    assert line.next(100.0, 0.0, reconnected=True) == 0.0
    assert line.next(100.04, 0.05, reconnected=False) == pytest.approx(0.04)
    assert line.next(3.0, 5.05, reconnected=True) == pytest.approx(5.04)
    assert line.epoch == 1
    assert line.next(3.04, 9.0, reconnected=False) == pytest.approx(5.08), (
        "late packets keep the source's time"
    )
    assert line.next(5000.0, 9.04, reconnected=False) == pytest.approx(5.12), "a leap of its clock does not"
    assert line.epoch == 2


def test_timestamps_that_do_not_advance_are_replaced_by_the_times_of_arrival() -> None:
    line = LiveTimeline(50.0)  # a wrong rate: 21 frames a second arrive
    times_s = [line.next(7.0, i / 21, reconnected=i == 0) for i in range(420)]
    assert line.epoch == 0 and line.retimed > 400
    assert times_s[-1] - times_s[100] == pytest.approx(319 / 21)
    assert line.next(3.0, 30.0, reconnected=True) == pytest.approx(times_s[-1] + 30.0 - 419 / 21)
    assert line.next(3.04, 30.5, reconnected=False) == pytest.approx(times_s[-1] + 30.04 - 419 / 21)


def test_whole_seconds_of_a_live_source_are_not_replaced() -> None:
    line = LiveTimeline(25.0)
    times_s = [line.next(float(i // 25), i / 25 + 0.3 * (i % 3), reconnected=i == 0) for i in range(200)]
    assert times_s == pytest.approx([i / 25 for i in range(200)])


def steady(
    line: LiveTimeline, stamped: float, delivered: float, seconds: float, waited: float = 0.9
) -> list[tuple[float, float]]:
    """When frames came, and their media time; `waited` is the share of time that the network was waited for."""
    found = []
    for number in range(round(seconds * delivered)):
        now_s = number / delivered
        jitter_s = 0.02 * ((number * 7) % 5)
        waited_s = waited / delivered
        pts_s = line.next(
            100 + number / stamped, now_s + jitter_s, reconnected=number == 0, waited_s=waited_s
        )
        found.append((now_s, pts_s))
    return found


def test_a_camera_that_stamps_25_and_delivers_21_keeps_the_time_of_the_clock() -> None:
    line = LiveTimeline(25.0)
    times = steady(line, 25, 21, 90)
    assert line.ratio == pytest.approx(25 / 21, rel=0.02)
    late = [(now_s, pts_s) for now_s, pts_s in times if now_s > 30]
    spent_s, advanced_s = late[-1][0] - late[0][0], late[-1][1] - late[0][1]
    assert advanced_s == pytest.approx(spent_s, rel=0.02)
    steps = [after[1] - before[1] for before, after in itertools.pairwise(late)]
    assert max(steps) == pytest.approx(min(steps), abs=1e-3), "even, not as they arrived"
    assert line.epoch == 0


@pytest.mark.parametrize(
    ("stamped", "delivered", "waited"),
    [(25, 25, 0.9), (25, 24.5, 0.9), (25, 21, 0.0)],
    ids=["in time", "a clock that is a little off", "a reader that is too slow"],
)
def test_timestamps_that_are_right_are_not_corrected(stamped: float, delivered: float, waited: float) -> None:
    line = LiveTimeline(25.0)
    times = steady(line, stamped, delivered, 90, waited)
    assert line.ratio == 1.0
    assert times[-1][1] == pytest.approx((len(times) - 1) / stamped, abs=1e-6)


def test_a_correction_ends_with_its_cause() -> None:
    line = LiveTimeline(25.0)
    steady(line, 25, 21, 60)
    assert line.ratio != 1.0
    last_s = 0.0
    for number in range(25 * 60):
        pts_s = line.next(500 + number / 25, 70 + number / 25, reconnected=number == 0, waited_s=0.03)
        assert pts_s > last_s
        last_s = pts_s
    assert line.ratio == 1.0


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Files(BaseHTTPRequestHandler):
    """Serves `content` with byte ranges, as web servers do."""

    content = b""

    def do_GET(self) -> None:
        first = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(self.content) - first))
        self.end_headers()
        try:
            self.wfile.write(self.content[first:])
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_a_video_file_behind_http_is_a_file(tmp_path: Path) -> None:
    class Video(Files):
        content = write_video(tmp_path / "v.mp4", 50).read_bytes()

    with http_server(Video) as address:
        source = opened(f"{address}/v.mp4?token=hunter2")
        assert (source.info.kind, source.info.live, source.info.frames) == ("url", False, 50)
        assert [number_of(pixels(frame)) for frame in source.frames()] == list(range(50))


@pytest.mark.parametrize("index_first", [True, False])
def test_a_server_that_cannot_seek_and_states_no_length(tmp_path: Path, index_first: bool) -> None:
    class Video(BaseHTTPRequestHandler):
        options = {"movflags": "faststart"} if index_first else {}
        content = write_video(tmp_path / "v.mp4", 50, container=options).read_bytes()
        index = content.index(b"moov") - 4
        room = (1 << 20).to_bytes(4, "big") + b"free" + bytes((1 << 20) - 8)  # more than FFmpeg can go back
        content = content if index_first else content[:index] + room + content[index:]

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(self.content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http_server(Video) as address:
        if index_first:
            frames = opened(f"{address}/v.mp4").frames()
            assert [number_of(pixels(frame)) for frame in frames] == list(range(50))
        else:
            with pytest.raises(SourceError, match="movflags faststart"):
                opened(f"{address}/v.mp4")


def test_mjpeg_behind_http_is_live_and_joined_again_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    class Camera(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for number in range(30):
                    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture(number), cv2.COLOR_RGB2BGR))
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
                    if over.wait(0.02):
                        return
            except OSError:
                self.close_connection = True

    with http_server(Camera) as address:
        source = opened(f"{address}/video")
        assert (source.info.kind, source.info.live) == ("url", True)
        taker = Taker(source)
        taker.wait(lambda: taker.epoch() >= 1)
        source.close()
        taker.wait(lambda: taker.ended)
        over.set()
    assert source.stats.reconnects >= 1
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith(f"source lost: {address}/video: ")
    assert said[1].startswith("source back after ")
    assert max(row[3] for row in taker.rows) > 20


def test_a_web_page_is_no_video() -> None:
    class Page(Files):
        content = b"<html>please log in</html>" * 100

    with http_server(Page) as address, pytest.raises(SourceError, match="not a video"):
        opened(f"{address}/login")


def test_a_playlist_behind_http_cannot_reach_files_of_this_machine(tmp_path: Path) -> None:
    video = write_video(tmp_path / "private.ts", 20)

    class Playlist(Files):
        content = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{video}\n#EXT-X-ENDLIST\n".encode()

    with http_server(Playlist) as address, pytest.raises(SourceError):
        opened(f"{address}/list.m3u8", timeout_s=0.5)
