"""Decodes a video file any number of times, from its beginning or from a keyframe, always with the same media times."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.video.sources.decoder import MAX_FAILED_READS, decoded, open_container, video_stream
from pipeline.video.sources.media_clock import MediaClock
from pipeline.video.sources.source import SourceStats
from pipeline.video.sources.stream_info import (
    duration_s,
    fps_or_default,
    has_decoding_order,
    nominal_fps,
    observed_fps,
    raw_time_s,
    sample_aspect,
    stream_duration_s,
)

log = logging.getLogger(__name__)

SAME_S = 1e-6
"""Media times closer to each other than this are equal."""
_LOOKAHEAD_FRAMES = 8
"""Frames decoded before the first one is delivered, to see which of a stream's timestamps can be trusted."""
_REPAIRS_WORTH_A_WARNING = 10


class Opener(Protocol):
    """Opens a video's container, once for each playback.

    Attributes:
        shown: the address for messages, without secrets.
        failed_reads_max: consecutive failed reads after which the video is considered ended.
    """

    @property
    def shown(self) -> str: ...

    @property
    def failed_reads_max(self) -> int: ...

    def open(self) -> InputContainer:
        """Opens the container at its beginning. Raises `SourceError`."""
        ...

    def begin_reading(self) -> None:
        """The container that was opened last is at the place where reading begins."""
        ...


