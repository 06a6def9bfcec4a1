"""The command line: verbs, nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline import __version__
from pipeline.cli import audit, evaluate, image, models, track
from pipeline.cli.options import ConfigPath, Out, Overrides, Source
from pipeline.config import load as config_load
from pipeline.errors import TallycamError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
OUT = Path("out")
app.add_typer(evaluate.app, name="evaluate")
app.command()(audit.audit)
app.command()(image.image)
app.add_typer(models.app, name="models")
app.command()(track.track)


@app.callback(invoke_without_command=True)
def tallycam(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    """Counts unique objects, and objects crossing lines, in video and live cameras."""
    if version:
        print(f"tallycam {__version__}")
        raise typer.Exit


@app.command()
def run(
    config: ConfigPath,
    source: Source = None,
    out: Out = OUT,
    overrides: Overrides = None,
    tracks: Annotated[Path | None, typer.Option(help="write MOTChallenge rows there", metavar="FILE")] = None,
    engine: Annotated[str, typer.Option(help="where the stages run: local")] = "local",
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in DIR after a crash")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="the annotated picture, live: a window or a page")
    ] = False,
) -> None:
    """Count in the streams that CONFIG, a YAML file, names: video with counts, events and a summary in DIR."""
    from pipeline.cli.table import LiveTable, final_table, notes
    from pipeline.runtime.run import run as run_pipeline

    if engine != "local":
        raise TallycamError(f"--engine: got {engine}, expected local")
    shown = ["output.live.enabled=true"] if show else []
    loaded = config_load.load(config, [*(overrides or ()), *shown], source)
    console = Console()
    with LiveTable(console) as table:
        streams = run_pipeline(loaded, out, tracks=tracks, resume=resume, on_tick=table.update)
    console.print(final_table(streams))
    for line in notes(streams):
        console.print(line, style="yellow", highlight=False)
    console.print(f"Results are in {out}", highlight=False)


@app.command()
def check(config: ConfigPath, overrides: Overrides = None, source: Source = None) -> None:
    """Say whether CONFIG, a YAML file, is right, and what it would do."""
    from pipeline.runtime.run import check as check_run

    loaded = config_load.load(config, overrides or (), source)
    classes = check_run(loaded)
    for name, stream in loaded.streams.items():
        lines = ", ".join(stream.lines) or "none"
        zones = ", ".join(stream.zones) or "none"
        print(f"{name}: lines {lines}; zones {zones}; {len(classes)} classes")
    print(f"{config}: right")


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="the weights to write", metavar="FILE")] = Path(
        "street.safetensors"
    ),
    seed: Annotated[int, typer.Option(help="of weights, order and augmentation")] = 1,
    steps: Annotated[int, typer.Option(help="optimiser steps", min=2)] = 6000,
    scenes: Annotated[int, typer.Option(help="scenes to render, six moments each", min=1)] = 900,
    cache: Annotated[Path, typer.Option(help="keeps the rendered moments", metavar="DIR")] = Path(
        "out/train"
    ),
    start: Annotated[Path | None, typer.Option(help="weights to go on from", metavar="FILE")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Train the model that ships, on rendered scenes."""
    from pipeline.demo.train_street import train as train_street

    train_street(out, seed=seed, steps=steps, scenes=scenes, cache=cache, start=start, device=device)


@app.command()
def recount(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="DIR/log/STREAM.log of a run", show_default=False)
    ],
    config: ConfigPath,
    overrides: Overrides = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the counts there", metavar="FILE")
    ] = None,
    heatmap: Annotated[
        Path | None, typer.Option(help="draw where objects went there, .png or .jpg", metavar="FILE")
    ] = None,
) -> None:
    """Count the past again from LOG, DIR/log/STREAM.log of a run, with the lines and zones of CONFIG."""
    from pipeline.cli.table import final_table
    from pipeline.records.summary import build, write_json
    from pipeline.runtime.recount import recount as count_again

    name, view = count_again(log, config_load.load(config, overrides or ()), heatmap)
    Console().print(final_table({name: view}))
    if json_file is not None:
        write_json(json_file, build({name: view.as_summary(str(log))}))


@app.command()
def demo(
    seed: Annotated[
        int | None, typer.Option(help="render another scene, and count that", metavar="N", min=0)
    ] = None,
    out: Out = Path("out/demo"),
) -> None:
    """Count the clip that ships and hold every count against the truth."""
    from rich.table import Table

    from pipeline.cli.table import LiveTable
    from pipeline.demo import command as demonstration

    console = Console()
    if seed is not None:
        console.print(f"Rendering scene {seed}", highlight=False)
    video, truth = demonstration.prepare(seed, out)
    with LiveTable(console) as live:
        view, scores = demonstration.demo(video, truth, out, live.update)
    table = Table("what", "class", "direction", "counted", "true")
    for one in scores:
        name = f"{one.kind} {one.what}".strip()
        style = None if one.off == 0 else "red"
        table.add_row(name, one.class_name, one.direction, str(one.counted), str(one.true), style=style)
    console.print(table)
    console.print(f"The annotated video is {out / 'demo.mp4'}", highlight=False)
    print(demonstration.verdict(scores, demonstration.speed(view, truth)))
    if seed is None and any(score.off for score in scores):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: a mistake that a user can mend is one line on standard error and an exit code."""
    try:
        app()
    except TallycamError as error:
        print(f"tallycam: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
