"""A camera whose picture gets another size: objects keep their place, and each size has a video of its own."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.video.sources.source_registry import open_source
from pipeline.video.video_index import read_index, video_folder
from tests.running import Command, frames_of, run_log, scene, summary, wait_until
from tests.test_ill_camera import camera
from tests.test_streams_apart import free_port
from tests.video.media import write_video

SIZES = ((320, 180), (480, 360), (320, 180))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """4 s of each size, one after the other, as a camera sends them whose settings are changed."""
    whole = tmp_path / "camera.ts"
    with whole.open("wb") as target:
        for number, (width, height) in enumerate(SIZES):
            times = [4.0 * number + frame / 25 for frame in range(100)]
            options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
            part = write_video(
                tmp_path / f"{number}.ts", 100, width=width, height=height, times_s=times, options=options
            )
            target.write(part.read_bytes())
    return whole


def test_frames_of_a_live_source_have_the_new_size_after_a_second(
    need_program: Callable[[str, str], str], clip: Path
) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    stop = threading.Event()
    with camera(need_program("ffmpeg", "ffmpeg"), clip, f"{url}?pkt_size=1316"):
        source = open_source(StreamConfig(source=url), stop=stop)
        sizes: list[tuple[int, int]] = []
        for frame in source.frames():
            if not sizes or sizes[-1] != (frame.width, frame.height):
                sizes.append((frame.width, frame.height))
                assert (source.info.width, source.info.height) == sizes[-1]
            if len(sizes) == len(SIZES):
                source.close()
    assert tuple(sizes) == SIZES
    assert source.stats.resized > 0


@pytest.mark.slow
def test_a_run_goes_on_with_frames_of_another_size(
    need_program: Callable[[str, str], str], clip: Path, tmp_path: Path
) -> None:
    url, out = f"udp://127.0.0.1:{free_port()}", tmp_path / "out"
    config = scene(tmp_path, 10, source=url)
    folder = video_folder(out, "gate")
    with Command("run", config, "--out", out) as command:
        with camera(need_program("ffmpeg", "ffmpeg"), clip, f"{url}?pkt_size=1316"):
            wait_until(
                lambda: SIZES[1] in {(video.width, video.height) for video in read_index(folder)},
                what="a finished video of the second size",
            )
            wait_until(lambda: "source lost" in run_log(out), what="the end of the stream")
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert "died" not in run_log(out)
    videos = read_index(folder)
    sizes = [(video.width, video.height) for video in videos]
    assert [size for size, _ in itertools.groupby(sizes)] == list(SIZES), "an hour may have begun meanwhile"
    for video in videos:
        assert frames_of(folder / video.file) == video.frames > 0
        with av.open(str(folder / video.file)) as container:
            *_, last = container.decode(video=0)
        bottom = last.to_ndarray(format="rgb24")[-20:].astype(int)
        left, right = bottom[:, :40].mean((0, 1)), bottom[:, -40:].mean((0, 1))
        assert left[0] > left[2] + 60 and right[2] > right[0] + 60, "red is left, blue is right"
    frames = summary(out)["frames"]
    assert frames["decoded"] == frames["processed"] + sum(frames["dropped"].values())
