"""Checks before a run: whatever can be known to be wrong is reported before a process starts or a file is written."""

from __future__ import annotations

import importlib.util
import threading
from datetime import tzinfo
from pathlib import Path

from pipeline.config.schema import Config, FilterConfig, StreamConfig
from pipeline.config.time_zone import zone_of
from pipeline.counting.rule_table import check_rules
from pipeline.errors import ConfigError, SourceError
from pipeline.models import registry
from pipeline.redact import redact
from pipeline.runtime.limits import raise_file_limit
from pipeline.sinks.sink_table import check_sinks
from pipeline.video.sources.folder_files import IMAGE_SUFFIXES
from pipeline.video.sources.frame_sampler import DEFAULT_FPS
from pipeline.video.sources.kinds import find_kind
from pipeline.video.sources.recording_time import RecordingTime, with_recording_times
from pipeline.video.sources.source_registry import open_source

DEMO_FOLDER = Path(__file__).parents[1].resolve() / "demo"
"""Holds the rendered clip."""


def check(config: Config) -> tuple[str, ...]:
    """Check that the model has every class that the configuration names, and that its counting rules exist.

    Args:
        config: Of the run to start.

    Returns:
        The model's class names.

    Raises:
        ConfigError: too few files may be open, the URL of the events is not valid, a stream has a name that is taken,
            or a counting rule does not exist or refuses its settings.
        ModelError: the model cannot be read, or lacks a class.
    """
    raise_file_limit(len(config.streams))
    if "run" in config.streams:
        raise ConfigError(
            "streams.run: DIR/log/run.log is the log of the whole run; give the stream another name"
        )
    if config.output.events is not None:
        _check_events(config.output.events)
    check_sinks(config)
    classes = registry.classes_of(config.model)
    check_filter(classes, "model.filter", config.model.filter)
    for name, stream in config.streams.items():
        check_classes(classes, name, stream)
        check_rules(name, stream)
    return classes


def _check_events(url: str) -> None:
    """Checks what no waiting will mend. A database that is away, locked or refuses a password does not stop a run."""
    from pipeline.records.event_database import parse_url  # brings SQLAlchemy: half a second

    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql" and importlib.util.find_spec("psycopg") is None:
        raise ConfigError(
            f"output.events: {redact(url)} needs the package psycopg; pip install 'psycopg[binary]'"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        folder = Path(parsed.database).absolute().parent
        if not folder.is_dir():
            raise ConfigError(
                f"output.events: {redact(url)}: events cannot be opened: there is no folder {folder}; make it, or give "
                "another path"
            )


def check_classes(known: tuple[str, ...], name: str, stream: StreamConfig) -> None:
    """Check that the model knows every class that a stream, its lines, zones and filter name.

    Args:
        known: The model's class names.
        name: Of the stream, for the message.
        stream: Its configuration.

    Raises:
        ModelError: It lacks one.
    """
    parts = {"": stream.classes}
    parts |= {f".lines.{line}": config.classes for line, config in stream.lines.items()}
    parts |= {f".zones.{zone}": config.classes for zone, config in stream.zones.items()}
    for part, classes in parts.items():
        registry.check_classes(known, classes or (), f"streams.{name}{part}.classes")
    check_filter(known, f"streams.{name}.filter", stream.filter)


def check_filter(known: tuple[str, ...], where: str, part: FilterConfig) -> None:
    """Check that the model knows every class that a filter names.

    Args:
        known: The model's class names.
        where: Key of the filter in the configuration, for the message.
        part: The filter.

    Raises:
        ModelError: It lacks one.
    """
    registry.check_classes(known, part.classes or (), f"{where}.classes")
    registry.check_classes(known, part.scores, f"{where}.scores")
    for what, areas in (("include", part.include), ("exclude", part.exclude)):
        for number, area in enumerate(areas):
            registry.check_classes(known, area.classes or (), f"{where}.{what}[{number}].classes")


def check_source(name: str, stream: StreamConfig) -> None:
    """Open the source of the stream `name` and close it again, if it can be read again.

    Cameras and URLs are not tried: they may come up later, and a run waits for them.

    Args:
        name: Of the stream, for the message.
        stream: Its configuration.

    Raises:
        SourceError: it does not exist or cannot be opened.
    """
    try:
        kind = find_kind(stream.source)
        target = kind.target(stream.source)
        if kind.name == "file" and Path(target).suffix.lower() in IMAGE_SUFFIXES:
            raise SourceError(
                f"{target}: is a photo, expected a video; `tallycam image {target}` finds the objects of photos, "
                "and a folder of numbered images is read as a video"
            )
        if kind.replayable:
            open_source(stream, stop=threading.Event()).close()
    except SourceError as error:
        raise SourceError(f"streams.{name}.source: {error}") from None


def notes(config: Config) -> list[str]:
    """Remarks on the sources and the model for the user, one line each.

    Args:
        config: Of the run to start.

    Raises:
        ConfigError: As `recording_time`.
    """
    rates = [
        f"{name}: the images of {stream.source} are read at {DEFAULT_FPS:g} frames per second, since a folder has no "
        f"frame rate; set streams.{name}.fps if they were taken at another rate"
        for name, stream in config.streams.items()
        if stream.fps is None and _kind(stream.source) == "images"
    ]
    zone = zone_of(config.time_zone)
    times = with_recording_times(config)[1].items()
    return [*_model_note(config), *rates] + [
        _time_note(name, time, zone) for name, time in times if _kind(config.streams[name].source) is not None
    ]


def _model_note(config: Config) -> list[str]:
    """Where real pictures are to be counted with the model of rendered ones."""
    if config.model.path is not None or config.model.name not in (None, registry.DEFAULT_MODEL):
        return []
    real = [name for name, stream in config.streams.items() if not _is_rendered(stream.source)]
    if not real:
        return []
    names = ", ".join(real)
    text = f"the model {registry.DEFAULT_MODEL} knows rendered streets alone and miscounts real footage"
    return [f"{names}: {text}; --set model.name=auto takes a model of real pictures"]


def _is_rendered(source: str) -> bool:
    return _kind(source) == "synthetic" or DEMO_FOLDER in Path(source).absolute().resolve().parents


def _time_note(name: str, recorded: RecordingTime, zone: tzinfo) -> str:
    if recorded.start is None:
        return (
            f"{name}: when it was recorded is not known, so its events have no time; set streams.{name}.start, such as "
            "2026-03-29T01:30:00"
        )
    began = recorded.start.astimezone(zone).isoformat(sep=" ", timespec="seconds")
    return f"{name}: recorded from {began} on, by its {recorded.origin}"


def _kind(source: str) -> str | None:
    """The kind of an address; None for one that `check_source` refuses."""
    try:
        return find_kind(source).name
    except SourceError:
        return None