@dataclass(frozen=True, slots=True)
class ContainerOpener:
    """Opens a container that is complete, or whose server waits for more; an `Opener`.

    Attributes:
        url: address or path, as FFmpeg takes it.
        shown: the address for messages, without secrets.
        options: of the demuxer and the protocol.
        timeout_s: limit for each read; None waits indefinitely.
        failed_reads_max: consecutive failed reads after which the video is considered ended.
    """

    url: str
    shown: str
    options: dict[str, str]
    timeout_s: float | None = None
    failed_reads_max: int = MAX_FAILED_READS

    def open(self) -> InputContainer:
        """Opens the container at its beginning. Raises `SourceError`."""
        return open_container(self.url, self.options, shown=self.shown, timeout_s=self.timeout_s)

    def begin_reading(self) -> None:
        """Nothing changes."""


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded frame on the media timeline.

    Attributes:
        frame: its pixels.
        pts_s: media time.
        jumps: number of discontinuities before it.
        exact: its media time is its own timestamp; made-up times depend on all frames before.
    """

    frame: av.VideoFrame
    pts_s: float
    jumps: int
    exact: bool


class Decoder(Protocol):
    """What decodes a recording: one file, or the files of a folder.

    Attributes:
        fps: Nominal frame rate in Hz; None if unknown.
        duration_s: Seconds from its beginning to its end; None if unknown.
        paused_s: Seconds of them in which nothing was recorded.
        sample_aspect: Width and height of a displayed pixel relative to each other.
    """

    fps: float | None
    duration_s: float | None
    paused_s: float
    sample_aspect: tuple[int, int]

    def open(self) -> TimedFrame | None:
        """Opens it, and gives its first frame; None if none can be decoded. Raises `SourceError`."""
        ...

    def play(self, from_s: float) -> Iterator[TimedFrame]:
        """Yields the frames from the keyframe at or before a media time on."""
        ...

    def epoch_at(self, pts_s: float) -> int:
        """The epoch at a media time, as far as it follows from what is recorded when."""
        ...


class FileDecoder:
    """Decodes the main video stream of a file; a `Decoder`.

    Args:
        opener: opens the container.
        stats: counts errors and repaired times.
        ended: polled between packets; ends the frames.
        threads: of the decoder.
    """

    def __init__(self, opener: Opener, stats: SourceStats, ended: Callable[[], bool], threads: int) -> None:
        self._opener, self._stats, self._ended, self._threads = opener, stats, ended, threads
        self._first: Iterator[TimedFrame] | None = None
        self._zero_s: float | None = None
        self._by_dts: bool | None = None
        self._warned = False
        self.fps: float | None = None
        """Nominal frame rate in Hz; None if unknown."""
        self.duration_s: float | None = None
        """Stated duration in seconds; None if unknown."""
        self.paused_s = 0.0
        self.sample_aspect = (1, 1)
        """Width and height of a displayed pixel relative to each other."""

    def open(self) -> TimedFrame | None:
        """Opens the file and learns about it. The frames decoded meanwhile are not lost.

        Returns:
            The first frame; None if none can be decoded.

        Raises:
            SourceError: the file cannot be opened.
        """
        frames = self._decode(None)
        head = next(frames, None)
        if head is not None:
            self._first = itertools.chain([head], frames)
        return head

    def play(self, from_s: float) -> Iterator[TimedFrame]:
        """Yields the frames from the keyframe at or before a media time, or from the beginning if seeking fails.

        Args:
            from_s: Media time, seconds; 0 plays from the beginning.
        """
        opened, self._first = self._first, None
        if from_s > 0.0:
            frames = self._decode(from_s)
            head = next(frames, None)
            # Some containers seek by estimate, and may land behind `from_s`: then frames would be missing.
            if head is not None and head.pts_s <= from_s + SAME_S:
                yield head
                yield from frames
                return
        yield from opened or self._decode(None)

    def epoch_at(self, pts_s: float) -> int:
        """Epoch 0: that the timestamps jump is known where they are decoded.

        Args:
            pts_s: Media time, seconds.
        """
        return 0

    def _decode(self, seek_s: float | None) -> Iterator[TimedFrame]:
        """One pass over the file: from the beginning, or from a keyframe; nothing if seeking fails."""
        with self._opener.open() as container:
            stream = video_stream(container, self._opener.shown)
            stream.thread_type = "AUTO"
            stream.thread_count = self._threads
            if seek_s is not None and (
                self._zero_s is None or not _seek(container, stream, self._zero_s + seek_s)
            ):
                return
            self._opener.begin_reading()
            frames: Iterator[av.VideoFrame] = decoded(
                container, stream, self._stats, self._ended, failed_reads_max=self._opener.failed_reads_max
            )
            if self._by_dts is None:
                first = list(itertools.islice(frames, _LOOKAHEAD_FRAMES))
                self._by_dts = has_decoding_order(first, stream)
                self.fps = observed_fps(
                    nominal_fps(stream), [raw_time_s(one, stream, by_dts=self._by_dts) for one in first]
                )
                self.duration_s = duration_s(container, stream)
                frames = itertools.chain(first, frames)
            clock, count = MediaClock(fps_or_default(self.fps), zero_s=self._zero_s), 0
            for frame in frames:
                raw_s = raw_time_s(frame, stream, by_dts=self._by_dts)
                pts_s = clock.next(raw_s)
                if self._zero_s is None and raw_s is not None:
                    self._zero_s = raw_s - pts_s
                if count == 0:
                    self.sample_aspect = sample_aspect(stream, frame)
                count += 1
                self._note_repairs(clock)
                yield TimedFrame(frame, pts_s, clock.epoch, clock.exact and not self._by_dts)
            if seek_s is None and not self._ended():
                self._note_early_end(stream, count, clock.pts_s)

    def _note_repairs(self, clock: MediaClock) -> None:
        self._stats.retimed = max(self._stats.retimed, clock.repaired)
        if clock.repaired >= _REPAIRS_WORTH_A_WARNING and not self._warned:
            self._warned = True
            log.warning(
                "%s: timestamps repeat or go back; the times of those frames are interpolated",
                self._opener.shown,
            )

    def _note_early_end(self, stream: VideoStream, count: int, last_s: float | None) -> None:
        stated_s, last_s = stream_duration_s(stream), last_s or 0.0
        if stated_s is not None and count < stream.frames * 0.98 and last_s < stated_s - 0.5:
            self._stats.record_error(f"ends after {last_s:.1f} s of {stated_s:.1f} s: the file is truncated")


def _seek(container: InputContainer, stream: VideoStream, time_s: float) -> bool:
    if stream.time_base is None:
        return False
    try:
        container.seek(int(time_s / stream.time_base), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError):
        return False  # the caller decodes from the beginning instead
    return True
