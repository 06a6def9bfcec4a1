"""The pixels of single frames of a run, from its source or from the annotated video."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.audit.marks import AuditError
from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.files import reason
from pipeline.video.convert import square_pixels
from pipeline.video.sources.kinds import find_kind
from pipeline.video.sources.source import FramePosition
from pipeline.video.sources.source_registry import open_source

Image = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB, of square pixels."""
Wanted = tuple[int, float, int]
"""Index of a frame in its source, its media time in seconds, its epoch."""
GAP_FRAMES = 150
"""If wanted frames are further apart, the file is opened again at the next one instead of decoded through."""
_START = re.compile(r"start_s=([0-9.]+)")


def can_be_played_again(stream: StreamConfig) -> bool:
    """Whether the source gives the same frames again: a file or a folder that still exists."""
    try:
        return find_kind(stream.source).replayable and not stream.loop
    except SourceError:
        return False


def source_frames(stream: StreamConfig, wanted: Iterable[Wanted]) -> Iterator[tuple[int, Image]]:
    """Read frames from the source.

    Args:
        stream: configuration of the stream.
        wanted: the frames.

    Yields:
        (index, pixels) in order; frames that the source does not give are left out.

    Raises:
        SourceError: it cannot be opened.
    """
    plain = stream.model_copy(update={"realtime": False})
    for group in _groups(sorted(set(wanted))):
        index, pts_s, epoch = group[0]
        hint = FramePosition(index, pts_s, epoch) if epoch == 0 else None
        left = {number for number, _, _ in group}
        source = open_source(
            plain, stop=threading.Event(), first_index=index, seek_hint=hint, decoder_threads=1
        )
        try:
            for frame in source.frames():
                if frame.index in left:
                    yield frame.index, square_pixels(frame.pixels().to_rgb(), source.info.sample_aspect)
                    left.discard(frame.index)
                if not left or frame.index > group[-1][0]:
                    break
        finally:
            source.close()


def _groups(wanted: list[Wanted]) -> Iterator[list[Wanted]]:
    """Split sorted frames where more than `GAP_FRAMES` lie between two of them."""
    group: list[Wanted] = []
    for one in wanted:
        if group and one[0] - group[-1][0] > GAP_FRAMES:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def video_frames(path: Path, wanted: Iterable[Wanted]) -> Iterator[tuple[int, Image]]:
    """Read frames from the annotated video of a run, by their times.

    Args:
        path: the video.
        wanted: the frames.

    Yields:
        (index, pixels).

    Raises:
        AuditError: it cannot be read.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            match = _START.search(container.metadata.get("comment", ""))
            start_s = float(match.group(1)) if match else 0.0
            ratio = stream.sample_aspect_ratio or Fraction(1)
            shape = ratio.numerator, ratio.denominator
            step_s = float(1 / (stream.average_rate or 25))
            at_s = -np.inf
            frames = container.decode(stream)
            for index, pts_s, _ in sorted(set(wanted), key=lambda one: one[1]):
                due_s = pts_s - start_s
                if due_s - at_s > 4.0:
                    container.seek(int(max(0.0, due_s) / stream.time_base), stream=stream)  # type: ignore[operator]
                    frames = container.decode(stream)
                for frame in frames:
                    at_s = float(frame.time or 0.0)
                    if at_s >= due_s - step_s / 2:
                        image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                        yield index, square_pixels(image, shape)
                        break
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise AuditError(f"{path}: cannot be read: {reason(error)}") from None
