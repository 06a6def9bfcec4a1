"""`--from` and `--to`: a part of a log, by media time or by the clock of the site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from pipeline.config.schema import StreamConfig
from pipeline.config.start import time_of
from pipeline.errors import ConfigError
from pipeline.records.log_file import Key
from pipeline.video.sources.recording_time import recording_time


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Records of a log from `start` up to and without `stop`.

    Attributes:
        key: What the limits are of: `pts_s`, media time in seconds, or `wall_s`, Unix time.
        start: First value; None: from the beginning.
        stop: First value left out; None: to the end.
    """

    key: Key = "pts_s"
    start: float | None = None
    stop: float | None = None


def time_span(begin: str | None, end: str | None, stream: StreamConfig, zone: tzinfo) -> TimeSpan:
    """Part of the log of a stream.

    Args:
        begin: Seconds of media time, or a time of ISO 8601; None: from the beginning.
        end: Likewise; None: to the end.
        stream: What was counted: times of a recording are those at which it was recorded.
        zone: Of times without an offset.

    Raises:
        ConfigError: A value is neither, the end is not after the beginning, or nothing tells when a recording was
            made.
    """
    recorded = recording_time(stream, zone)
    values: dict[str, float] = {}
    keys: set[Key] = set()
    for option, text in (("--from", begin), ("--to", end)):
        if text is None:
            continue
        moment = _parsed(option, text, zone)
        if isinstance(moment, float):
            key, value = "pts_s", moment
        elif recorded is None:
            key, value = "wall_s", moment.timestamp()
        elif recorded.start is None:
            raise ConfigError(
                f"{option}: when the recording was made is not known; give seconds of media time, or its `start`"
            )
        else:
            key, value = "pts_s", (moment - recorded.start).total_seconds()
        keys.add(key)  # type: ignore[arg-type]
        values[option] = value
    if len(keys) > 1:
        raise ConfigError(
            "--from, --to: one is a time and the other seconds of media time; give both in one way"
        )
    start, stop = values.get("--from"), values.get("--to")
    if start is not None and stop is not None and stop <= start:
        raise ConfigError(f"--to: {end} is not after --from {begin}")
    return TimeSpan(keys.pop() if keys else "pts_s", start, stop)


def _parsed(option: str, text: str, zone: tzinfo) -> float | datetime:
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        return time_of(text, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{option}: got {text!r}, expected seconds of media time, such as 90, or a time such as 2026-03-29T01:30:00"
        ) from None
