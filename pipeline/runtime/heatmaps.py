"""`DIR/STREAM-heatmap.png`: where the objects of a stream went, over a frame of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.config.schema import Config, StreamConfig
from pipeline.errors import SourceError
from pipeline.records.heat import Floats, heat_path, read_heat, view_path
from pipeline.transport.planes import Planes, planes_bytes
from pipeline.video.heatmap import Image, heatmap, read_view, write_picture
from pipeline.video.sources.kinds import find_kind
from pipeline.video.sources.registry import open_source

PLAIN = (640, 360)
"""Width and height of a picture without a frame."""


def picture_path(out: Path, stream: str) -> Path:
    """Where the picture of a stream is in the folder of a run."""
    return out / f"{stream}-heatmap.png"


def write_heatmaps(config: Config, out: Path) -> None:
    """The pictures of a run that is over; none for a stream in which nothing was counted.

    Raises:
        OutputError: the folder cannot be written.
    """
    for name, stream in config.streams.items():
        if heat := read_heat(heat_path(out, name)):
            write_heatmap(picture_path(out, name), name, stream, heat, view_path(out, name))


def write_heatmap(
    path: Path,
    name: str,
    stream: StreamConfig,
    heat: Mapping[str, Floats],
    view: Path,
    size: tuple[int, int] = PLAIN,
) -> None:
    """One picture, over the frame that the run kept, else over the first frame of the source where it is still
    there, else over nothing.

    Args:
        heat: class -> (rows, columns): object-seconds in each cell.
        size: width and height where there is no frame.

    Raises:
        OutputError: `path` cannot be written.
    """
    frame = read_view(view)
    if frame is None:
        frame = _first_frame(stream)
    if frame is None:
        frame = np.full((size[1], size[0], 3), 64, np.uint8)
    classes = ", ".join(heat) if len(heat) < 4 else f"{len(heat)} classes"
    write_picture(path, heatmap(frame, heat, stream, f"{name}: time spent, {classes}"))


def _first_frame(stream: StreamConfig) -> Image | None:
    """Of a source that can be opened again and is the same then."""
    try:
        if not find_kind(stream.source).replayable:
            return None
        source = open_source(stream, stop=threading.Event())
    except SourceError:
        return None
    try:
        for frame in source.frames():
            width, height = frame.width, frame.height
            planes = Planes.view(np.zeros(planes_bytes(width, height), np.uint8), width, height)
            frame.copy_to(planes)
            return planes.to_rgb()
    finally:
        source.close()
    return None
