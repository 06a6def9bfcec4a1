"""`--show`: the annotated picture in a window or on a page."""

from __future__ import annotations

from pipeline.config.schema import LiveConfig
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.transport.messages import Tracks
from pipeline.transport.planes import Planes
from pipeline.web.live_view import open_view


class LivePicture:
    """Shows the newest frame to whoever is watching.

    Args:
        settings: `output.live`.
        context: Of the stream.

    Raises:
        ConfigError: The port of the page is in use.

    Attributes:
        address: Of the page, or the title of the window.
    """

    annotated = True

    def __init__(self, settings: LiveConfig, context: SinkContext) -> None:
        self._view = open_view(settings, context.stream, context.index)
        self.address = self._view.address

    def begin(self, video: VideoInfo) -> None:
        """Nothing to prepare."""

    def wants(self, tracks: Tracks) -> bool:
        """Whether anybody is watching: without a viewer a frame costs one comparison."""
        return self._view.watched

    def ready(self) -> bool:
        """Always: a viewer misses what comes too fast."""
        return True

    def write_frame(self, planes: Planes, tracks: Tracks) -> None:
        """Shows one frame."""
        self._view.show(planes)

    def close(self) -> None:
        """Ends the view."""
        self._view.close()

    def closed(self) -> bool:
        """Always: nothing is buffered."""
        return True
