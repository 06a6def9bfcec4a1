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
from pipeline.redact import redact
from pipeline.runtime.configuration_watch import ConfigurationFile, ConfigurationWatch
from pipeline.runtime.continuation import named
from pipeline.runtime.fork_server import ForkServer
from pipeline.runtime.heatmaps import write_heatmaps
from pipeline.runtime.limits import raise_file_limit
from pipeline.runtime.local_engine import LocalEngine
from pipeline.runtime.preflight import check, check_source
from pipeline.runtime.private import private_results
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.results import StreamView, device, events_waiting, restarts, views
from pipeline.runtime.run_folder import Existing, Run, check_folder, open_run
from pipeline.runtime.run_log import DEFAULT_LOG, LogSettings, run_log
from pipeline.runtime.stream_changes import StreamChanges
from pipeline.runtime.supervisor import Supervisor
from pipeline.video.sources.recording_time import RecordingTime, with_recording_times

logger = logging.getLogger(__name__)


class NotStartedError(TallycamError):
    """A run was stopped before it had started (exit code 130)."""

    exit_code = 130


@private_results
def run(
    config: Config,
    out: Path,
    *,
    tracks: Path | None = None,
    existing: Existing = Existing.CONTINUE,
    on_tick: Callable[[list[ProcessState]], None] = lambda entries: None,
    log: LogSettings = DEFAULT_LOG,
    file: ConfigurationFile | None = None,
) -> dict[str, StreamView]:
    """Runs the pipeline to its end and writes `summary.json`.

    Nothing in `out` changes before the run is known to be able to start: the sources on disk are opened here, and what
    an earlier run left is put back unless every process becomes ready or a frame is counted.

    Args:
        config: What to count.
        out: Folder of the results.
        tracks: File for MOTChallenge rows, if they are wanted.
        existing: What to do with a run that is in `out` already.
        on_tick: Called several times a second with the process table.
        log: Form and level of the log.
        file: Where `config` comes from: the streams of the run follow it while the run goes on.

    Returns:
        What was counted in each stream.

    Raises:
        TallycamError: Why the run did not start or ended early; the summary of what was done is written all the same.
    """
    out, tracks = out.absolute(), tracks and tracks.absolute()
    raise_file_limit(len(config.streams))  # the stages inherit it
    with ForkServer() as fork_server:  # imports what the stages need while the run is prepared
        config = config.model_copy(update={"model": registry.chosen(config.model)})
        written = config
        config, recorded = with_recording_times(config)
        changed = check_folder(config, out, existing)
        classes = check(config)
        registry.prepare(config.model)
        for name, stream in config.streams.items():
            check_source(name, stream)
        opening = open_run(config, out, classes, tracks, existing=existing, log=log)
        with opening as opened, run_log(opened.out, log) as collector:

            def keep_then_show(entries: list[ProcessState]) -> None:
                if supervisor.has_started:
                    opened.keep()
                on_tick(entries)

            _log_start(opened, changed)
            _log_times(recorded)
            changes = StreamChanges(written, config, recorded, opened.out, tracks=tracks is not None)
            supervisor = Supervisor(
                opened,
                LocalEngine(fork_server, opened.spec_path, collector, opened.lock),
                keep_then_show,
                ConfigurationWatch(file, changes.accept) if file is not None else None,
            )
            failure = supervisor.run()
            removed = {name: one.view for name, one in supervisor.removed.items()}
            streams = removed | views(supervisor.entries)
            if supervisor.has_started:
                opened.keep()
                _write_results(opened, supervisor, streams, recorded, complete=failure is None)
            elif failure is None:
                failure = NotStartedError(
                    f"stopped before the run had started; the results in {out} are as before"
                )
            _log_end(opened.spec.run, streams, failure)
        if failure is not None:
            raise failure
        return streams


def _write_results(
    opened: Run,
    supervisor: Supervisor,
    streams: dict[str, StreamView],
    recorded: dict[str, RecordingTime],
    *,
    complete: bool,
) -> None:
    """Writes summary and heat maps."""
    config, entries = opened.spec.config, supervisor.entries
    sources = {name: one.source for name, one in supervisor.removed.items()}
    sources |= {name: stream.source for name, stream in config.streams.items()}
    summary = build(
        {name: view.as_summary(sources[name], recorded.get(name)) for name, view in streams.items()},
        complete=complete and all(view.ended for name, view in streams.items() if name in config.streams),
        run=opened.spec.run,
        version=__version__,
        started=_utc(opened.started_s),
        ended=_utc(time.time()),
        device=device(entries),
        restarts=restarts(entries),
        events_waiting=events_waiting(entries),
    )
    write_json(opened.out / "summary.json", summary)
    write_heatmaps(config, opened.out)


def _log_start(opened: Run, changed: list[str]) -> None:
    sources = ", ".join(
        f"{name} from {redact(stream.source)}" for name, stream in opened.spec.config.streams.items()
    )
    words = "run %s of Tallycam %s %s: %s; results in %s"
    how = "goes on" if opened.resumed else "started"
    logger.info(words, opened.spec.run, __version__, how, sources, opened.out)
    if opened.resumed and changed:
        logger.warning("goes on with another configuration: %s changed", named(changed))


def _log_times(recorded: dict[str, RecordingTime]) -> None:
    for name, time_ in recorded.items():
        words = "when it was recorded is not known: its events have no time"
        if time_.start is not None:
            words = f"recorded from {time_.start.isoformat()} on, by its {time_.origin}"
        logger.info("%s", words, extra={"stream": name})


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
