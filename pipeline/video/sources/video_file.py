"""Video files (and finite videos behind HTTP): every frame, in order, the same at every playing."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.convert import Converter, shown_size
from pipeline.video.sources.decoder import (
    FILE_OPTIONS,
    MAX_FAILED_READS,
    decoded,
    fps_or_default,
    nominal_fps,
    open_container,
    raw_time_s,
    video_stream,
)
from pipeline.video.sources.source import (
    BaseSource,
    FrameSampler,
    MediaClock,
    Position,
    SourceFrame,
    SourceInfo,
    wait_until,
)

_SAME_S = 1e-6
_SEEK_WORTH_FRAMES = 100
_SEEK_MARGIN_S = 1.0
"""How far before a known frame a file is entered: the frames right behind a keyframe may lack references."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How the container of a file is opened, as often as the file is played."""

    kind: str
    url: str
    shown: str
    options: dict[str, str]
    timeout_s: float | None = None
    failed_reads_max: int = MAX_FAILED_READS

    def open(self) -> InputContainer:
        return open_container(self.url, self.options, shown=self.shown, timeout_s=self.timeout_s)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A decoded frame with its time in the file and the number of clock jumps before it."""

    frame: av.VideoFrame
    pts_s: float
    jumps: int


def open_file(path: str, config: StreamConfig, **options: object) -> FileSource:
    """Opens a video file; `options` as of `FileSource`.

    Raises:
        SourceError: naming the path, what is wrong and what to do.
    """
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}; check the file and its rights"
        ) from error
    if empty:
        raise SourceError(f"{path}: the file is empty; give a video file")
    # The prefix keeps FFmpeg from reading a protocol into the file's own name.
    opening = Opening("file", "file:" + os.path.abspath(path), path, FILE_OPTIONS)
    return FileSource(opening, config, **options)  # type: ignore[arg-type]


class FileSource(BaseSource):
    """A video with a beginning and an end.

    Entered at `first_index`, it gives the very frames that an uninterrupted playing gives from there on; `near`,
    a frame handed on before, spares decoding everything in front of it. All counters count from `first_index` on.

    Args:
        stop: ends the frames when set.
        threads: decoder threads; None takes one a core, four at the most. They cost about a tenth more CPU time
            than one thread does.

    Raises:
        SourceError: the file cannot be opened, or no frame of it can be decoded.
    """

    def __init__(
        self,
        opening: Opening,
        config: StreamConfig,
        *,
        stop: threading.Event,
        first_index: int = 0,
        near: Position | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(config, stop)
        self._opening = opening
        self._first_index = first_index
        self._near = near if near is not None and self._may_enter_at(near, first_index) else None
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._start_s = config.start_s
        self._facts: SourceInfo | None = None
        self._zero_s: float | None = None
        playing = self._pass(None)
        head = next(playing, None)
        if head is None:
            trouble = f" ({self._stats.last_error})" if self._stats.last_error else ""
            raise SourceError(f"{opening.shown}: no frame of it can be decoded{trouble}; is the file whole?")
        self._first: Iterator[_Timed] | None = itertools.chain([head], playing)
        width, height = shown_size(head.frame)
        assert self._facts is not None  # set with the first frame
        self._info: SourceInfo = replace(self._facts, width=width, height=height)
        if self._info.duration_s == 0.0:
            raise SourceError(
                f"{opening.shown}: start_s {config.start_s:g} is not before the end of the video"
            )
        self._converter: Converter = Converter(width, height)

    def _before_stop(self, timed: _Timed) -> bool:
        """Judged by the time within one playing."""
        return self._config.stop_s is None or timed.pts_s < self._config.stop_s - _SAME_S

    def _may_enter_at(self, near: Position, first_index: int) -> bool:
        return not self._config.loop and near.epoch == 0 and _SEEK_WORTH_FRAMES < near.index <= first_index

    def frames(self) -> Iterator[SourceFrame]:
        sampler = FrameSampler(self._config.fps, self._config.skip, fps_or_default(self._info.fps))
        started_s: float | None = None
        for index, timed in self._numbered():
            reason = sampler.reason_to_skip(index, timed.pts_s)
            if index >= self._first_index:
                self._stats.decoded += 1
                if reason:
                    self._stats.skip(reason)
                else:
                    if self._config.realtime:
                        if started_s is None:
                            started_s = time.monotonic() - timed.pts_s
                        wait_until(started_s + timed.pts_s, self._ended)
                    if self._ended():
                        return
                    yield self._source_frame(index, timed)
            elif index == self._first_index - 1:
                self._stats.errors, self._stats.last_error = 0, ""

    def _source_frame(self, index: int, timed: _Timed) -> SourceFrame:
        frame, converter = timed.frame, self._converter
        if shown_size(frame) != (converter.width, converter.height):
            self._stats.resized += 1
        return SourceFrame(
            index=index,
            pts_s=timed.pts_s,
            wall_s=time.time(),
            epoch=timed.jumps,
            width=converter.width,
            height=converter.height,
            copy_to=lambda planes: converter.copy(frame, planes),
        )

    def _loops(self) -> Iterator[_Timed]:
        """The frames of all playings, their times running on from one to the next."""
        step_s = 1.0 / fps_or_default(self._info.fps)
        offset_s, epoch = 0.0, 0
        while True:
            playing = self._play(self._start_s)
            last: _Timed | None = None
            for timed in playing:
                if timed.pts_s < self._start_s - _SAME_S:
                    continue
                if not self._before_stop(timed):
                    break
                last = replace(timed, pts_s=timed.pts_s + offset_s, jumps=timed.jumps + epoch)
                yield last
            if not self._config.loop or last is None or self._ended():
                return
            offset_s, epoch = last.pts_s + step_s - self._start_s, last.jumps + 1

    def _numbered(self) -> Iterator[tuple[int, _Timed]]:
        """The frames with their index, from the known one on if there is one, else from the first on."""
        if self._near is not None:
            yield from self._from_near(self._near)
        else:
            yield from enumerate(self._loops())

    def _from_near(self, near: Position) -> Iterator[tuple[int, _Timed]]:
        """The frames from the known one on; from the very first one if it is not found where it should be."""
        before_s = -1.0
        playing = self._play(near.pts_s - _SEEK_MARGIN_S)
        for timed in playing:
            if abs(timed.pts_s - near.pts_s) < _SAME_S and 0.0 <= before_s < near.pts_s - _SAME_S:
                rest = itertools.chain([timed], playing)
                yield from enumerate(itertools.takewhile(self._before_stop, rest), near.index)
                return
            if timed.pts_s > near.pts_s:
                break
            before_s = timed.pts_s
        yield from enumerate(self._loops())

    def _play(self, from_s: float) -> Iterator[_Timed]:
        """One playing, from the keyframe at or before `from_s`, or from the very start if that fails."""
        opened, self._first = self._first, None
        if from_s > 0.0:
            playing = self._pass(from_s)
            head = next(playing, None)
            # Seeking is by guess in some containers: frames may be missing in front of the first one.
            if head is not None and head.pts_s <= from_s + _SAME_S:
                yield head
                yield from playing
                return
        yield from opened or self._pass(None)

    def _pass(self, seek_s: float | None) -> Iterator[_Timed]:
        with self._opening.open() as container:
            stream = video_stream(container, self._opening.shown)
            stream.thread_type = "AUTO"
            stream.thread_count = self._threads
            self._facts = self._facts or self._read_facts(container, stream)
            if seek_s is not None and (
                self._zero_s is None or not _seek(container, stream, self._zero_s + seek_s)
            ):
                return
            clock, count = MediaClock(fps_or_default(self._facts.fps), zero_s=self._zero_s), 0
            frames = decoded(
                container, stream, self._stats, self._ended, failed_reads_max=self._opening.failed_reads_max
            )
            for frame in frames:
                raw_s = raw_time_s(frame, stream)
                self._zero_s = raw_s if self._zero_s is None else self._zero_s
                count += 1
                yield _Timed(frame, clock.next(raw_s), clock.epoch)
            if seek_s is None and not self._ended():
                self._note_early_end(stream, count, clock.pts_s)

    def _read_facts(self, container: InputContainer, stream: VideoStream) -> SourceInfo:
        fps = nominal_fps(stream)
        whole_s = _duration_s(container, stream)
        if whole_s is None or self._config.loop:
            duration_s = None
        else:
            duration_s = max(0.0, min(whole_s, self._config.stop_s or whole_s) - self._start_s)
        return SourceInfo(
            kind=self._opening.kind,
            live=self._config.realtime,
            width=0,
            height=0,
            fps=fps,
            duration_s=duration_s,
            frames=None if duration_s is None else max(1, round(duration_s * fps_or_default(fps))),
        )

    def _note_early_end(self, stream: VideoStream, count: int, last_s: float | None) -> None:
        promised_s, last_s = _stream_duration_s(stream), last_s or 0.0
        if promised_s is not None and count < stream.frames * 0.98 and last_s < promised_s - 0.5:
            self._stats.damage(f"ends after {last_s:.1f} s of {promised_s:.1f} s: the file is cut off")


def _stream_duration_s(stream: VideoStream) -> float | None:
    if not stream.duration or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of the video as its container states them."""
    whole_s = _stream_duration_s(stream)
    if whole_s is None and container.duration is not None and container.duration > 0:
        whole_s = container.duration / av.time_base
    return whole_s


def _seek(container: InputContainer, stream: VideoStream, time_s: float) -> bool:
    if stream.time_base is None:
        return False
    try:
        container.seek(int(time_s / stream.time_base), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError):
        return False  # the caller decodes from the start instead
    return True
