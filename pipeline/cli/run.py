"""`tallycam run`: the whole pipeline on the streams of a configuration."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import ConfigPath, Out, Overrides, Source
from pipeline.logs.line import LogFormat, LogLevel


def run(
    config: ConfigPath,
    source: Source = None,
    out: Out = Path("out"),
    overrides: Overrides = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="When the recording began, such as 2026-03-29T01:30:00; the configuration's streams.NAME.start.",
            metavar="TIME",
        ),
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option(help="Also write the tracks to this file as MOTChallenge rows.", metavar="FILE"),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Where the stages run. The only choice so far is `local`.")
    ] = "local",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in DIR also where a recording is counted with another configuration from here on.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace the run in DIR, once the new one has started. Other files stay."
        ),
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Show the annotated video live, in a window or on a local page.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Write log lines, here and in DIR/log/run.log, in this form.")
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel,
        typer.Option(help="Print log lines of this level and above; DIR/log/run.log has `info` in any case."),
    ] = LogLevel.WARNING,
) -> None:
    """Count in the streams of CONFIG: annotated video, events and a summary in DIR."""
    from pipeline.runtime.limits import check_memory

    check_memory()
    from rich.console import Console

    from pipeline.cli.table import LiveTable, final_table, notes, print_above
    from pipeline.config.load import load
    from pipeline.errors import ConfigError
    from pipeline.runtime import preflight
    from pipeline.runtime.run import run as run_pipeline
    from pipeline.runtime.run_folder import Existing
    from pipeline.runtime.run_log import LogSettings

    if engine != "local":
        raise ConfigError(f"--engine: got {engine}, expected local")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite exclude each other; give one of them")
    existing = Existing.RESUME if resume else Existing.OVERWRITE if overwrite else Existing.CONTINUE
    shown = ["output.live.enabled=true"] if show else []
    loaded = load(config, [*(overrides or ()), *shown], source)
    if start is not None:
        if len(loaded.streams) > 1:
            raise ConfigError(
                "--start: there are several streams; set streams.NAME.start of each in the configuration"
            )
        shown.append(f"streams.{next(iter(loaded.streams))}.start={json.dumps(start)}")
        loaded = load(config, [*(overrides or ()), *shown], source)
    console = Console()
    for line in preflight.notes(loaded):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    log = LogSettings(log_format, log_level, print_above(console) if sys.stderr.isatty() else None)
    with LiveTable(console) as table:
        streams = run_pipeline(loaded, out, tracks=tracks, existing=existing, on_tick=table.update, log=log)
    so_far = "" if all(view.ended for view in streams.values()) else " so far"
    try:
        console.print(final_table(streams))
        for line in notes(streams):
            console.print(line, style="yellow", highlight=False, soft_wrap=True)
        console.print(f"Results{so_far} are in {out}", highlight=False, soft_wrap=True)
        sys.stdout.flush()
    except (
        OSError,
        SystemExit,
    ):  # nobody reads what is printed any more: the results are written all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
