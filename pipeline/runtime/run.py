"""One run from configuration to summary: what `tallycam run` and `tallycam demo` do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__
from pipeline.config.schema import Config
from pipeline.errors import TallycamError
from pipeline.models import registry
from pipeline.records.summary import build, write_json
from pipeline.runtime.heatmaps import write_heatmaps
from pipeline.runtime.local_engine import LocalEngine
from pipeline.runtime.preflight import check, check_source
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.results import StreamView, device, restarts, views
from pipeline.runtime.run_folder import open_run
from pipeline.runtime.run_log import DEFAULT_LOG, LogSettings, run_log
from pipeline.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)


def run(
    config: Config,
    out: Path,
    *,
    tracks: Path | None = None,
    resume: bool = False,
    on_tick: Callable[[list[ProcessState]], None] = lambda entries: None,
    log: LogSettings = DEFAULT_LOG,
) -> dict[str, StreamView]:
    """Runs the pipeline to its end and writes `summary.json`.

    Args:
        config: What to count.
        out: Folder of the results.
        tracks: File for MOTChallenge rows, if they are wanted.
        resume: Continue the run in `out`.
        on_tick: Called several times a second with the process table.
        log: Form and level of the log.

    Returns:
        What was counted in each stream.

    Raises:
        TallycamError: Why the run ended early; the summary of what was done is written all the same.
    """
    classes = check(config)
    registry.prepare(config.model)
    for name, stream in config.streams.items():
        check_source(name, stream)
    opening = open_run(config, out.absolute(), classes, tracks and tracks.absolute(), resume=resume, log=log)
    with opening as opened, run_log(opened.out, log) as collector:
        supervisor = Supervisor(opened, LocalEngine(opened.spec_path, collector), on_tick)
        logger.info(
            "run %s of Tallycam %s started: %s; results in %s",
            opened.spec.run,
            __version__,
            ", ".join(f"{name} from {stream.source}" for name, stream in config.streams.items()),
            opened.out,
        )
        failure = supervisor.run()
        streams = views(supervisor.entries)
        if failure is None or any(view.counts.frames for view in streams.values()):
            entries = supervisor.entries
            summary = build(
                {name: view.as_summary(config.streams[name].source) for name, view in streams.items()},
                complete=failure is None and all(view.ended for view in streams.values()),
                run=opened.spec.run,
                version=__version__,
                started=_utc(opened.started_s),
                ended=_utc(time.time()),
                device=device(entries),
                restarts=restarts(entries),
            )
            write_json(out / "summary.json", summary)
            write_heatmaps(config, out)
        _log_end(opened.spec.run, streams, failure)
    if failure is not None:
        raise failure
    return streams


def _log_end(run_id: str, streams: dict[str, StreamView], failure: TallycamError | None) -> None:
    for name, view in streams.items():
        lost = {**view.dropped, **view.counts.skipped}
        dropped = ", ".join(f"{reason} {frames}" for reason, frames in lost.items()) or "none"
        logger.info("%d frames counted; left out: %s", view.counts.frames, dropped, extra={"stream": name})
    if failure is not None:
        logger.info("run %s failed", run_id)
    elif stopped := [f"{name} at {view.stopped_at()}" for name, view in streams.items() if not view.ended]:
        logger.info("run %s stopped: %s", run_id, ", ".join(stopped))
    else:
        logger.info("run %s finished", run_id)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
