"""A folder of recordings, as a recorder writes it: its video files are played one after another."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from pipeline.config.time_zone import zone_of
from pipeline.errors import SourceError
from pipeline.files import reading
from pipeline.video.sources.file_decoder import Opener
from pipeline.video.sources.folder_decoder import FolderDecoder, Recording
from pipeline.video.sources.folder_files import video_paths
from pipeline.video.sources.growing_file import GrowingOpener
from pipeline.video.sources.recording_time import file_time
from pipeline.video.sources.source import Source, SourceRequest
from pipeline.video.sources.video_file import RecordingSource, file_opener

LOOK_S = 1.0
"""How often a folder is looked at for newer files."""
FINISHED_S = 60.0
"""The newest file is finished when nobody has written to it for this long."""


def open_folder(request: SourceRequest) -> Source:
    """Opens a folder of recordings, `request.target` being its path.

    Args:
        request: Its address, settings and where to begin.

    Raises:
        SourceError: None of its files can be opened.
    """
    return FolderSource(request)


class FolderSource(RecordingSource):
    """The videos of a folder and its subfolders as one recording; see `RecordingSource`.

    Media time follows the times at which the files were recorded, where names or containers tell them; then what lies
    between two files is a pause, after which a new epoch begins.

    Args:
        request: Which frames to deliver.

    Raises:
        SourceError: None of its files can be opened, or decoded.
    """

    def __init__(self, request: SourceRequest) -> None:
        super().__init__(request)
        self._folder = Path(request.target)
        self._looked_s = 0.0
        self._times: dict[Path, datetime | None] = {}
        """When the files were recorded that are finished."""
        with reading(self._folder, SourceError):
            recordings = self._recordings()
        decoder = FolderDecoder(
            recordings,
            lambda path: self._decoder_of(self._opener_of(path)),
            self.stats,
            request.shown,
            look=self._recordings if request.config.follow else None,
            wait=self._wait,
        )
        self._begin(decoder, request.shown)

    def _recordings(self) -> list[Recording]:
        return in_order([Recording(path, self._time(path)) for path in video_paths(self._folder)])

    def _opener_of(self, path: Path) -> Opener:
        """Of a folder that is followed, more of a file comes until it is finished."""
        if self.config.follow:
            return GrowingOpener(str(path), lambda: self._is_over(path))
        return file_opener(str(path))

    def _is_over(self, path: Path) -> bool:
        if self.ended:
            return True
        if time.monotonic() - self._looked_s < LOOK_S:
            return False
        self._looked_s = time.monotonic()
        return _is_finished(path) or self._recordings()[-1].path != path

    def _wait(self) -> bool:
        self.wait_until(time.monotonic() + LOOK_S)
        return not self.ended

    def _time(self, path: Path) -> datetime | None:
        if path not in self._times:
            found = file_time(path, self.request.zone or zone_of(None), self.config.start_pattern)
            if found is None and not _is_finished(path):
                return None  # its beginning may not be written yet
            self._times[path] = found
        return self._times[path]


def _is_finished(path: Path) -> bool:
    """Whether nobody has written to a file for long, or it is gone."""
    try:
        return time.time() - path.stat().st_mtime > FINISHED_S
    except OSError:
        return True


def in_order(recordings: list[Recording]) -> list[Recording]:
    """Recordings in the order of their times, if all of them have one.

    Args:
        recordings: In natural order of their names.
    """
    starts = [recording.start for recording in recordings]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        return recordings
    return [
        recording for _, recording in sorted(zip(known, recordings, strict=True), key=lambda pair: pair[0])
    ]
