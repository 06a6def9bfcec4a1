"""`tallycam demo`: a clip with known truth through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Out


def demo(
    seed: Annotated[
        int | None,
        typer.Option(
            help="Render a new scene from this seed and count that instead of the bundled clip.",
            metavar="N",
            min=0,
        ),
    ] = None,
    out: Out = Path("out/demo"),
) -> None:
    """Count the bundled clip and compare every count with the ground truth."""
    from rich.console import Console
    from rich.table import Table

    from pipeline.cli.table import LiveTable
    from pipeline.demo import command as demonstration

    console = Console()
    if seed is not None:
        console.print(f"Rendering scene {seed}", highlight=False)
    video, truth = demonstration.prepare(seed, out)
    with LiveTable(console) as live:
        view, scores = demonstration.demo(video, truth, out, live.update)
    if not view.ended:
        print(f"stopped at {view.stopped_at()}: nothing to compare")
        raise typer.Exit(1)
    table = Table("what", "class", "direction", "counted", "true")
    for score in scores:
        name = f"{score.kind} {score.what}".strip()
        style = None if score.off == 0 else "red"
        table.add_row(
            name, score.class_name, score.direction, str(score.counted), str(score.true), style=style
        )
    console.print(table)
    console.print(f"The annotated video is {out / 'demo.mp4'}", highlight=False)
    print(demonstration.verdict(scores, demonstration.speed(view, truth)))
    if seed is None and any(score.off for score in scores):
        raise typer.Exit(1)
