"""`--show`: the annotated picture in a window or on a page."""

from __future__ import annotations

from pipeline.config.schema import LiveConfig
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.web.live_view import open_view


class LivePicture:
    """Shows the newest frame to the viewers.

    Args:
        settings: `output.live`.
        context: Of the stream.

    Raises:
        ConfigError: The port of the page is in use.

    Attributes:
        address: Of the page, or the title of the window.
    """

    annotated = True
    silence_every_s = 1.0

    def __init__(self, settings: LiveConfig, context: SinkContext) -> None:
        self._view = open_view(settings, context.stream, context.index)
        self.address = self._view.address

    def begin(self, video: VideoInfo) -> None:
        """Takes the shape of the pixels.

        Args:
            video: What is known of the frames.
        """
        self._view.sample_aspect = video.sample_aspect

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether there is a viewer; without one a frame costs one comparison.

        Args:
            tracks: Of the frame that is due.
        """
        return self._view.watched

    def ready(self) -> bool:
        """Always: a viewer misses what comes too fast."""
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Shows one frame.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.
        """
        self._view.show(planes)

    def close(self) -> None:
        """Ends the view."""
        self._view.close()

    def closed(self) -> bool:
        """Always: nothing is buffered."""
        return True
