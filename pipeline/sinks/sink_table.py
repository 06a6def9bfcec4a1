"""Which sinks there are: one table of those that ship, and the entry points of installed packages.

A sink of one's own takes one file and one row, here or in the entry points of a package (docs/sinks.md):

    [project.entry-points."tallycam.sinks"]
    webhook = "my_package.webhook:Webhook"
"""

from __future__ import annotations

import difflib
import importlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from pipeline.config.schema import Config, SinkConfig, StreamConfig
from pipeline.config.validation import describe
from pipeline.errors import ConfigError
from pipeline.redact import shown
from pipeline.sinks.guard import Guard, GuardedFrames, SinkCounts
from pipeline.sinks.retried import RetriedSink
from pipeline.sinks.sink import ManagedEventSink, ManagedFrameSink, SinkContext
from pipeline.sinks.threaded import ThreadedSink
from pipeline.video.sources.kinds import is_endless, is_recording

ROOM_BYTES = 16 << 20
"""Free space from which on a video that a full disk has stopped is tried again, or a twentieth of a small disk."""
ENTRY_POINTS = "tallycam.sinks"
"""Entry-point group. The name of an entry is what `output.sinks` calls it, its value a class."""


@dataclass(frozen=True, slots=True)
class SinkKind:
    """One sink that ships. Its code is imported when it is used, not before.

    Attributes:
        name: Its name.
        sink: Import path of the class, `module:Class`.
        takes: `frames` or `events`.
        settings: Its part of a configuration.
        wanted: Whether a configuration wants it.
        writes_files: Whether a full disk stops it.
        encodes: Whether it may be slower than a live source.
        serves: Whether it is the one for a stream, where several rows have a name.
    """

    name: str
    sink: str
    takes: str
    settings: Callable[[Config], Any]
    wanted: Callable[[Config], bool]
    writes_files: bool = False
    encodes: bool = False
    serves: Callable[[Config, StreamConfig], bool] = lambda config, stream: True


def _in_clips(config: Config, stream: StreamConfig) -> bool:
    return config.output.video.around_events is not None


def _in_files(config: Config, stream: StreamConfig) -> bool:
    return not _in_clips(config, stream) and config.output.video.file_s is not None and is_endless(stream)


def _has_video(config: Config) -> bool:
    return config.output.video.codec != "none"


SINKS = (
    SinkKind(
        name="background",
        sink="pipeline.sinks.background:Background",
        takes="frames",
        settings=lambda config: None,
        wanted=lambda config: _has_video(config) or config.output.live.enabled,
        writes_files=True,
    ),
    SinkKind(
        name="cutouts",
        sink="pipeline.sinks.cutouts:Cutouts",
        takes="frames",
        settings=lambda config: None,
        wanted=lambda config: config.output.cutouts,
        writes_files=True,
    ),
    SinkKind(
        name="live",
        sink="pipeline.sinks.live_picture:LivePicture",
        takes="frames",
        settings=lambda config: config.output.live,
        wanted=lambda config: config.output.live.enabled,
    ),
    SinkKind(
        name="video",
        sink="pipeline.sinks.video_recording:VideoFile",
        takes="frames",
        settings=lambda config: config.output.video,
        wanted=_has_video,
        writes_files=True,
        encodes=True,
        serves=lambda config, stream: not _in_files(config, stream) and not _in_clips(config, stream),
    ),
    SinkKind(
        name="video",
        sink="pipeline.sinks.video_files:VideoFiles",
        takes="frames",
        settings=lambda config: config.output.video,
        wanted=_has_video,
        writes_files=True,
        encodes=True,
        serves=_in_files,
    ),
    SinkKind(
        name="video",
        sink="pipeline.sinks.event_clips:EventClips",
        takes="frames",
        settings=lambda config: config.output.video,
        wanted=_has_video,
        writes_files=True,
        encodes=True,
        serves=_in_clips,
    ),
    SinkKind(
        name="database",
        sink="pipeline.sinks.database:Database",
        takes="events",
        settings=lambda config: config.output.events or "",
        wanted=lambda config: True,
    ),
)
"""THE table of sinks, in the order in which they get frames and events."""


def wants_frames(config: Config) -> bool:
    """Whether any sink takes frames.

    Args:
        config: Of the run.

    Raises:
        ConfigError: As `check_sinks`.
    """
    return bool(_wanted(config, "frames")) or any(
        hasattr(cls, "write_frame") for cls, _ in _configured(config).values()
    )


def frame_sinks(
    config: Config, context: SinkContext, counts: Callable[[str], SinkCounts]
) -> list[ManagedFrameSink]:
    """Opens the sinks for the frames of one stream.

    Args:
        config: Of the run.
        context: Of the stream; each sink gets it with its own name.
        counts: Counts what goes wrong with the sink of a name.

    Raises:
        TallycamError: A sink of this package cannot be opened.
    """
    stream = config.streams[context.stream]
    sinks: list[ManagedFrameSink] = [
        _frame_sink(kind, config, context, counts)
        for kind in _wanted(config, "frames")
        if kind.serves(config, stream)
    ]
    for name, (cls, settings) in _configured(config).items():
        if hasattr(cls, "write_frame"):
            guard = Guard(name, partial(cls, settings, _named(context, name)), counts(name))
            sinks.append(GuardedFrames(guard, annotated=bool(getattr(cls, "annotated", True))))
    return sinks


