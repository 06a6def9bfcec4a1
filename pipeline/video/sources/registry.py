"""Sources: a video file, a folder of images, a camera, an address, or a rendered scene.

`open_source` is the one way in; what it gives behaves alike whatever is behind it (`Source`).
"""

from __future__ import annotations

import threading

from pipeline.config.schema import StreamConfig
from pipeline.video.sources.address import parse_source
from pipeline.video.sources.image_folder import ImagesSource
from pipeline.video.sources.live_source import LiveSource
from pipeline.video.sources.source import (
    FrameSampler,
    MediaClock,
    Position,
    Source,
    SourceFrame,
    SourceInfo,
    SourceStats,
)
from pipeline.video.sources.synthetic import SyntheticSource
from pipeline.video.sources.url import open_url
from pipeline.video.sources.v4l2 import open_camera
from pipeline.video.sources.video_file import open_file

__all__ = [
    "FrameSampler",
    "MediaClock",
    "Position",
    "Source",
    "SourceFrame",
    "SourceInfo",
    "SourceStats",
    "open_source",
    "parse_source",
]


def open_source(
    config: StreamConfig,
    *,
    stop: threading.Event,
    first_index: int = 0,
    near: Position | None = None,
    decoder_threads: int | None = None,
) -> Source:
    """Opens what `config.source` names.

    Args:
        stop: ends the source's frames when set.
        first_index: for sources with an end: the first frame wanted; all are the same as in a playing from 0.
        near: a frame at or before `first_index` handed on in an earlier life; spares decoding all before it.
        decoder_threads: of a video with an end, default up to four; live sources have one, which adds no delay.

    Raises:
        SourceError: the source cannot be opened; one line without passwords.
    """
    address = parse_source(config.source)
    target, threads = address.target, decoder_threads
    match address.kind:
        case "file":
            return open_file(target, config, stop=stop, first_index=first_index, near=near, threads=threads)
        case "images":
            return ImagesSource(target, config, stop=stop, first_index=first_index)
        case "synthetic":
            return SyntheticSource(target, config, stop=stop, first_index=first_index)
        case "camera":
            return LiveSource(
                "camera",
                config.source,
                lambda: open_camera(target, config),
                config,
                stop=stop,
            )
        case kind:
            return open_url(
                kind, target, config, stop=stop, first_index=first_index, near=near, threads=threads
            )
