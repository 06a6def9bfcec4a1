"""What a container states about its video stream, as far as it is plausible."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.video.convert import orientation
from pipeline.video.sources.frame_sampler import DEFAULT_FPS

MAX_FPS = 240.0
"""A stated frame rate above this is a time base: some containers state 1000 or 90000."""
FIELD_RATE = 1.5
"""An average rate above this multiple of the guessed one counts fields or empty packets, as AVI may, not frames."""
MIN_STEPS = 5
"""Intervals that have to be equal to show a frame rate."""
STEP_TOLERANCE = 0.05
"""By how much of an interval at the stated rate they may differ."""
MAX_SAMPLE_ASPECT = 8
"""Sample aspect ratios beyond 8:1 or 1:8 are damage."""
JUMP_S = 1.0
"""A timestamp that falls by more than this is a discontinuity, not an order."""


def nominal_fps(stream: VideoStream) -> float | None:
    """Frame rate in Hz as the container states it; None where it states nothing plausible.

    The average over the file comes first: with a variable frame rate, FFmpeg's guess is the rate of the smallest
    interval.

    Args:
        stream: The video stream.
    """
    average, guessed, base = (
        rate if rate is not None and 0 < rate <= MAX_FPS else None
        for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate)
    )
    if average is not None and guessed is not None and average > Fraction(FIELD_RATE) * guessed:
        average = None
    rate = average or guessed or base
    return None if rate is None else float(rate)


def observed_fps(stated: float | None, times_s: Sequence[float | None]) -> float | None:
    """The frame rate that the first frames have, where the stated one is a multiple of it.

    AVI stores a frame that is shown for two intervals as one frame and one empty packet; the stated rate counts both.

    Args:
        stated: `nominal_fps`.
        times_s: timestamps of the first frames, in display order.

    Returns:
        `stated`, unless all frames are the same whole number of its intervals apart.
    """
    steps = [
        after - before for before, after in pairwise(times_s) if before is not None and after is not None
    ]
    if stated is None or len(steps) < MIN_STEPS:
        return stated
    multiple = round(steps[0] * stated)
    if multiple < 2 or any(abs(step * stated - multiple) > STEP_TOLERANCE for step in steps):
        return stated
    return stated / multiple


def fps_or_default(fps: float | None) -> float:
    """`fps`, or the default frame rate where it is unknown.

    Args:
        fps: In Hz; None if unknown.
    """
    return fps if fps is not None else DEFAULT_FPS


def sample_aspect(stream: VideoStream, frame: av.VideoFrame) -> tuple[int, int]:
    """The sample aspect ratio of a stream as its frames are displayed.

    Args:
        stream: whose container or codec states it.
        frame: decoded from the stream; if its orientation exchanges rows and columns, so are the ratio's terms.

    Returns:
        Width and height of a pixel relative to each other; (1, 1) if nothing plausible is stated.
    """
    ratio = stream.sample_aspect_ratio
    if ratio is None or not 1 / MAX_SAMPLE_ASPECT <= ratio <= MAX_SAMPLE_ASPECT:
        return 1, 1
    width, height = ratio.numerator, ratio.denominator
    return (height, width) if orientation(frame).transpose else (width, height)


def stream_duration_s(stream: VideoStream) -> float | None:
    """Duration of a stream in seconds; None where it is not stated.

    Args:
        stream: The video stream.
    """
    if not stream.duration or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Duration of a video in seconds: of its stream, else of its container; None where neither is stated.

    Args:
        container: The container.
        stream: Its video stream.
    """
    total_s = stream_duration_s(stream)
    if total_s is None and container.duration is not None and container.duration > 0:
        total_s = container.duration / av.time_base
    return total_s


def raw_time_s(frame: av.VideoFrame, stream: VideoStream, *, by_dts: bool = False) -> float | None:
    """A frame's timestamp in seconds on the container's timeline.

    Args:
        frame: decoded from the stream.
        stream: whose time base holds.
        by_dts: takes the decoding timestamp of the packet with which the frame was completed; see
            `has_decoding_order`.

    Returns:
        None if the frame has no timestamp.
    """
    timestamp = frame.dts if by_dts else frame.pts
    if timestamp is None or stream.time_base is None:
        return None
    return float(timestamp * stream.time_base)


def has_decoding_order(frames: Sequence[av.VideoFrame], stream: VideoStream) -> bool:
    """Whether the presentation timestamps of a stream are in truth decoding timestamps.

    AVI stores no presentation timestamps, MXF and ASF need not; FFmpeg then numbers the packets in the order of
    decoding. With B-frames, frames are displayed in another order, and these timestamps go back and forth.

    Args:
        frames: the first frames of the stream, in display order.
        stream: whose time base holds.
    """
    times_s = [raw_time_s(frame, stream) for frame in frames]
    return any(
        before is not None and after is not None and 0 < before - after < JUMP_S
        for before, after in pairwise(times_s)
    )
