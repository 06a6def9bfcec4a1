"""Video files, and finite videos behind HTTP: every frame, in order, and the same at every playback."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.files import reading
from pipeline.video.convert import Converter, shown_size
from pipeline.video.sources.decoder import (
    FILE_OPTIONS,
    MAX_FAILED_READS,
    decoded,
    fps_or_default,
    nominal_fps,
    open_container,
    raw_time_s,
    sample_aspect,
    video_stream,
)
from pipeline.video.sources.frame_sampler import FrameSampler
from pipeline.video.sources.media_clock import MediaClock
from pipeline.video.sources.source import (
    BaseSource,
    FramePosition,
    Source,
    SourceFrame,
    SourceInfo,
    SourceRequest,
)

_SAME_S = 1e-6
_SEEK_WORTH_FRAMES = 100
_SEEK_MARGIN_S = 1.0
"""How far before a known frame to seek: the frames right after a keyframe may lack references."""


@dataclass(frozen=True, slots=True)
class ContainerOpener:
    """Opens a video's container, once for each playback.

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


@dataclass(frozen=True, slots=True)
class _TimedFrame:
    """A decoded frame, its media time, and the number of clock jumps before it."""

    frame: av.VideoFrame
    pts_s: float
    jumps: int


def open_file(request: SourceRequest) -> Source:
    """Opens a video file, `request.target` being its path.

    Raises:
        SourceError: names the path, what is wrong and what to do.
    """
    path = request.target
    with reading(path, SourceError, "check the file and its permissions"), open(path, "rb") as file:
        empty = not file.read(1)
    if empty:
        raise SourceError(f"{path}: the file is empty; give a video file")
    # Without the prefix FFmpeg would take a file name such as `concat:a` for a protocol.
    return FileSource(request, ContainerOpener("file:" + os.path.abspath(path), path, FILE_OPTIONS))


