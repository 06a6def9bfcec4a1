"""One run from configuration to summary: what `tallycam run` and `tallycam demo` do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__
from pipeline.config.schema import Config, FilterConfig, StreamConfig
from pipeline.models import registry
from pipeline.records.summary import build, write_json
from pipeline.runtime.heatmaps import write_heatmaps
from pipeline.runtime.local_engine import LocalEngine
from pipeline.runtime.results import StreamView, device, restarts, views
from pipeline.runtime.run_folder import open_run
from pipeline.runtime.supervisor import ProcessState, Supervisor
from pipeline.video.sources.registry import open_source, parse_source


def check(config: Config) -> tuple[str, ...]:
    """The model's class names, after checking that the model has every class that the configuration names.

    Raises:
        ConfigError: the URL of the events is not one.
        ModelError: the model is not one, or lacks a class.
    """
    if config.output.events is not None:
        from pipeline.records.events import parse_url  # brings SQLAlchemy: half a second

        parse_url(config.output.events)
    classes = registry.classes_of(config.model)
    check_filter(classes, "model.filter", config.model.filter)
    for name, stream in config.streams.items():
        check_classes(classes, name, stream)
    return classes


def run(
    config: Config,
    out: Path,
    *,
    tracks: Path | None = None,
    resume: bool = False,
    on_tick: Callable[[list[ProcessState]], None] = lambda entries: None,
) -> dict[str, StreamView]:
    """Runs the pipeline to its end and writes `summary.json`. Returns what was counted in each stream.

    Raises:
        TallycamError: why it ended early; the summary of what was done is written all the same.
    """
    classes = check(config)
    registry.prepare(config.model)
    for stream in config.streams.values():
        try_source(stream)
    with open_run(config, out.absolute(), classes, tracks and tracks.absolute(), resume=resume) as opened:
        supervisor = Supervisor(opened, LocalEngine(opened.spec_path, opened.notes_file), on_tick)
        failure = supervisor.run()
        streams = views(supervisor.entries)
        if failure is None or any(view.counts.frames for view in streams.values()):
            entries = supervisor.entries
            summary = build(
                {name: view.as_summary(config.streams[name].source) for name, view in streams.items()},
                complete=failure is None,
                run=opened.spec.run,
                version=__version__,
                started=_utc(opened.started_s),
                ended=_utc(time.time()),
                device=device(entries),
                restarts=restarts(entries),
            )
            write_json(out / "summary.json", summary)
            write_heatmaps(config, out)
    if failure is not None:
        raise failure
    return streams


def try_source(stream: StreamConfig) -> None:
    """Opens a source on disk and closes it: what is wrong with it is told now, not when all processes have
    started and the results of an earlier run are gone.

    Raises:
        SourceError: it cannot be opened.
    """
    if parse_source(stream.source).kind in ("file", "images"):
        open_source(stream, stop=threading.Event()).close()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def check_classes(known: tuple[str, ...], name: str, stream: StreamConfig) -> None:
    """Checks that the model knows every class that the stream `name` and its lines and zones ask for.

    Raises:
        ModelError: it lacks one.
    """
    parts = {"": stream.classes}
    parts |= {f".lines.{line}": config.classes for line, config in stream.lines.items()}
    parts |= {f".zones.{zone}": config.classes for zone, config in stream.zones.items()}
    for part, classes in parts.items():
        registry.check_classes(known, classes or (), f"streams.{name}{part}.classes")
    check_filter(known, f"streams.{name}.filter", stream.filter)


def check_filter(known: tuple[str, ...], where: str, part: FilterConfig) -> None:
    """Checks that the model knows every class that the filter at `where` names.

    Raises:
        ModelError: it lacks one.
    """
    registry.check_classes(known, part.classes or (), f"{where}.classes")
    registry.check_classes(known, part.scores, f"{where}.scores")
    for what, areas in (("include", part.include), ("exclude", part.exclude)):
        for number, area in enumerate(areas):
            registry.check_classes(known, area.classes or (), f"{where}.{what}[{number}].classes")
