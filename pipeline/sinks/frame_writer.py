"""Hands each frame of a stream to the sinks that want it, with annotations drawn if a sink wants those."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from pipeline.sinks.sink import ManagedFrameSink, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.overlay import Overlay


class FrameWriter:
    """The sinks of one stream's frames.

    Args:
        sinks: In the order in which they get a frame.
        overlay: Draws the annotations.
        video: Facts about the frames.
    """

    def __init__(self, sinks: Sequence[ManagedFrameSink], overlay: Overlay, video: VideoInfo) -> None:
        self._sinks, self._overlay = sinks, overlay
        self._silence_s: dict[int, float] = {}
        for sink in sinks:
            sink.begin(video)

    def ready(self) -> bool:
        """Whether every sink can take a frame now."""
        return all(sink.ready() for sink in self._sinks)

    def write(self, planes: Planes, tracks: FrameTracks) -> None:
        """Writes one frame. Annotations are drawn on the planes themselves: they are not read again.

        Args:
            planes: Pixels of the frame, in one buffer.
            tracks: The objects in it, and the counts so far.

        Raises:
            OutputError: A file cannot be written.
        """
        self._silence_s.clear()
        wanting = [sink for sink in self._sinks if sink.wants(tracks)]
        for sink in wanting:
            if not sink.annotated:
                sink.write_frame(planes, tracks)
        annotated = [sink for sink in wanting if sink.annotated]
        if annotated:
            self._overlay.draw(planes, tracks)
        for sink in annotated:
            sink.write_frame(planes, tracks)

    def write_silence(self, planes: Planes, tracks: FrameTracks, now_s: float) -> None:
        """Shows the last frame again, while the source sends none.

        Args:
            planes: Pixels of that frame as it was written; they stay as they are.
            tracks: Of that frame, with what is wrong.
            now_s: Monotonic seconds.

        Raises:
            OutputError: A file cannot be written.
        """
        due = [
            (number, sink)
            for number, sink in enumerate(self._sinks)
            if sink.silence_every_s
            and now_s - self._silence_s.get(number, -inf) >= sink.silence_every_s
            and sink.ready()
            and sink.wants(tracks)
        ]
        if not due:
            return
        copy = planes.copy()
        self._overlay.draw_condition(copy, tracks.condition, tracks.condition_since_s)
        for number, sink in due:
            self._silence_s[number] = now_s
            sink.write_frame(copy, tracks)
