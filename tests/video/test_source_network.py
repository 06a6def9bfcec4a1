"""Sources beside RTSP and files: RTMP, MPEG-TS over UDP and TCP, HLS, snapshots, pipes; each from a real sender."""

from __future__ import annotations

import base64
import functools
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.kinds import find_kind, is_recording
from pipeline.video.sources.pacing import Pacer
from pipeline.video.sources.source import Source
from pipeline.video.sources.source_registry import open_source
from tests.running import Command, log_size, scene, summary, tallycam, wait_until
from tests.test_streams_apart import free_port, run_log
from tests.video.media import picture, rtsp_server, write_rtsp_clip, write_video
from tests.video.test_source_live import Taker, needs_rtsp

Ffmpeg = Callable[..., Any]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s at 25 fps without B-frames, a keyframe every half second."""
    options = {"tune": "zerolatency", "x264-params": "sliced-threads=0"}
    return write_video(tmp_path_factory.mktemp("network") / "c.mp4", 300, gop=12, options=options)


@pytest.fixture
def ffmpeg(need_program: Callable[[str, str], str], clip: Path) -> Ffmpeg:
    """Sends the clip at its own speed, over and over, until the context ends."""
    program = need_program("ffmpeg", "ffmpeg")

    @contextmanager
    def send(*output: str, stdout: Any = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
        words = [program, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", *output]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout) as sender:
            try:
                yield sender
            finally:
                sender.kill()

    return send


def opened(url: str, stop: threading.Event | None = None, **settings: Any) -> Source:
    """Opens a source whose sender may just be starting."""
    last: list[SourceError] = []

    def attempt() -> Source | None:
        try:
            return open_source(StreamConfig(source=url, **settings), stop=stop or threading.Event())
        except SourceError as error:
            last.append(error)
            return None

    source: Source = wait_until(attempt, what=f"{url}: {last[-1:]}", every_s=0.1)
    return source


def in_order(source: Source, count: int) -> None:
    """Takes some frames: they are those of the clip, one after the other."""
    taker = Taker(source)
    taker.wait(lambda: len(taker.rows) >= count, 30.0)
    source.close()
    assert_in_order(taker.rows[3:])


def assert_in_order(rows: list[tuple[int, float, int, int]]) -> None:
    """The numbers in the pictures advance as the times do, however many frames a busy machine left out."""
    times = [row[1] for row in rows]
    assert times == sorted(times)
    steps = [
        ((after[3] - before[3]) % 256, round((after[1] - before[1]) * 25)) for before, after in pairwise(rows)
    ]
    wrong = [(numbers, frames) for numbers, frames in steps if numbers != frames % 256]
    assert len(wrong) <= 2, f"the clip starts again once or twice at most: {steps}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["udp", "tcp", "rtmp"])
def test_a_sender_is_read_in_order_and_found_again(ffmpeg: Ffmpeg, kind: str) -> None:
    port = free_port()
    outputs = {
        "udp": (f"udp://127.0.0.1:{port}", "-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"),
        "tcp": (f"tcp://127.0.0.1:{port}", "-f", "mpegts", f"tcp://127.0.0.1:{port}?listen"),
        "rtmp": (f"rtmp://127.0.0.1:{port}/a", "-f", "flv", "-listen", "1", f"rtmp://127.0.0.1:{port}/a"),
    }
    url, *output = outputs[kind]
    stop = threading.Event()
    with ffmpeg(*output):
        source = opened(url, stop, timeout_s=1.0)
        assert (source.info.kind, source.info.live) == (kind, True)
        assert (source.info.width, source.info.height) == (160, 120)
        taker = Taker(source)
        taker.wait(lambda: len(taker.rows) >= 30, 30.0)
    wait_until(lambda: source.stats.lost_s > 0, what="the loss")
    with ffmpeg(*output):
        taker.wait(lambda: taker.epoch() >= 1, 30.0)
        stop.set()
        taker.wait(lambda: taker.ended)
    assert_in_order([row for row in taker.rows if row[2] == 0][3:])


@needs_rtsp
def test_a_camera_that_sends_over_udp_only(clip: Path, tmp_path: Path) -> None:
    with rtsp_server(write_rtsp_clip(clip, tmp_path / "c.aus")) as (_, port):
        source = opened(f"rtsp://127.0.0.1:{port}/cam", rtsp_transport="udp")
        in_order(source, 30)


@pytest.mark.slow
def test_live_hls_is_played_at_its_own_speed_although_it_comes_in_bursts(
    ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    handler = functools.partial(Quiet, directory=str(tmp_path))
    hls = ("-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, ffmpeg(*hls, str(tmp_path / "live.m3u8")):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wait_until(lambda: len(list(tmp_path.glob("*.ts"))) >= 3, what="segments")
        source = opened(f"http://127.0.0.1:{server.server_address[1]}/live.m3u8")
        taker = Taker(source, read=False)
        taker.wait(lambda: source.stats.decoded >= 150, 60.0)
        source.close()
        server.shutdown()
    assert len(taker.rows) > 0.6 * source.stats.decoded, (
        "most frames are delivered, not only the last of a burst"
    )


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nothing on the terminal."""


