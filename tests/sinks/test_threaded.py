"""The video of a camera has a thread of its own: an encoder that is too slow loses frames of the video alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config.schema import Config
from pipeline.sinks.retried import RetriedSink
from pipeline.sinks.sink import SinkContext
from pipeline.sinks.sink_table import frame_sinks
from pipeline.sinks.threaded import WAITING, ThreadedSink
from pipeline.transport.planes import Planes, planes_bytes
from tests.running import wait_until
from tests.sinks.test_frame_writer import HEIGHT, VIDEO, WIDTH, Kept, tracks

LIVE = replace(VIDEO, live=True)


class Slow(Kept):
    """Takes each frame when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun: list[object] = []
        self.error: Exception | None = None

    def begin(self, video: object) -> None:
        self.begun.append(video)

    def write_frame(self, planes: Planes, frame_tracks: object) -> None:
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        super().write_frame(planes, frame_tracks)  # type: ignore[arg-type]


class Counts:
    def __init__(self) -> None:
        self.missing = 0

    def failed(self) -> None:
        raise AssertionError("nothing fails here")

    def lost(self, number: int) -> None:
        self.missing += number


def picture(value: int) -> Planes:
    return Planes.view(np.full(planes_bytes(WIDTH, HEIGHT), value, np.uint8), WIDTH, HEIGHT)


def offered(subject: ThreadedSink, frames: range) -> int:
    """How many of some frames found room."""
    taken = 0
    for seq in frames:
        if subject.wants(tracks(seq)):
            subject.write_frame(picture(seq), tracks(seq))
            taken += 1
    return taken


def test_frames_that_find_no_room_are_left_out_and_counted_and_the_others_are_written_in_order() -> None:
    slow, counts = Slow(), Counts()
    subject = ThreadedSink("video of gate", slow, counts)
    subject.begin(LIVE)
    taken = offered(subject, range(100))
    assert WAITING[1] - 1 <= taken <= WAITING[1] + 1, "those that wait, and the one that is written"
    assert counts.missing == 100 - taken
    assert subject.ready() and not subject.closed()
    slow.gate.set()
    subject.close()
    wait_until(subject.closed, what="the end of the thread")
    assert [int(luma[0, 0]) for luma in slow.lumas] == list(range(taken)), "copies: each frame as it was"
    assert slow.begun == [LIVE]


def test_a_limit_of_frames_per_second_saves_the_copies() -> None:
    slow, counts = Slow(), Counts()
    slow.gate.set()
    subject = ThreadedSink("video of gate", slow, counts, fps=5)
    subject.begin(LIVE)
    assert offered(subject, range(25)) == pytest.approx(5, abs=1)
    subject.close()
    wait_until(subject.closed, what="the end of the thread")
    assert counts.missing == 0


def test_what_goes_wrong_is_raised_where_the_next_frame_is_offered() -> None:
    slow = Slow()
    slow.error = RuntimeError("broken")
    slow.gate.set()
    subject = ThreadedSink("video of gate", slow, Counts())
    subject.begin(LIVE)
    subject.write_frame(picture(0), tracks(0))

    def failed() -> bool:
        try:
            subject.wants(tracks(1))
        except RuntimeError:
            return True
        return False

    wait_until(failed, what="the error")
    with pytest.raises(RuntimeError, match="broken"):
        subject.closed()


@pytest.mark.parametrize(
    ("source", "settings", "threaded"),
    [("rtsp://camera/a", {}, True), ("a.mp4", {"realtime": True}, True), ("a.mp4", {}, False)],
)
def test_only_live_streams_have_it(
    tmp_path: object, source: str, settings: dict[str, object], threaded: bool
) -> None:
    config = Config.model_validate({"streams": {"gate": {"source": source} | settings}})
    context = SinkContext("", "gate", 0, 0, tmp_path, "run", ("person",))  # type: ignore[arg-type]
    *_, video = frame_sinks(config, context, lambda _: Counts())
    assert isinstance(video, ThreadedSink if threaded else RetriedSink)
    video.close()
    wait_until(video.closed, what="the end of the thread")
