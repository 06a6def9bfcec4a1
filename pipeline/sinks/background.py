"""`DIR/log/STREAM.jpg`: the first frame of a stream, over which its heat map is drawn."""

from __future__ import annotations

from pipeline.records.heat_file import view_path
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.heatmap import save_background


class Background:
    """Keeps one frame without annotations, unless an earlier incarnation has done so.

    Args:
        settings: None.
        context: Of the stream.
    """

    annotated = False
    silence_every_s = 0.0

    def __init__(self, settings: None, context: SinkContext) -> None:
        self._path = view_path(context.out, context.stream)
        self._done = self._path.exists()
        self._sample_aspect = (1, 1)

    def begin(self, video: VideoInfo) -> None:
        """Takes the shape of the pixels.

        Args:
            video: What is known of the frames.
        """
        self._sample_aspect = video.sample_aspect

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether there is none yet.

        Args:
            tracks: Of the frame that is due.
        """
        return not self._done

    def ready(self) -> bool:
        """Always."""
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Keeps the frame.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.

        Raises:
            OutputError: It cannot be written.
        """
        save_background(self._path, planes, self._sample_aspect)
        self._done = True

    def close(self) -> None:
        """Nothing is open."""

    def closed(self) -> bool:
        """Always: nothing is buffered."""
        return True
