"""Retention: which files are deleted so that the disk does not fill up, and when it will be full.

Logs, videos and pictures are kept for some days and as long as the disk has room; totals and events are not touched.
`plan` is pure: it decides from sizes and times alone. `delete` carries it out.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.files import reason
from pipeline.records.segments import log_files

Kind = Literal["log", "video", "picture"]

DAY_S = 86_400.0
NEWEST_SEGMENTS = 2
"""Segments of a log that are never deleted: the one that is written, and the one before, which a restart may need."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that may be deleted.

    Attributes:
        path: where it is.
        kind: what it holds.
        size_bytes: what it takes on the disk.
        modified_s: Unix time at which it was last written to.
        in_use: it is being written, or needed after a restart.
    """

    path: Path
    kind: Kind
    size_bytes: int
    modified_s: float
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """How much is kept.

    Attributes:
        age_s: kind -> seconds after which a file is deleted; `inf`: not because of its age.
        disk_share: of the file system that may be in use, by whatever; above it the oldest files go.
        size_bytes: of all these files together; None: any.
        least_s: what is younger is not deleted for room: something else may be filling the disk.
    """

    age_s: Mapping[Kind, float] = field(
        default_factory=lambda: {"log": 7 * DAY_S, "video": 7 * DAY_S, "picture": 7 * DAY_S}
    )
    disk_share: float = 0.8
    size_bytes: int | None = None
    least_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Disk:
    """Capacity of a file system as seen by an unprivileged process."""

    total_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, path: Path) -> Disk:
        """Measures the file system that holds `path`.

        Args:
            path: an existing file or folder.

        Raises:
            OSError: it cannot be queried.
        """
        found = os.statvfs(path)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        free = found.f_bavail * found.f_frsize
        return cls(used + free, free)

    @property
    def used_share(self) -> float:
        """0..1."""
        return 1 - self.free_bytes / self.total_bytes if self.total_bytes else 0.0


def plan(files: Iterable[StoredFile], disk: Disk, limits: RetentionLimits, now_s: float) -> list[StoredFile]:
    """The files to delete, oldest first.

    Args:
        files: all that there are; those in use are counted and kept.
        disk: the file system that holds them.
        limits: what is kept.
        now_s: Unix time. A file from the future, of a clock that was set back, is as old as one of now.
    """
    by_age = sorted(files, key=lambda one: (one.modified_s, one.path))
    excess = disk.total_bytes - disk.free_bytes - limits.disk_share * disk.total_bytes
    if limits.size_bytes is not None:
        excess = max(excess, sum(one.size_bytes for one in by_age) - limits.size_bytes)
    doomed: list[StoredFile] = []
    for one in by_age:
        if one.in_use:
            continue
        age_s = now_s - one.modified_s
        if age_s > limits.age_s.get(one.kind, math.inf) or (excess > 0 and age_s > limits.least_s):
            doomed.append(one)
            excess -= one.size_bytes
    return doomed


def delete(files: Iterable[StoredFile]) -> tuple[int, list[str]]:
    """Deletes files; those that are gone already are ignored.

    Args:
        files: from `plan`.

    Returns:
        Bytes freed, and one line for each file that cannot be deleted.
    """
    freed, failures = 0, []
    for one in files:
        try:
            one.path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            failures.append(f"{one.path}: cannot be deleted: {reason(error)}")
        else:
            freed += one.size_bytes
    return freed, failures


def log_segments(log: Path) -> list[StoredFile]:
    """Files of one stream's log; the newest `NEWEST_SEGMENTS` are marked as in use.

    Args:
        log: as in `log_files`.
    """
    paths = [path for path in log_files(log) if path.is_file()]
    needed = set(paths[-NEWEST_SEGMENTS:])
    return _stored(paths, "log", needed)


def files_in(
    folder: Path, kind: Kind, patterns: Sequence[str], in_use: Collection[Path] = ()
) -> list[StoredFile]:
    """Files of a folder by their names.

    Args:
        folder: it need not exist.
        kind: what they hold.
        patterns: as `Path.glob` takes them, e.g. `gate.*.mp4`.
        in_use: those that are being written.
    """
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return _stored(paths, kind, in_use)


def _stored(paths: Iterable[Path], kind: Kind, in_use: Collection[Path]) -> list[StoredFile]:
    found: list[StoredFile] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # gone meanwhile
        found.append(StoredFile(path, kind, status.st_blocks * 512, status.st_mtime, path in in_use))
    return found


LEAST_SHARE = 0.05
"""A trend is believed for twenty times as long as it was observed: the first minute of a run, in which others may
write, says nothing of the next hours, but enough of a disk that is full in ten minutes."""


class FreeSpaceForecast:
    """Predicts when a disk is full, from the recent trend of its free space.

    Args:
        window_s: how far back it looks: longer than deletions are apart, so that these count as well.
        step_s: time between the samples that are kept.
    """

    def __init__(self, window_s: float = 6 * 3600.0, step_s: float = 60.0) -> None:
        self._step_s = step_s
        self._samples: deque[tuple[float, int]] = deque(maxlen=max(2, round(window_s / step_s)))

    def add(self, now_s: float, free_bytes: int) -> None:
        """Takes a sample; ignored within `step_s` of the previous one.

        Args:
            now_s: monotonic time.
            free_bytes: free space at that time.
        """
        if self._samples and now_s - self._samples[-1][0] < self._step_s:
            return
        self._samples.append((now_s, free_bytes))

    def seconds_left(self) -> float:
        """Seconds until nothing is free; `inf` where free space does not shrink, or is known for too short a time."""
        if len(self._samples) < 2:
            return math.inf
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        shrunk = first - last
        if shrunk <= 0:
            return math.inf
        left_s = last * (last_s - first_s) / shrunk
        return left_s if last_s - first_s >= LEAST_SHARE * left_s else math.inf
