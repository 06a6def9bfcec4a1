"""When a recording was made: by its configuration, its file name, or its container.

Events of a recording carry the time of what they show, which is the beginning of the recording and the media time.
Where nothing tells when it began they carry none: the time of processing would be wrong.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from pipeline.config.schema import Config, StreamConfig
from pipeline.config.start import FIRST_YEAR, UNKNOWN, time_in_name, time_of
from pipeline.config.time_zone import zone_of
from pipeline.errors import ConfigError, SourceError
from pipeline.redact import redact
from pipeline.video.sources.image_folder import image_paths
from pipeline.video.sources.kinds import find_kind, is_recording

_APPLE = "com.apple.quicktime.creationdate"
_CREATED = "creation_time"


@dataclass(frozen=True, slots=True)
class RecordingTime:
    """When a recording began.

    Attributes:
        start: in UTC; None if nothing tells.
        origin: what tells: `configuration`, `file name` or `container`; empty if nothing does.
    """

    start: datetime | None = None
    origin: str = ""

    @property
    def setting(self) -> str:
        """The value of `streams.NAME.start` that says the same."""
        return UNKNOWN if self.start is None else self.start.isoformat()


def recording_time(stream: StreamConfig, zone: tzinfo, name: str = "") -> RecordingTime | None:
    """When the source of a stream was recorded.

    Args:
        stream: its configuration.
        zone: of times without an offset.
        name: of the stream, for messages.

    Returns:
        The time, where it is known; None for a live source, whose frames are from now. The container of a file that
        cannot be read tells nothing.

    Raises:
        ConfigError: `start` is given for a live source, or is a pattern that the file name does not match.
    """
    key = f"streams.{name}.start" if name else "start"
    kind, target, on_disk = "", Path(stream.source), is_recording(stream)
    with contextlib.suppress(SourceError, ValueError):  # reported where the source is opened
        row = find_kind(stream.source)
        kind, target, on_disk = row.name, Path(row.target(stream.source)), on_disk and row.on_disk
    if stream.start is None and not on_disk:
        return None
    if not on_disk and kind != "url":
        raise ConfigError(
            f"{key}: is for recordings, and {redact(stream.source)} is played live: its events carry the time at which "
            "they happen; leave it out"
        )
    if stream.start == UNKNOWN:
        return RecordingTime()
    if stream.start is not None and "%" not in stream.start:
        return RecordingTime(time_of(stream.start, zone), "configuration")
    names = _names(kind, target, whole="/" in (stream.start or ""))
    for text in names:
        if (found := time_in_name(text, zone, stream.start)) is not None:
            return RecordingTime(found, "file name")
    if stream.start is not None:
        raise ConfigError(f"{key}: {redact(names[0])} does not match the pattern {stream.start}")
    created = _created(target, zone) if kind == "file" else None
    return RecordingTime(created, "container") if created else RecordingTime()


def with_recording_times(config: Config) -> tuple[Config, dict[str, RecordingTime]]:
    """Settles when the recordings of a configuration began, so that all processes agree on it.

    Args:
        config: as it was read.

    Returns:
        The configuration with `start` as a time in UTC, or `unknown`, for each recording; and what that is known by.

    Raises:
        ConfigError: as `recording_time`.
    """
    zone = zone_of(config.time_zone)
    found = {
        name: time
        for name, stream in config.streams.items()
        if (time := recording_time(stream, zone, name)) is not None
    }
    streams = {
        name: stream.model_copy(update={"start": found[name].setting}) if name in found else stream
        for name, stream in config.streams.items()
    }
    return config.model_copy(update={"streams": streams}), found


def _names(kind: str, target: Path, *, whole: bool) -> list[str]:
    paths = [target]
    if kind == "images":
        with contextlib.suppress(OSError):
            paths = [*image_paths(target)[:1], target]
    return [path.absolute().as_posix() if whole else path.name for path in paths]


def _created(path: Path, zone: tzinfo) -> datetime | None:
    """When the container says that it was made."""
    import av

    try:
        with av.open("file:" + str(path.absolute())) as container:
            tags = dict(container.metadata)
            for stream in container.streams.video:
                tags = {**stream.metadata, **tags}
    except (av.FFmpegError, OSError, ValueError):  # reported where the source is opened
        return None
    for key in (_APPLE, _CREATED):
        try:
            created = time_of(tags[key], zone)
        except (KeyError, ValueError, OverflowError):
            continue
        if created.year >= FIRST_YEAR:
            return created
    return None
