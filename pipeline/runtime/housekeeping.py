"""Housekeeping of a run: deletes what has had its time, and watches the room on the disk.

It works in a thread of the supervisor, so that a slow or hanging disk holds up neither heartbeats nor a stop. Only
files of streams without end are deleted; recordings, all counts, and the events are left alone.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.files import reason
from pipeline.metrics.disk_metrics import DiskMetrics
from pipeline.records.deletion import (
    DAY_S,
    Disk,
    FreeSpaceForecast,
    RetentionLimits,
    StoredFile,
    delete,
    files_in,
    log_segments,
    plan,
)
from pipeline.records.framing import RecordError
from pipeline.runtime.repeating import repeating
from pipeline.sinks.cutouts import cutout_folder
from pipeline.video.sources.kinds import is_recording
from pipeline.video.video_index import video_folder

log = logging.getLogger(__name__)

INTERVAL_S = 60.0
WARN_EVERY_S = 3600.0
SOON_S = 86_400.0
"""A disk that will be full within this time is warned of."""
_FINISHED_VIDEO = r"\.\d{3,}\.mp4"
_QUARANTINED = r"-\d{9,}\.(png|json)"


class Housekeeping:
    """Passes once a minute, from a minute after the start on.

    Args:
        config: Of the run.
        out: Its folder.
        metrics: Take the state of the disk.
    """

    def __init__(self, config: Config, out: Path, metrics: DiskMetrics) -> None:
        self._out, self._metrics = out, metrics
        self._limits = limits_of(config)
        self._names = tuple(config.streams)
        self._endless = [name for name, stream in config.streams.items() if not is_recording(stream)]
        self._forecast = FreeSpaceForecast()
        self._warned_s: dict[str, float] = {}

    def follow(self, config: Config) -> None:
        """Looks after the files of new streams, too; those of removed ones are looked after as before.

        Args:
            config: Of the run from now on.
        """
        endless = [name for name, stream in config.streams.items() if not is_recording(stream)]
        self._names = tuple(dict.fromkeys([*self._names, *config.streams]))
        self._endless = list(dict.fromkeys([*self._endless, *endless]))

    def going_on(self) -> AbstractContextManager[None]:
        """Within, a thread measures the disk at once, and makes a pass every `INTERVAL_S`."""
        return repeating(
            "housekeeping",
            lambda: self.tidy(time.time(), time.monotonic()),
            INTERVAL_S,
            first=lambda: self.measure(time.monotonic()),
        )

    def tidy(self, wall_s: float, now_s: float) -> None:
        """One pass: deletes what is due, then measures the disk.

        Args:
            wall_s: Unix time, with which the times of files are compared.
            now_s: Monotonic time.
        """
        try:
            files = [one for name in self._endless for one in stored_files(self._out, name, self._names)]
            disk = Disk.of(self._out)
        except (OSError, RecordError) as error:
            self._warn("unreadable", now_s, f"{self._out}: cannot be tidied up: {reason(error)}")
            return
        due = plan(files, disk, self._limits, wall_s)
        freed, failures = delete(due)
        if freed:
            self._metrics.deleted(freed)
            log.info("%d old files deleted, %s", len(due) - len(failures), _size(freed))
        if failures:
            self._warn("undeletable", now_s, f"{len(failures)} old files: {failures[0]}")
        self.measure(now_s)

    def measure(self, now_s: float) -> None:
        """Measures the disk, and warns where it is too full or soon will be.

        Args:
            now_s: Monotonic time.
        """
        try:
            disk = Disk.of(self._out)
        except OSError as error:
            self._warn("unreadable", now_s, f"{self._out}: free space is unknown: {reason(error)}")
            return
        self._forecast.add(now_s, disk.free_bytes)
        left_s = self._forecast.seconds_left()
        self._metrics.show(disk.free_bytes, left_s)
        if disk.used_share > self._limits.disk_share + 0.01:
            percent, limit = 100 * disk.used_share, 100 * self._limits.disk_share
            kept = (
                "all that may be deleted is deleted"
                if self._endless
                else "nothing of this run may be deleted"
            )
            text = f"{self._out}: the disk is {percent:.0f} % full, more than {limit:.0f} % (retention.disk_percent)"
            self._warn("full", now_s, f"{text}; {kept}, make room")
        if left_s < SOON_S:
            free = _size(disk.free_bytes)
            text = f"{self._out}: the disk is full in {left_s / 3600:.1f} hours at the present rate, {free} are free"
            self._warn("soon", now_s, text)

    def _warn(self, about: str, now_s: float, text: str) -> None:
        """Logs a warning, at most once an hour about the same."""
        if now_s - self._warned_s.get(about, -math.inf) >= WARN_EVERY_S:
            self._warned_s[about] = now_s
            log.warning("%s", text)


def limits_of(config: Config) -> RetentionLimits:
    """How much is kept.

    Args:
        config: Of the run.
    """
    days, percent = config.retention.days, config.retention.disk_percent
    age_s = math.inf if days is None else days * DAY_S
    share = math.inf if percent is None else percent / 100
    return RetentionLimits(age_s={"log": age_s, "video": age_s, "picture": age_s}, disk_share=share)


def stored_files(out: Path, stream: str, streams: tuple[str, ...]) -> Iterator[StoredFile]:
    """The files of one stream that may be deleted some day, and those of its log that are in use.

    Args:
        out: Folder of the run.
        stream: Name.
        streams: Names of all streams; a video may look like a part of another stream's.

    Raises:
        OSError: A folder cannot be read.
        RecordError: The folder of the log cannot be read.
    """
    if (
        out / "log" / stream
    ).is_dir():  # a log in one file, of an earlier version, is kept as long as it is the only one
        yield from log_segments(out / "log" / stream)
    videos = {out / f"{name}.mp4" for name in streams}
    finished = re.compile(re.escape(stream) + _FINISHED_VIDEO)
    for one in files_in(out, "video", [f"{stream}.*.mp4"]):
        if finished.fullmatch(one.path.name) and one.path not in videos:
            yield one
    yield from files_in(video_folder(out, stream), "video", ["*.mp4"])
    yield from files_in(cutout_folder(out, stream), "picture", ["*.png"])
    kept = re.compile(re.escape(stream) + _QUARANTINED)
    for one in files_in(out / "log" / "quarantine", "picture", [f"{stream}-*"]):
        if kept.fullmatch(one.path.name):
            yield one


def _size(size_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