class Snapshots(BaseHTTPRequestHandler):
    """A camera with a picture that changes with each request, behind a password."""

    number = 0
    still = False
    broken = False

    def do_GET(self) -> None:
        cls = type(self)
        wanted = "Basic " + base64.b64encode(b"viewer:hunter2").decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        if not cls.still:
            cls.number += 1
        image = cv2.cvtColor(picture(cls.number % 256, 160, 120), cv2.COLOR_RGB2BGR)
        data = b"<html>" if cls.broken else cv2.imencode(".jpg", image)[1].tobytes()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def snapshots() -> Iterator[tuple[str, type[Snapshots]]]:
    handler = type("Handler", (Snapshots,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}/picture.jpg", handler
        server.shutdown()


def test_a_snapshot_address_is_polled(snapshots: tuple[str, type[Snapshots]]) -> None:
    place, camera = snapshots
    source = opened(f"http://viewer:hunter2@{place}", fps=50)
    assert (source.info.kind, source.info.live, source.info.width) == ("snapshot", True, 160)
    taker = Taker(source)
    taker.wait(lambda: len(taker.rows) >= 10)
    numbers = [row[3] for row in taker.rows]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    camera.still = True
    wait_until(lambda: taker.rows[-1][3] == camera.number)
    known = len(taker.rows)
    camera.broken = True
    wait_until(lambda: "is no picture" in source.stats.last_error)
    assert source.stats.lost_s > 0 and "hunter2" not in source.stats.last_error
    assert len(taker.rows) == known, "the same picture is no new frame"
    camera.broken = camera.still = False
    taker.wait(lambda: len(taker.rows) >= known + 5)
    assert source.stats.reconnects == 1 and source.stats.lost_s == 0
    source.close()


def test_a_wrong_password_of_a_snapshot_is_one_line(snapshots: tuple[str, type[Snapshots]]) -> None:
    with pytest.raises(SourceError, match=r"rejected the user name or password \(401\)") as caught:
        open_source(
            StreamConfig(source=f"snapshot:http://viewer:wrong77@{snapshots[0]}"), stop=threading.Event()
        )
    assert "wrong77" not in str(caught.value)


@pytest.mark.slow
def test_standard_input_is_counted_to_its_end(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    config, out = scene(tmp_path, 100), tmp_path / "out"
    words = ("ffmpeg", "-v", "error", "-i", str(tmp_path / "clip.mp4"), "-c", "copy", "-f", "mpegts", "-")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as sender:
        code, _, err = tallycam_with(sender.stdout, "run", config, "--source", "-", "--out", out)
    assert code == 0, err
    frames = summary(out)["frames"]
    assert frames["decoded"] >= 95 and frames["processed"] > 0


def tallycam_with(stdin: Any, *words: str | Path) -> tuple[int, str, str]:
    """`tallycam` with something on its standard input."""
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, words)], stdin=stdin, capture_output=True, text=True,
        cwd=Path(__file__).parents[2], timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_named_pipe_is_waited_for_read_and_left_by_ctrl_c(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    config, out, pipe = scene(tmp_path, 50), tmp_path / "out", tmp_path / "video"
    os.mkfifo(pipe)
    with Command(
        "run", config, "--source", pipe, "--out", out, "--set", "output.video.codec=none"
    ) as command:
        wait_until(lambda: "ready" in run_log(out))
        for _ in range(2):  # one program after the other
            before = log_size(out)
            with pipe.open("wb") as target, ffmpeg("-f", "mpegts", "-", stdout=target):
                wait_until(lambda before=before: log_size(out) > before + 5_000, what="frames from the pipe")
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    with Command("run", config, "--source", pipe, "--out", tmp_path / "none") as command:
        wait_until(lambda: (tmp_path / "none" / "log" / "run.log").exists())
        command.stage("decode/gate")
        command.popen.send_signal(signal.SIGINT)
        assert command.finish()[0] == 130, "nobody has written: it was stopped before it had started"


def test_srt_is_refused_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    config = scene(tmp_path, 10)
    code, _, err = tallycam(
        "run", config, "--source", "srt://u:hunter2@127.0.0.1:9000", "--out", tmp_path / "out"
    )
    assert code == 3
    assert len(err.strip().splitlines()) == 1 and "hunter2" not in err
    assert "has no SRT" in err and "udp://127.0.0.1:5000" in err


@pytest.mark.parametrize(
    ("address", "kind", "recording"),
    [
        ("-", "pipe", False),
        ("udp://@:5000", "udp", False),
        ("tcp://10.0.0.1:5000", "tcp", False),
        ("rtmps://h/live", "rtmp", False),
        ("http://h/p.JPG?size=full", "snapshot", False),
        ("snapshot:http://h/cgi", "snapshot", False),
        ("http://h/video.mp4", "url", False),
        ("synthetic:1", "synthetic", True),
    ],
)
def test_each_address_has_its_kind(address: str, kind: str, recording: bool) -> None:
    found = find_kind(address)
    assert found.name == kind
    assert found.target(address)
    assert is_recording(StreamConfig(source=address)) == recording
    assert not is_recording(StreamConfig(source=address, realtime=True))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("udp://host", "expected udp://HOST:PORT"),
        ("snapshot:ftp://u:hunter2@h/x", "expected snapshot:http://HOST"),
        ("rtmp:///x", "no valid host name"),
    ],
)
def test_an_address_that_lacks_something_is_one_line(address: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        find_kind(address).target(address)
    assert "hunter2" not in str(caught.value)


def test_bursts_are_played_at_the_speed_of_their_timestamps() -> None:
    pacer, now_s, played = Pacer(), 0.0, []
    for segment in range(5):
        now_s = max(now_s, 2.0 * segment)  # 50 frames arrive at once, every two seconds
        for frame in range(50):
            now_s += pacer.wait_s(100 + 2.0 * segment + frame / 25, now_s)
            played.append(now_s)
    assert played == pytest.approx([number / 25 for number in range(250)], abs=1e-6)


def test_a_stream_that_falls_far_behind_or_jumps_is_played_on_from_there() -> None:
    pacer = Pacer()
    assert pacer.wait_s(0.0, 0.0) == 0.0
    assert pacer.wait_s(1.0, 0.5) == 0.5
    assert pacer.wait_s(1.0, 30.0) == 0.0
    assert pacer.wait_s(2.0, 30.0) == 1.0
    assert pacer.wait_s(5000.0, 31.0) == 0.0, "another time base"
    assert pacer.wait_s(5001.0, 31.0) == 1.0
