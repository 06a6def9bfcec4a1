"""A camera that is ill, from its stream to events, summary, metrics and picture."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.records.events import EventStore
from pipeline.video.video_index import read_index, video_folder
from tests.running import Command, run_log, scene, summary, wait_until
from tests.test_streams_apart import free_port
from tests.video.test_camera_health import HEIGHT, WIDTH
from tests.video.test_camera_health import scene as pictures

FPS = 10


def write_clip(path: Path, *, frozen_s: float) -> None:
    """10 s of a scene, and then its last picture for a while, as MPEG-TS."""
    made = list(islice(pictures(), 10 * FPS))
    made += [made[-1]] * round(frozen_s * FPS)
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in made:
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, axis=2), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextmanager
def camera(ffmpeg: str, clip: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Sends a clip once, at its own speed."""
    words = [ffmpeg, "-v", "error", "-re", "-i", str(clip), "-c", "copy", "-f", "mpegts", url]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as sender:
        try:
            yield sender
        finally:
            sender.kill()


@pytest.mark.slow
def test_a_picture_that_freezes_and_a_signal_that_ends_are_told_everywhere(
    need_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    ffmpeg, url = need_program("ffmpeg", "ffmpeg"), f"udp://127.0.0.1:{free_port()}"
    clip, out = tmp_path / "camera.ts", tmp_path / "out"
    write_clip(clip, frozen_s=8)
    config = scene(tmp_path, 10, source=url, timeout_s=6.0)
    send = f"{url}?pkt_size=1316"
    with Command("run", config, "--out", out) as command:
        with camera(ffmpeg, clip, send) as sender:
            wait_until(lambda: "its picture is frozen" in run_log(out), what="the frozen picture")
            sender.wait()
        wait_until(lambda: "source lost" in run_log(out), what="the loss")
        with camera(ffmpeg, clip, send):
            wait_until(lambda: "picture is good again" in run_log(out), what="a good picture")
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err

    with EventStore(
        f"sqlite:///{out / 'events.db'}", run=json.loads((out / "run.json").read_text())["run"]
    ) as store:
        rows = [row for row in store.rows() if row["kind"] == "camera"]
    told = [(row["name"], row["direction"]) for row in rows]
    assert told[:3] == [("frozen", "began"), ("frozen", "ended"), ("away", "began")]
    began, ended = rows[2], rows[told.index(("away", "ended"))]
    gone_s = (ended["time"] - began["time"]).total_seconds()
    assert gone_s > 5
    assert abs(ended["dwell_s"] - gone_s) < 3, (
        "that of the clock, but for what a sender has buffered at its start"
    )
    assert summary(out)["camera"]["frozen"]["times"] >= 1
    folder = video_folder(out, "gate")
    *_, last_before = (video for video in read_index(folder) if video.epoch == 0)
    with av.open(str(folder / last_before.file)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    middle = np.s_[HEIGHT // 2 - 10 : HEIGHT // 2 + 10, WIDTH // 4 : -WIDTH // 4]
    changed = np.abs(frames[-1][middle].astype(int) - frames[-2][middle].astype(int)).mean()
    assert changed > 10, "the last picture says that there is no signal"
