"""A real RTSP server, a real run: counting goes on after a loss, and delay stays bounded when the model is slow."""

import os
import signal
import time
from pathlib import Path

import pytest

from pipeline.demo.clip import DEMO_VIDEO
from pipeline.records.log import read_log
from pipeline.video.video_index import read_index, video_folder
from tests.conftest import ROOT
from tests.running import Command, frames_of, log_size, summary, wait_until
from tests.video.media import rtsp_missing, rtsp_server, write_rtsp_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(rtsp_missing()) and not os.environ.get("CI"), reason=rtsp_missing() or "-"),
]


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled clip as a camera sends it."""
    return write_rtsp_clip(DEMO_VIDEO, tmp_path_factory.mktemp("camera") / "demo.aus")


def size_of(out: Path) -> int:
    return log_size(out, "street")


def grown(out: Path, before: int, by: int = 20_000) -> bool:
    return size_of(out) > before + by


def newest_epoch(out: Path) -> int:
    """Epoch of the newest frame counted: it rises with a reconnection, so frames under way at the loss do not
    look like ones after the return."""
    _, records = read_log(out / "log" / "street.log")
    return max(one.epoch for one in records)


def test_counting_goes_on_after_the_camera_was_away(camera: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with rtsp_server(camera) as (server, port):
        url = f"rtsp://viewer:hunter2@127.0.0.1:{port}/cam"
        arguments = ("run", ROOT / "configs" / "demo.yaml", "--source", url, "--out", out)
        with Command(*arguments) as command:
            wait_until(lambda: grown(out, 0), what="frames to be counted")
            server.kill()
            server.wait()
            with rtsp_server(camera, "--port", str(port)):
                back_s = time.monotonic()
                wait_until(lambda: newest_epoch(out) > 0, what="frames after the camera's return")
                away_s = time.monotonic() - back_s
                command.popen.send_signal(signal.SIGINT)
                code, shown, err = command.finish()
    assert code == 0, err
    result = summary(out, "street")
    frames = result["frames"]
    assert result["reconnects"] >= 1
    assert frames["decoded"] == frames["processed"] + sum(frames["dropped"].values())
    videos = read_index(video_folder(out, "street"))
    assert len({video.epoch for video in videos}) == result["reconnects"] + 1, "no gap is within a file"
    in_files = [frames_of(video_folder(out, "street") / video.file) for video in videos]
    assert in_files == [video.frames for video in videos]
    assert sum(in_files) == frames["processed"]
    assert away_s < 10, "3 s on an idle machine"
    assert "hunter2" not in shown + err + (out / "summary.json").read_text()


def test_delay_is_bounded_and_drops_are_counted_when_the_model_is_slower_than_the_camera(
    camera: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with rtsp_server(camera) as (_, port):
        url = f"rtsp://127.0.0.1:{port}/cam"
        arguments = ("run", ROOT / "configs" / "demo.yaml", "--source", url, "--out", out)
        with Command(*arguments) as command:
            wait_until(lambda: grown(out, 0), what="frames to be counted")
            worker = command.stage("segment/0")
            for _ in range(6):  # the model is held up again and again, as by a busy device
                os.kill(worker, signal.SIGSTOP)
                before = size_of(out)
                held_s = time.monotonic()
                wait_until(lambda since=held_s: time.monotonic() - since > 0.5)
                os.kill(worker, signal.SIGCONT)
                wait_until(lambda size=before: size_of(out) > size, what="frames after a pause")
            before = size_of(out)
            wait_until(lambda: grown(out, before), what="frames after the pauses")
            command.popen.send_signal(signal.SIGINT)
            code, _, err = command.finish()
    assert code == 0, err
    result = summary(out, "street")
    frames = result["frames"]
    assert frames["dropped"]["replaced"] > 30
    assert frames["decoded"] == frames["processed"] + sum(frames["dropped"].values())
    assert result["latency_ms"]["p99"] < 6 * max(500.0, result["latency_ms"]["p50"])
