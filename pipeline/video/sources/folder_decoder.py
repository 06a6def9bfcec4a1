"""Decodes the video files of a folder one after another, on one timeline."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.video.sources.decoder import FILE_OPTIONS, open_container, video_stream
from pipeline.video.sources.file_decoder import SAME_S, FileDecoder, TimedFrame
from pipeline.video.sources.source import SourceStats
from pipeline.video.sources.stream_info import duration_s, fps_or_default

log = logging.getLogger(__name__)

GAP_S = 1.5
"""A file that begins within this time of the end of the one before continues it: names are in whole seconds."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of the folder.

    Attributes:
        path: Of the file.
        start: When it was recorded, in UTC; None if nothing tells.
    """

    path: Path
    start: datetime | None


@dataclass(frozen=True, slots=True)
class Span:
    """A file on the timeline of its folder.

    Attributes:
        path: Of the file.
        start_s, end_s: Media times of its beginning and of its stated end.
        epoch: Number of gaps before it.
    """

    path: Path
    start_s: float
    end_s: float
    epoch: int


def place(recordings: Sequence[Recording], durations_s: Sequence[float]) -> list[Span]:
    """Places files on a timeline by the times at which they were recorded, else one behind the other.

    Args:
        recordings: In the order in which they are played.
        durations_s: Seconds that each of them states.

    Returns:
        One for each file. A file that was recorded `GAP_S` after the end of the one before, or earlier than its end,
        begins an epoch; one that would begin earlier than that end begins at it.
    """
    spans: list[Span] = []
    for recording, length_s in zip(recordings, durations_s, strict=True):
        if not spans:
            spans.append(Span(recording.path, 0.0, length_s, 0))
            continue
        start_s = end_s = spans[-1].end_s
        first, epoch = recordings[0].start, spans[-1].epoch
        if first is not None and recording.start is not None:
            stated_s = (recording.start - first).total_seconds()
            if abs(stated_s - end_s) > GAP_S:
                epoch += 1
                start_s = max(stated_s, end_s)
        spans.append(Span(recording.path, start_s, start_s + length_s, epoch))
    return spans


class FolderDecoder:
    """Decodes the files of a folder; a `Decoder`. A file that cannot be read is counted and left out.

    Args:
        recordings: The files, in the order in which they are played; at least one.
        make: Makes the decoder of a file.
        stats: Counts files that cannot be read.
        shown: The folder, for messages.
        look: Lists the files again: more come. Not given, the recording ends with its last file.
        wait: Waits before `look`; returns whether anybody wants more.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        make: Callable[[Path], FileDecoder],
        stats: SourceStats,
        shown: str,
        look: Callable[[], Sequence[Recording]] | None = None,
        wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self._recordings, self._make, self._stats, self._shown = recordings, make, stats, shown
        self._look, self._wait = look, wait
        self._durations_s: dict[Path, float] = {}
        self._unreadable: set[Path] = set()
        self._spans: list[Span] = []
        self._opened: dict[Path, FileDecoder] = {}
        self.fps: float | None = None
        self.duration_s: float | None = None
        self.paused_s = 0.0
        self.sample_aspect = (1, 1)

    def open(self) -> TimedFrame | None:
        """Places the files on the timeline, and opens the first one.

        Returns:
            The first frame; None if none can be decoded.

        Raises:
            SourceError: None of the files can be opened.
        """
        error = self._place(self._recordings)
        if error is not None and not self._spans:
            raise error
        self.duration_s = self._spans[-1].end_s
        self.paused_s = self.duration_s - sum(span.end_s - span.start_s for span in self._spans)
        for span in self._spans:
            decoder = self._make(span.path)
            head = decoder.open()
            if head is not None:
                self.fps, self.sample_aspect = decoder.fps, decoder.sample_aspect
                self._opened = {span.path: decoder}
                return head
        return None

    def play(self, from_s: float) -> Iterator[TimedFrame]:
        """Yields the frames from the keyframe at or before a media time on.

        Args:
            from_s: Media time, seconds; 0 plays from the beginning.
        """
        number = max(0, bisect.bisect_right(self._spans, from_s, key=lambda span: span.start_s) - 1)
        last_s, jumps = -1.0, 0
        while number < len(self._spans) or self._has_grown():
            span, jumped = self._spans[number], jumps
            number += 1
            opened, self._opened = self._opened, {}
            decoder = opened.get(span.path) or self._make(span.path)
            try:
                for timed in decoder.play(max(0.0, from_s - span.start_s)):
                    pts_s, exact = span.start_s + timed.pts_s, timed.exact
                    if pts_s <= last_s:  # the file before is longer than it states
                        pts_s, exact = last_s + 1.0 / fps_or_default(self.fps), False
                    last_s, jumps = pts_s, jumped + timed.jumps
                    yield replace(timed, pts_s=pts_s, jumps=span.epoch + jumps, exact=exact)
            except SourceError as error:  # it was there when the folder was looked through
                self._note(span.path, error)

    def epoch_at(self, pts_s: float) -> int:
        """The number of gaps between files before a media time.

        Args:
            pts_s: Media time, seconds.
        """
        number = bisect.bisect_right(self._spans, pts_s + SAME_S, key=lambda span: span.start_s) - 1
        return self._spans[max(0, number)].epoch

    def _place(self, recordings: Sequence[Recording]) -> SourceError | None:
        """Places the files that can be read. Returns why the first other one cannot."""
        readable, first = [], None
        for recording in recordings:
            path = recording.path
            try:
                if path not in self._durations_s:
                    self._durations_s[path] = _duration_s(path)
                readable.append(recording)
            except SourceError as error:
                first = first or error
                if self._look is None or recording is not recordings[-1]:  # else it is still written
                    self._note(path, error)
        self._spans = place(readable, [self._durations_s[one.path] for one in readable])
        return first

    def _has_grown(self) -> bool:
        """Waits until there are more files; False: nobody wants them."""
        known = len(self._spans)
        if self._look is None or not known:
            return False
        while self._wait():
            recordings = self._look()
            if recordings and recordings[-1].path != self._spans[-1].path:
                self._durations_s.pop(self._spans[-1].path, None)  # it has grown since
                self._place(recordings)
                if len(self._spans) > known:
                    return True
        return False

    def _note(self, path: Path, error: SourceError) -> None:
        if path in self._unreadable:
            return
        self._unreadable.add(path)
        self._stats.record_error(str(error))
        log.warning("%s: left out: %s", self._shown, error)


def _duration_s(path: Path) -> float:
    """The seconds that a file states. Raises `SourceError`."""
    with open_container("file:" + str(path.absolute()), FILE_OPTIONS, shown=str(path)) as container:
        stated_s = duration_s(container, video_stream(container, str(path)))
    return stated_s or 0.0
