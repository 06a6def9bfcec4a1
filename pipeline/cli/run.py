"""`tallycam run`: the whole pipeline on the streams of a configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Overrides, Source
from pipeline.logs.line import LogFormat, LogLevel
from pipeline.video.sources.kinds import examples


def run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|SOURCE",
            help=f"A YAML configuration, such as those in configs/; or what to count in by itself: {examples()}.",
            show_default=False,
        ),
    ],
    lines: Annotated[
        list[str] | None,
        typer.Option(
            "--line",
            metavar="[NAME=]X1,Y1,X2,Y2",
            help="Count what crosses this line, in fractions of the frame from its upper left corner. May be given "
            "several times.",
        ),
    ] = None,
    zones: Annotated[
        list[str] | None,
        typer.Option(
            "--zone",
            metavar="[NAME=]X1,Y1,X2,Y2,X3,Y3",
            help="Count what is inside this polygon of three or more points. May be given several times.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Count only objects of this class, such as person. May be given several times.",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write the configuration that SOURCE and the options stand for to this YAML file.",
            metavar="FILE",
        ),
    ] = None,
    source: Source = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the results into this folder. The default is out, for a SOURCE out/STREAM.",
            metavar="DIR",
        ),
    ] = None,
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
    cutouts: Annotated[
        bool,
        typer.Option(
            "--cutouts", help="Cut out the best view of each object: DIR/cutouts/STREAM/ID-CLASS.png."
        ),
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Write log lines, here and in DIR/log/run.log, in this form.")
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel,
        typer.Option(help="Print log lines of this level and above; DIR/log/run.log has `info` in any case."),
    ] = LogLevel.WARNING,
) -> None:
    """Count in the streams of CONFIG, or in SOURCE: annotated video, events and a summary in DIR.

    `tallycam run my.mp4 --line 0.1,0.6,0.9,0.6 --class person` needs no configuration.
    """
    from pipeline.runtime.limits import check_memory

    check_memory()
    from rich.console import Console

    from pipeline.cli.run_settings import RunSettings, print_configuration
    from pipeline.cli.table import LiveTable, final_table, notes, print_above
    from pipeline.config.additions import parse_additions
    from pipeline.errors import ConfigError
    from pipeline.runtime import preflight
    from pipeline.runtime.configuration_watch import ConfigurationFile
    from pipeline.runtime.run import run as run_pipeline
    from pipeline.runtime.run_folder import Existing
    from pipeline.runtime.run_log import LogSettings

    if engine != "local":
        raise ConfigError(f"--engine: got {engine}, expected local")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite exclude each other; give one of them")
    existing = Existing.RESUME if resume else Existing.OVERWRITE if overwrite else Existing.CONTINUE
    settings = RunSettings(
        target,
        parse_additions(lines or (), zones or (), classes or ()),
        overrides=(*(overrides or ()), *(["output.cutouts=true"] if cutouts else [])),
        source=source,
        start=start,
        show=show,
        save=save,
    )
    loaded, text = settings.load()
    if out is None:  # each source has a folder of its own: results of one never mix with those of another
        out = Path("out") if text is None else Path("out", *loaded.streams)
    console = Console()
    if text is not None:
        print_configuration(console, text, save)
    for line in preflight.notes(loaded):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    file = ConfigurationFile(Path(target), lambda: settings.load()[0]) if text is None else None
    log = LogSettings(log_format, log_level, print_above(console) if sys.stderr.isatty() else None)
    with LiveTable(console) as table:
        streams = run_pipeline(
            loaded, out, tracks=tracks, existing=existing, on_tick=table.update, log=log, file=file
        )
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
