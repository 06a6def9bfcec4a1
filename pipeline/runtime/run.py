"""One run from configuration to summary: what `tallycam run` and `tallycam demo` do."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__
from pipeline.config.schema import Config
from pipeline.models import registry
from pipeline.records.summary import build, write_json
from pipeline.runtime.heatmaps import write_heatmaps
from pipeline.runtime.local_engine import LocalEngine
from pipeline.runtime.preflight import check, check_source
from pipeline.runtime.results import StreamView, device, restarts, views
from pipeline.runtime.run_folder import open_run
from pipeline.runtime.supervisor import ProcessState, Supervisor


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
    for name, stream in config.streams.items():
        check_source(name, stream)
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


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
