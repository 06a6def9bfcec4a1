"""`DIR/video/STREAM/` with `output.video.around_events`: only what was counted, with some seconds before and after."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from pipeline.config.schema import EventClipsConfig, VideoConfig
from pipeline.sinks.sink import SinkContext
from pipeline.sinks.video_files import VideoFiles
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.video_index import VideoEntry, add_to_index
from pipeline.video.video_parts import concat_parts

log = logging.getLogger(__name__)

MIN_PIECE_S = 2.0
"""A new piece costs a keyframe, and the start of an encoder."""


class EventClips(VideoFiles):
    """Encodes everything in short pieces, joins those around events, and deletes the others.

    An event is a change of what is counted: a crossing, a new object, one that enters or leaves a zone, or a fault of
    the camera. Clips that touch each other are one. A clip begins up to `before_s` earlier than it has to, and none
    spans an epoch or more than `file_s`.

    Args:
        settings: `output.video`, with `around_events`.
        context: Of the stream.
    """

    def __init__(self, settings: VideoConfig, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._around = settings.around_events or EventClipsConfig()
        self._piece_s = max(MIN_PIECE_S, self._around.before_s)
        self._counted: tuple[Any, ...] | None = None
        self._events_s: list[float] = []
        """Media times of the events that pieces may still belong to."""
        self._pieces: list[VideoEntry] = []
        """Finished, and not yet joined or deleted."""
        self._wanted: set[str] = set()
        """Those of them that belong to an event."""

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Encodes one frame; see `VideoFiles.write_frame`.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.

        Raises:
            OutputError: It cannot be written.
        """
        counted = (tracks.lines, tracks.zones, tracks.unique, tracks.condition)
        if self._counted is not None and counted != self._counted:
            self._events_s.append(tracks.pts_s)
        self._counted = counted
        super().write_frame(planes, tracks)

    def close(self) -> None:
        """Finishes the last clip.

        Raises:
            OutputError: It cannot be written.
        """
        super().close()
        self._settle(ended=True)

    def _is_over(self, tracks: FrameTracks) -> bool:
        """Whether a frame belongs into another piece than the one before."""
        assert self._first is not None
        return tracks.epoch != self._first.epoch or tracks.pts_s - self._first.pts_s >= self._piece_s

    def _keep(self, entry: VideoEntry) -> None:
        """Decides about pieces when another one is finished."""
        if self._pieces and self._pieces[-1].epoch != entry.epoch:
            self._settle(ended=True)
        self._pieces.append(entry)
        self._settle(ended=False)

    def _settle(self, *, ended: bool) -> None:
        """Joins the pieces that belong to events, and deletes those that no event to come can want."""
        newest_s = self._pieces[-1].last_pts_s if self._pieces else 0.0
        self._wanted |= {piece.file for piece in self._pieces if self._is_wanted(piece)}
        clip: list[VideoEntry] = []
        for number, piece in enumerate(self._pieces):
            if piece.file in self._wanted:
                clip.append(piece)
            elif ended or newest_s - piece.last_pts_s >= self._around.before_s:
                self._join(clip)
                clip = []
                (self._folder / piece.file).unlink(missing_ok=True)
            else:
                left = clip + self._pieces[number:]
                break
        else:
            longest_s = self._config.file_s
            too_long = clip and longest_s is not None and newest_s - clip[0].first_pts_s >= longest_s
            if ended or too_long:
                self._join(clip)
                clip = []
            left = clip
        self._pieces = left
        self._wanted &= {piece.file for piece in left}
        self._events_s = [at_s for at_s in self._events_s if at_s + self._around.after_s >= newest_s]

    def _is_wanted(self, piece: VideoEntry) -> bool:
        return any(
            piece.first_pts_s - self._around.after_s <= at_s <= piece.last_pts_s + self._around.before_s
            for at_s in self._events_s
        )

    def _join(self, clip: list[VideoEntry]) -> None:
        """Makes one file of pieces that follow each other."""
        if not clip:
            return
        first, last = clip[0], clip[-1]
        paths = [self._folder / piece.file for piece in clip]
        joined = concat_parts(paths, paths[0]) if len(paths) > 1 else paths
        for path in joined:
            if path != paths[0]:
                path.unlink(missing_ok=True)
        frames = sum(piece.frames for piece in clip)
        add_to_index(self._folder, [replace(first, end=last.end, last_pts_s=last.last_pts_s, frames=frames)])
        log.info("clip %s closed", paths[0], extra={"stream": self._context.stream})
