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
from pipeline.video.sources.folder_files import image_paths, video_paths
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
    kind, target, on_disk = "", Path(stream.source), is_recording(stream) or stream.follow
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
    pattern = stream.start or stream.start_pattern
    paths = _paths(kind, target)
    for path in paths:
        if (found := _named(path, zone, pattern)) is not None:
            return RecordingTime(found, "file name")
    if stream.start is not None:
        raise ConfigError(
            f"{key}: {redact(_name(paths[0], pattern))} does not match the pattern {stream.start}"
        )
    created = _created(paths[0], zone) if kind in ("file", "recordings") else None
    return RecordingTime(created, "container") if created else RecordingTime()


def file_time(path: Path, zone: tzinfo, pattern: str | None = None) -> datetime | None:
    """When a video file was recorded, by its name, else by its container; in UTC, None if neither tells.

    Args:
        path: Of the file.
        zone: Of times without an offset.
        pattern: Of its name; see `time_in_name`. The usual forms are tried after it.
    """
    named = _named(path, zone, pattern) or (_named(path, zone, None) if pattern else None)
    return named or _created(path, zone)


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
        name: stream.model_copy(update=_settled(stream, found[name])) if name in found else stream
        for name, stream in config.streams.items()
    }
    return config.model_copy(update={"streams": streams}), found


def _settled(stream: StreamConfig, recorded: RecordingTime) -> dict[str, str | None]:
    is_pattern = stream.start is not None and "%" in stream.start
    return {
        "start": recorded.setting,
        "start_pattern": stream.start if is_pattern else stream.start_pattern,
    }


def _paths(kind: str, target: Path) -> list[Path]:
    """What may tell by its name when a recording began."""
    with contextlib.suppress(OSError, IndexError):
        if kind == "images":
            return [image_paths(target)[0], target]
        if kind == "recordings":
            return [video_paths(target)[0]]
    return [target]


def _named(path: Path, zone: tzinfo, pattern: str | None) -> datetime | None:
    return time_in_name(_name(path, pattern), zone, pattern)


def _name(path: Path, pattern: str | None) -> str:
    """What a pattern is looked for in: the name, or the path if the pattern has a `/`."""
    return path.absolute().as_posix() if "/" in (pattern or "") else path.name


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
