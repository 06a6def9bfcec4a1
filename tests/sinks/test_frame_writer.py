"""Frames go to every sink that wants them, with or without annotations."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.config.schema import Config, VideoConfig
from pipeline.sinks.background import Background
from pipeline.sinks.frame_writer import FrameWriter
from pipeline.sinks.sink import ManagedFrameSink, SinkContext, VideoInfo
from pipeline.sinks.video_recording import VideoFile
from pipeline.transport.messages import FrameTracks, Instances
from pipeline.transport.planes import Planes, planes_bytes
from pipeline.video.overlay import Overlay
from tests.running import frames_of

WIDTH, HEIGHT = 320, 180
VIDEO = VideoInfo(WIDTH, HEIGHT, 25.0, (1, 1), live=False)
CONFIG = Config.model_validate({"streams": {"gate": {"source": "x"}}})


class Kept:
    """A sink that remembers copies of the luma and of one chroma plane."""

    def __init__(self, *, annotated: bool = True, silence_every_s: float = 0.0) -> None:
        self.annotated, self.silence_every_s = annotated, silence_every_s
        self.watched = True
        self.lumas: list[np.ndarray] = []
        self.chromas: list[np.ndarray] = []

    def begin(self, video: VideoInfo) -> None:
        assert video == VIDEO

    def wants(self, tracks: FrameTracks) -> bool:
        return self.watched

    def ready(self) -> bool:
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        self.lumas.append(planes.y.copy())
        self.chromas.append(planes.u.copy())

    def close(self) -> None:
        pass

    def closed(self) -> bool:
        return True


def tracks(seq: int) -> FrameTracks:
    """Frame `seq` with one person in the middle."""
    return FrameTracks(
        stream="gate", epoch=0, seq=seq, index=seq, pts_s=seq / 25, wall_s=0.0, ids=np.array([1]),
        boxes_px=np.array([[140, 60, 180, 150]], np.float32), scores=np.array([0.9], np.float32),
        class_ids=np.array([0], np.int16), masks=np.full((1, *Instances.ARRAYS["masks"][1][1:]), 255, np.uint8),
        feet_px=np.array([[160, 150]], np.float32),
    )  # fmt: skip


def grey() -> Planes:
    buffer = np.full(planes_bytes(WIDTH, HEIGHT), 128, np.uint8)
    planes = Planes.view(buffer, WIDTH, HEIGHT)
    planes.y[:] = 100
    return planes


def writer(*sinks: ManagedFrameSink) -> FrameWriter:
    return FrameWriter(
        sinks, Overlay(CONFIG.streams["gate"], VideoConfig(), ("person",), WIDTH, HEIGHT), VIDEO
    )


def context(out: Path, incarnation: int = 0) -> SinkContext:
    (out / "log").mkdir(exist_ok=True)
    return SinkContext("video", "gate", 0, incarnation, out, "run", ("person",))


def test_a_sink_gets_the_annotated_frame_and_another_one_the_plain_frame() -> None:
    annotated, plain = Kept(), Kept(annotated=False)
    frames = writer(annotated, plain)
    for seq in range(2):
        frames.write(grey(), tracks(seq))
    assert len(annotated.lumas) == len(plain.lumas) == 2
    assert (annotated.chromas[0][35:70, 75:85] != 128).any(), "the mask is drawn"
    assert (annotated.lumas[0][90:170, 230:300] == 100).all(), "and the rest is as it was"
    assert (plain.lumas[0] == 100).all() and (plain.chromas[0] == 128).all()


def test_nothing_is_drawn_for_a_sink_that_wants_nothing() -> None:
    kept = Kept()
    kept.watched = False
    planes = grey()
    writer(kept).write(planes, tracks(0))
    assert not kept.lumas
    assert (planes.y == 100).all() and (planes.u == 128).all()


def test_the_background_is_kept_once_and_without_annotations(tmp_path: Path) -> None:
    background = Background(None, context(tmp_path))
    frames = writer(background, Kept())
    frames.write(grey(), tracks(0))
    kept = (tmp_path / "log" / "gate.jpg").read_bytes()
    frames.write(grey(), tracks(1))
    assert (tmp_path / "log" / "gate.jpg").read_bytes() == kept
    assert not Background(None, context(tmp_path)).wants(tracks(2)), "nor by the next incarnation"


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_the_video_of_several_incarnations_becomes_one(tmp_path: Path, killed: bool) -> None:
    """One that was killed leaves a part, one that was stopped in order a finished video."""
    seq = 0
    for incarnation, frames in enumerate((150, 150, 20)):
        video = VideoFile(VideoConfig(preset="ultrafast"), context(tmp_path, incarnation))
        sinks = writer(video)
        for _ in range(frames):
            sinks.write(grey(), tracks(seq))
            seq += 1
        if killed and incarnation < 2:
            data = (tmp_path / "gate.mp4.part").read_bytes()
            video.close()
            (tmp_path / "gate.mp4").unlink()
            (tmp_path / "gate.mp4.part").write_bytes(data)
        else:
            video.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.mp4", "log"]
    found = frames_of(tmp_path / "gate.mp4")
    assert found == 320 if not killed else 2 * 50 + 20 <= found < 320, (
        "at most the last fragment of each is missing"
    )


def test_a_video_that_was_finished_before_stays_as_it_is(tmp_path: Path) -> None:
    """The stream had ended; only another one is resumed."""
    first = VideoFile(VideoConfig(preset="ultrafast"), context(tmp_path))
    frames = writer(first)
    for seq in range(10):
        frames.write(grey(), tracks(seq))
    first.close()
    again = VideoFile(VideoConfig(preset="ultrafast"), context(tmp_path, 1000))
    writer(again)
    again.close()
    assert frames_of(tmp_path / "gate.mp4") == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.mp4", "log"]


def test_a_file_cannot_be_resumed_as_somebody_elses(tmp_path: Path) -> None:
    """A first incarnation does not take what lies there for its own."""
    (tmp_path / "gate.mp4").write_bytes(b"x")
    video: Any = VideoFile(VideoConfig(preset="ultrafast"), context(tmp_path))
    writer(video)
    assert not video._parts


def test_while_no_frame_comes_the_last_one_is_shown_with_a_word_on_it() -> None:
    video, page, other = Kept(silence_every_s=inf), Kept(silence_every_s=1.0), Kept()
    overlay = Overlay(CONFIG.streams["gate"], VideoConfig(), ("person",), WIDTH, HEIGHT)
    writer = FrameWriter([video, page, other], overlay, VIDEO)
    planes = Planes.view(np.full(planes_bytes(WIDTH, HEIGHT), 90, np.uint8), WIDTH, HEIGHT)
    writer.write(planes, tracks(0))
    before = planes.y.copy()
    silent = msgspec.structs.replace(tracks(0), condition="no signal", condition_since_s=1.8e9)
    for second in range(5):
        writer.write_silence(planes, silent, 100.0 + second / 2)
    assert (len(video.lumas), len(page.lumas), len(other.lumas)) == (2, 4, 1)
    assert np.array_equal(planes.y, before), "the picture in the ring stays as it is"
    differs = video.lumas[1] != before
    assert differs[HEIGHT // 2 - 8 : HEIGHT // 2 + 8].any() and not differs[: HEIGHT // 4].any()
    writer.write(planes, tracks(1))
    writer.write_silence(planes, silent, 103.0)
    assert len(video.lumas) == 4, "another silence is told again"


def test_what_is_wrong_with_the_picture_is_told_at_its_top() -> None:
    kept = Kept()
    writer = FrameWriter(
        [kept], Overlay(CONFIG.streams["gate"], VideoConfig(), ("person",), WIDTH, HEIGHT), VIDEO
    )
    for condition in ("", "frozen"):
        planes = Planes.view(np.full(planes_bytes(WIDTH, HEIGHT), 90, np.uint8), WIDTH, HEIGHT)
        writer.write(planes, msgspec.structs.replace(tracks(0), condition=condition, condition_since_s=1.8e9))
    rows, columns = np.nonzero(kept.lumas[0] != kept.lumas[1])
    assert len(rows) and rows.max() < HEIGHT // 4
    assert columns.min() > 60, "beside the panel of counts"
