"""A few frames spread over a whole recording: for calibrating and comparing models."""

from __future__ import annotations

import threading

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.transport.planes import Planes
from pipeline.video.sources.source_registry import open_source


def spread_frames(source: str, most: int) -> list[Planes]:
    """Frames at equal distances over a recording, in order.

    Args:
        source: a video file or a folder of images, as in `streams.NAME.source`.
        most: how many at most; of a recording with more frames at least half as many.

    Returns:
        The frames, in memory of their own.

    Raises:
        SourceError: the source cannot be opened, is live, or has no frames.
    """
    opened = open_source(StreamConfig(source=source), stop=threading.Event())
    try:
        if opened.info.live:
            raise SourceError(f"{source}: is live; give a recording, which has a beginning and an end")
        kept: list[Planes] = []
        step = 1
        for number, frame in enumerate(opened.frames()):
            if number % step:
                continue
            if len(kept) == most:
                kept, step = kept[::2], 2 * step
                if number % step:
                    continue
            kept.append(frame.pixels())
    finally:
        opened.close()
    if not kept:
        raise SourceError(f"{source}: has no frames")
    return kept
