"""Video files, and finite videos behind HTTP: every frame, in order, and the same at every playback."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import replace

from pipeline.errors import SourceError
from pipeline.video.convert import Converter, shown_size
from pipeline.video.sources.address import scheme_of
from pipeline.video.sources.decoder import FILE_OPTIONS
from pipeline.video.sources.file_decoder import (
    SAME_S,
    ContainerOpener,
    Decoder,
    FileDecoder,
    Opener,
    TimedFrame,
)
from pipeline.video.sources.frame_sampler import FrameSampler
from pipeline.video.sources.growing_file import GrowingOpener
from pipeline.video.sources.source import (
    BaseSource,
    FramePosition,
    Source,
    SourceFrame,
    SourceInfo,
    SourceRequest,
)
from pipeline.video.sources.stream_info import fps_or_default

_HTTP_ADVICE = (
    "is it complete? An MP4 with its index at the end needs a server that can seek; "
    "-movflags faststart moves it"
)
_SEEK_WORTH_FRAMES = 100
_SEEK_MARGIN_S = 2.0
"""How far before a known frame to seek: the frames right after a keyframe may lack references, and a media clock that
was ahead of the timestamps by up to a second follows them again."""


def open_file(request: SourceRequest) -> Source:
    """Opens a video file, `request.target` being its path.

    Raises:
        SourceError: names the path, what is wrong and what to do.
    """
    path = request.target
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}; check the file and its permissions"
        ) from error
    if empty:
        raise SourceError(f"{path}: the file is empty; give a video file")
    if request.config.follow:
        return FileSource(request, GrowingOpener(path, request.stop.is_set))
    return FileSource(request, file_opener(path))


def file_opener(path: str) -> ContainerOpener:
    """Opens a file. Without the prefix FFmpeg would take a name such as `concat:a` for a protocol.

    Args:
        path: Of the file.
    """
    return ContainerOpener("file:" + os.path.abspath(path), path, FILE_OPTIONS)


class RecordingSource(BaseSource):
    """Video that can be played from any frame: a file, or the files of a folder. Subclasses call `_begin`.

    Started at `first_index`, it delivers exactly the frames that an uninterrupted playback delivers from there on.
    All counters count from `first_index` on. Several decoder threads cost about a tenth more CPU time than one;
    by default there is one for each core, at most four.

    Args:
        request: which frames to deliver.
    """

    def _decoder_of(self, opener: Opener) -> FileDecoder:
        threads = self.request.decoder_threads or min(4, os.cpu_count() or 1)
        return FileDecoder(opener, self.stats, lambda: self.ended, threads)

    def _begin(self, decoder: Decoder, shown: str) -> None:
        """Opens the recording.

        Raises:
            SourceError: it cannot be opened, or none of its frames can be decoded.
        """
        self._first_index = self.request.first_index
        self._start_s = self.config.start_s
        self._decoder = decoder
        head = self._decoder.open()
        if head is None:
            detail = f" ({self.stats.last_error})" if self.stats.last_error else ""
            advice = _HTTP_ADVICE if scheme_of(shown) in ("http", "https") else "is the file complete?"
            raise SourceError(f"{shown}: no frame of it can be decoded{detail}; {advice}")
        width, height = shown_size(head.frame)
        self.info = self._describe(width, height)
        if self.info.duration_s == 0.0 and not self.config.follow:
            raise SourceError(f"{shown}: start_s {self._start_s:g} is not before the end of the video")
        self._converter = Converter(width, height)

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

    def _describe(self, width: int, height: int) -> SourceInfo:
        fps, total_s = self._decoder.fps, self._decoder.duration_s
        if total_s is None or self.config.loop or self.config.follow:
            duration_s = None
        else:
            duration_s = max(0.0, min(total_s, self.config.stop_s or total_s) - self._start_s)
        return SourceInfo(
            kind=self.request.kind,
            live=self.config.realtime,
            width=width,
            height=height,
            fps=fps,
            duration_s=duration_s,
            frames=None if duration_s is None else self._frames_in(duration_s),
            sample_aspect=self._decoder.sample_aspect,
        )

    def _frames_in(self, duration_s: float) -> int:
        recorded_s = max(0.0, duration_s - self._decoder.paused_s)
        return max(1, round(recorded_s * fps_or_default(self._decoder.fps)))

    def _source_frame(self, index: int, timed: TimedFrame) -> SourceFrame:
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

    def _before_stop(self, timed: TimedFrame) -> bool:
        """Whether a frame is before `stop_s`, on the timeline of one playback."""
        return self.config.stop_s is None or timed.pts_s < self.config.stop_s - SAME_S

    def _numbered(self) -> Iterator[tuple[int, TimedFrame]]:
        """The frames with their index, from the seek hint on if there is one, else from the first on."""
        hint = self._usable_hint()
        if hint is not None:
            yield from self._from_hint(hint)
        else:
            yield from enumerate(self._loops())

    def _usable_hint(self) -> FramePosition | None:
        """The frame to seek to, if seeking is possible and saves decoding."""
        hint = self.request.seek_hint
        if hint is None or self.config.loop or hint.epoch != self._decoder.epoch_at(hint.pts_s):
            return None
        return hint if _SEEK_WORTH_FRAMES < hint.index <= self._first_index else None

    def _from_hint(self, hint: FramePosition) -> Iterator[tuple[int, TimedFrame]]:
        """The frames from the hint on; all frames if the hint is not found where it should be.

        Media times that were made up depend on all frames before: then only decoding from the beginning gives the
        same ones again.
        """
        previous_s = -1.0
        frames = self._decoder.play(hint.pts_s - _SEEK_MARGIN_S)
        for timed in frames:
            if not timed.exact or timed.pts_s > hint.pts_s + SAME_S:
                break
            # An earlier frame with another time proves that this is the first frame with the hint's time.
            if abs(timed.pts_s - hint.pts_s) < SAME_S and 0.0 <= previous_s < hint.pts_s - SAME_S:
                rest = itertools.chain([timed], frames)
                yield from enumerate(itertools.takewhile(self._before_stop, rest), hint.index)
                return
            previous_s = timed.pts_s
        yield from enumerate(self._loops())

    def _loops(self) -> Iterator[TimedFrame]:
        """The frames of all playbacks; with `loop`, media time continues from one to the next."""
        step_s = 1.0 / fps_or_default(self.info.fps)
        offset_s, epoch = 0.0, 0
        while True:
            last: TimedFrame | None = None
            for timed in self._decoder.play(self._start_s):
                if timed.pts_s < self._start_s - SAME_S:
                    continue
                if not self._before_stop(timed):
                    break
                last = replace(timed, pts_s=timed.pts_s + offset_s, jumps=timed.jumps + epoch)
                yield last
            if not self.config.loop or last is None or self.ended:
                return
            offset_s, epoch = last.pts_s + step_s - self._start_s, last.jumps + 1


class FileSource(RecordingSource):
    """One video, of a file or behind HTTP.

    Args:
        request: which frames to deliver.
        opener: opens the container.

    Raises:
        SourceError: it cannot be opened, or none of its frames can be decoded.
    """

    def __init__(self, request: SourceRequest, opener: Opener) -> None:
        super().__init__(request)
        self._begin(self._decoder_of(opener), opener.shown)
