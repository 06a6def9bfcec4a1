"""Heat maps of a run: `DIR/STREAM-heatmap.png` shows where the objects of a stream were, over a frame of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.config.schema import Config, StreamConfig
from pipeline.errors import SourceError
from pipeline.records.heat_file import Floats, heat_path, read_heat, view_path
from pipeline.video.convert import square_pixels
from pipeline.video.heatmap import Image, read_background, render_heatmap, write_image
from pipeline.video.sources.kinds import find_kind
from pipeline.video.sources.source_registry import open_source

EMPTY_SIZE = (640, 360)
"""Width and height in pixels of a heat map for which no frame is available."""
EMPTY_LEVEL = 64


def heatmap_path(out: Path, stream: str) -> Path:
    """Path of a stream's heat map.

    Args:
        out: folder of the run.
        stream: name of the stream.
    """
    return out / f"{stream}-heatmap.png"


def write_heatmaps(config: Config, out: Path) -> None:
    """Writes the heat maps of a finished run, for the streams in which objects were counted.

    Args:
        config: of the run.
        out: folder of the run.

    Raises:
        OutputError: a file cannot be written.
    """
    for name, stream in config.streams.items():
        if heat := read_heat(heat_path(out, name)):
            write_heatmap(heatmap_path(out, name), name, stream, heat, view_path(out, name))


def write_heatmap(
    path: Path,
    name: str,
    stream: StreamConfig,
    heat: Mapping[str, Floats],
    background: Path,
    size: tuple[int, int] = EMPTY_SIZE,
) -> None:
    """Writes one heat map.

    Its background is the frame that the run kept; without one, the first frame of the source if that can be read
    again; else it is plain.

    Args:
        path: of the heat map.
        name: of the stream.
        stream: its source, lines and zones.
        heat: class -> (rows, columns) object-seconds in each cell.
        background: path of the frame that the run kept.
        size: width and height in pixels where there is no frame.

    Raises:
        OutputError: `path` cannot be written.
    """
    frame = read_background(background)
    if frame is None:
        frame = _first_frame(stream)
    if frame is None:
        frame = np.full((size[1], size[0], 3), EMPTY_LEVEL, np.uint8)
    classes = ", ".join(heat) if len(heat) < 4 else f"{len(heat)} classes"
    write_image(path, render_heatmap(frame, heat, stream, f"{name}: time spent, {classes}"))


def _first_frame(stream: StreamConfig) -> Image | None:
    """The first frame of a source that gives the same frames again; None for others, or if it is gone."""
    try:
        if not find_kind(stream.source).replayable:
            return None
        source = open_source(stream, stop=threading.Event())
    except SourceError:
        return None
    try:
        for frame in source.frames():
            return square_pixels(frame.pixels().to_rgb(), source.info.sample_aspect)
    finally:
        source.close()
    return None