def event_sinks(
    config: Config, context: SinkContext, counts: Callable[[str], SinkCounts]
) -> list[ManagedEventSink]:
    """Opens the sinks for the events of one tracking process.

    Args:
        config: Of the run.
        context: Of the process; each sink gets it with its own name.
        counts: Counts what goes wrong with the sink of a name.

    Raises:
        OutputError: Events cannot be written to the disk.
    """
    from pipeline.sinks.event_outlet import (
        EventOutlet,
    )  # brings SQLAlchemy, which processes for frames do without

    sinks = [
        cast(
            ManagedEventSink,
            _imported(kind.sink, kind.name)(kind.settings(config), _named(context, kind.name)),
        )
        for kind in _wanted(config, "events")
    ]
    for name, (cls, settings) in _configured(config).items():
        if hasattr(cls, "write_events"):
            sinks.append(EventOutlet(partial(cls, settings), _named(context, name), counts(name)))
    return sinks


def check_sinks(config: Config) -> None:
    """Checks `output.sinks` without opening anything, so that mistakes are found before a run starts.

    Args:
        config: Of the run to start.

    Raises:
        ConfigError: There is no such sink, it cannot be imported, or its settings are wrong.
    """
    _configured(config)


def _wanted(config: Config, takes: str) -> list[SinkKind]:
    """Rows of the table that a configuration wants."""
    return [kind for kind in SINKS if kind.takes == takes and kind.wanted(config)]


def _frame_sink(
    kind: SinkKind, config: Config, context: SinkContext, counts: Callable[[str], SinkCounts]
) -> ManagedFrameSink:
    """A sink of this package. One that writes files is opened again after a failure, where the stream has no end; one
    that encodes a live source has a thread of its own."""
    cls = _imported(kind.sink, kind.name)

    def make(attempts: int = 0) -> ManagedFrameSink:
        life = replace(_named(context, kind.name), incarnation=context.incarnation + attempts)
        return cast(ManagedFrameSink, cls(kind.settings(config), life))

    if not kind.writes_files:
        return make()
    name = f"{kind.name} of {context.stream}"
    retried = RetriedSink(name, make, counts(kind.name), has_room=lambda: _has_room(context.out))
    if not kind.encodes or is_recording(config.streams[context.stream]):
        return retried
    return ThreadedSink(name, retried, counts(kind.name), config.output.video.fps)


def _has_room(folder: Path) -> bool:
    """Whether a disk has room for some seconds of video."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return True  # opening the file tells what is wrong
    return usage.free >= min(ROOM_BYTES, usage.total // 20)


def _named(context: SinkContext, name: str) -> SinkContext:
    return replace(context, name=name)


def _configured(config: Config) -> dict[str, tuple[type, Any]]:
    """Name -> class and checked settings of each sink in the configuration."""
    found = {}
    for name, sink_config in config.output.sinks.items():
        where = f"output.sinks.{name}"
        cls = _sink_class(sink_config.use or name, where)
        if not hasattr(cls, "write_frame") and not hasattr(cls, "write_events"):
            raise ConfigError(
                f"{where}: {cls.__name__} is no sink: it has neither write_frame nor write_events"
            )
        found[name] = cls, _settings(cls, sink_config, where)
    return found


def _sink_class(use: str, where: str) -> type:
    """The sink that a configuration means: an entry point, or a class by its import path."""
    module, colon, attribute = use.partition(":")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        if "" not in sys.path:
            sys.path.append("")  # after all others: a file in the working folder hides no installed package
        return _imported(use, where)
    known = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    if use in known:
        return _imported(known[use], where)
    hint = f"installed: {', '.join(sorted(known)) or 'none'}"
    if nearest := difflib.get_close_matches(use, known, n=1, cutoff=0.5):
        hint += f"; did you mean `{nearest[0]}`?"
    raise ConfigError(
        f"{where}: there is no sink `{shown(use)}` ({hint}); one of your own goes by `use: package.module:Class`"
    )


def _imported(path: str, where: str) -> type:
    """The class that `module:Class` names.

    Raises:
        ConfigError: There is none; `where` is the place in the configuration.
    """
    module_name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # whatever a module that somebody wrote raises
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where}: {path}: {module_name} cannot be imported: {what}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise ConfigError(f"{where}: {path}: there is no class {attribute} in {module_name}")
    return found


def _settings(cls: type, config: SinkConfig, where: str) -> Any:
    """The settings of a sink, checked by its own pydantic model `Settings` if it has one."""
    given = config.model_extra or {}
    model = getattr(cls, "Settings", None)
    if model is None:
        return given
    try:
        return model.model_validate(given)
    except ValidationError as error:
        mistakes = describe(error.errors(include_url=False), model, Path(where))
    raise ConfigError("\n".join(mistakes))