class FileSource(BaseSource):
    """A video with a beginning and an end.

    Started at `first_index`, it delivers exactly the frames that an uninterrupted playback delivers from there on.
    All counters count from `first_index` on. Several decoder threads cost about a tenth more CPU time than one;
    by default there is one for each core, at most four.

    Args:
        request: which frames to deliver.
        opener: opens the container.

    Raises:
        SourceError: the file cannot be opened, or none of its frames can be decoded.
    """

    def __init__(self, request: SourceRequest, opener: ContainerOpener) -> None:
        super().__init__(request)
        self._opener = opener
        self._first_index = request.first_index
        self._threads = request.decoder_threads or min(4, os.cpu_count() or 1)
        self._start_s = self.config.start_s
        self._container_info: SourceInfo | None = None
        self._zero_s: float | None = None
        self._sample_aspect = (1, 1)
        frames = self._decode_pass(None)
        head = next(frames, None)
        if head is None:
            detail = f" ({self.stats.last_error})" if self.stats.last_error else ""
            raise SourceError(f"{opener.shown}: no frame of it can be decoded{detail}; is the file complete?")
        self._first_pass: Iterator[_TimedFrame] | None = itertools.chain([head], frames)
        width, height = shown_size(head.frame)
        assert self._container_info is not None  # set before the first frame, as is the aspect
        self.info: SourceInfo = replace(
            self._container_info, width=width, height=height, sample_aspect=self._sample_aspect
        )
        if self.info.duration_s == 0.0:
            raise SourceError(f"{opener.shown}: start_s {self._start_s:g} is not before the end of the video")
        self._converter: Converter = Converter(width, height)

    def frames(self) -> Iterator[SourceFrame]:
        """Yields the frames; see `Source.frames`."""
        sampler = FrameSampler(self.config.fps, self.config.skip, fps_or_default(self.info.fps))
        started_s: float | None = None
        for index, timed in self._numbered():
            reason = sampler.reason_to_skip(index, timed.pts_s)
            if index >= self._first_index:
                self.stats.decoded += 1
                if reason:
                    self.stats.count_skipped(reason)
                else:
                    if self.config.realtime:
                        if started_s is None:
                            started_s = time.monotonic() - timed.pts_s
                        self.wait_until(started_s + timed.pts_s)
                    if self.ended:
                        return
                    yield self._source_frame(index, timed)
            elif index == self._first_index - 1:
                self.stats.errors, self.stats.last_error = 0, ""

    def _source_frame(self, index: int, timed: _TimedFrame) -> SourceFrame:
        frame, converter = timed.frame, self._converter
        if shown_size(frame) != (converter.width, converter.height):
            self.stats.resized += 1
        return SourceFrame(
            index=index,
            pts_s=timed.pts_s,
            wall_s=time.time(),
            epoch=timed.jumps,
            width=converter.width,
            height=converter.height,
            copy_to=lambda planes: converter.copy(frame, planes),
        )

    def _before_stop(self, timed: _TimedFrame) -> bool:
        """Whether a frame is before `stop_s`, on the timeline of one playback."""
        return self.config.stop_s is None or timed.pts_s < self.config.stop_s - _SAME_S

    def _usable_hint(self) -> FramePosition | None:
        """The frame to seek to, if seeking is possible and saves decoding."""
        hint = self.request.seek_hint
        if hint is None or self.config.loop or hint.epoch != 0:
            return None
        return hint if _SEEK_WORTH_FRAMES < hint.index <= self._first_index else None

    def _loops(self) -> Iterator[_TimedFrame]:
        """The frames of all playbacks; with `loop`, media time continues from one to the next."""
        step_s = 1.0 / fps_or_default(self.info.fps)
        offset_s, epoch = 0.0, 0
        while True:
            last: _TimedFrame | None = None
            for timed in self._play(self._start_s):
                if timed.pts_s < self._start_s - _SAME_S:
                    continue
                if not self._before_stop(timed):
                    break
                last = replace(timed, pts_s=timed.pts_s + offset_s, jumps=timed.jumps + epoch)
                yield last
            if not self.config.loop or last is None or self.ended:
                return
            offset_s, epoch = last.pts_s + step_s - self._start_s, last.jumps + 1

    def _numbered(self) -> Iterator[tuple[int, _TimedFrame]]:
        """The frames with their index, from the seek hint on if there is one, else from the first on."""
        hint = self._usable_hint()
        if hint is not None:
            yield from self._from_hint(hint)
        else:
            yield from enumerate(self._loops())

    def _from_hint(self, hint: FramePosition) -> Iterator[tuple[int, _TimedFrame]]:
        """The frames from the hint on; all frames if the hint is not found where it should be."""
        previous_s = -1.0
        frames = self._play(hint.pts_s - _SEEK_MARGIN_S)
        for timed in frames:
            # An earlier frame with another time proves that this is the first frame with the hint's time.
            if abs(timed.pts_s - hint.pts_s) < _SAME_S and 0.0 <= previous_s < hint.pts_s - _SAME_S:
                rest = itertools.chain([timed], frames)
                yield from enumerate(itertools.takewhile(self._before_stop, rest), hint.index)
                return
            if timed.pts_s > hint.pts_s:
                break
            previous_s = timed.pts_s
        yield from enumerate(self._loops())

    def _play(self, from_s: float) -> Iterator[_TimedFrame]:
        """One playback, from the keyframe at or before `from_s`, or from the beginning if seeking fails."""
        opened, self._first_pass = self._first_pass, None
        if from_s > 0.0:
            frames = self._decode_pass(from_s)
            head = next(frames, None)
            # Some containers seek by estimate, and may land behind `from_s`: then frames would be missing.
            if head is not None and head.pts_s <= from_s + _SAME_S:
                yield head
                yield from frames
                return
        yield from opened or self._decode_pass(None)

    def _decode_pass(self, seek_s: float | None) -> Iterator[_TimedFrame]:
        """Decodes from the beginning, or from the keyframe at or before `seek_s`; nothing if seeking fails."""
        with self._opener.open() as container:
            stream = video_stream(container, self._opener.shown)
            stream.thread_type = "AUTO"
            stream.thread_count = self._threads
            self._container_info = self._container_info or self._read_info(container, stream)
            if seek_s is not None and (
                self._zero_s is None or not _seek(container, stream, self._zero_s + seek_s)
            ):
                return
            clock, count = MediaClock(fps_or_default(self._container_info.fps), zero_s=self._zero_s), 0
            frames = decoded(
                container,
                stream,
                self.stats,
                lambda: self.ended,
                failed_reads_max=self._opener.failed_reads_max,
            )
            for frame in frames:
                raw_s = raw_time_s(frame, stream)
                if count == 0:
                    self._sample_aspect = sample_aspect(stream, frame)
                self._zero_s = raw_s if self._zero_s is None else self._zero_s
                count += 1
                yield _TimedFrame(frame, clock.next(raw_s), clock.epoch)
            if seek_s is None and not self.ended:
                self._note_early_end(stream, count, clock.pts_s)

    def _read_info(self, container: InputContainer, stream: VideoStream) -> SourceInfo:
        fps = nominal_fps(stream)
        total_s = _duration_s(container, stream)
        if total_s is None or self.config.loop:
            duration_s = None
        else:
            duration_s = max(0.0, min(total_s, self.config.stop_s or total_s) - self._start_s)
        return SourceInfo(
            kind=self.request.kind,
            live=self.config.realtime,
            width=0,
            height=0,
            fps=fps,
            duration_s=duration_s,
            frames=None if duration_s is None else max(1, round(duration_s * fps_or_default(fps))),
        )

    def _note_early_end(self, stream: VideoStream, count: int, last_s: float | None) -> None:
        stated_s, last_s = _stream_duration_s(stream), last_s or 0.0
        if stated_s is not None and count < stream.frames * 0.98 and last_s < stated_s - 0.5:
            self.stats.record_error(f"ends after {last_s:.1f} s of {stated_s:.1f} s: the file is truncated")


def _stream_duration_s(stream: VideoStream) -> float | None:
    if not stream.duration or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Duration of the video in seconds as its container states it."""
    total_s = _stream_duration_s(stream)
    if total_s is None and container.duration is not None and container.duration > 0:
        total_s = container.duration / av.time_base
    return total_s


def _seek(container: InputContainer, stream: VideoStream, time_s: float) -> bool:
    if stream.time_base is None:
        return False
    try:
        container.seek(int(time_s / stream.time_base), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError):
        return False  # the caller decodes from the beginning instead
    return True
