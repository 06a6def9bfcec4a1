"""`tallycam plan`: what a number of cameras needs."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.bench import Json, Objects


def plan(
    streams: Annotated[int, typer.Option(min=1, help="Number of cameras.")] = 1,
    fps: Annotated[
        float, typer.Option(min=0.1, help="Frames a second of each camera that are counted.")
    ] = 10.0,
    camera_fps: Annotated[
        float, typer.Option(min=0.1, help="Frames a second that each camera sends, all of which are decoded.")
    ] = 25.0,
    size: Annotated[
        str, typer.Option(help="Size of the frames: WIDTHxHEIGHT, or 360p, 720p, 1080p, 4k.")
    ] = "1080p",
    model: Annotated[
        str | None,
        typer.Option(
            help="Name or file of the model; without one, its costs are left out.",
            metavar="MODEL",
            show_default=False,
        ),
    ] = None,
    objects: Objects = 10,
    video: Annotated[bool, typer.Option("--video/--no-video", help="Write the annotated video.")] = False,
    days: Annotated[float, typer.Option(min=0, help="For how long logs and videos are kept.")] = 7.0,
    out: Annotated[Path, typer.Option(help="Where they are kept.")] = Path("out"),
    json_file: Json = None,
) -> None:
    """Say what a number of cameras needs on machines like this one, and what runs out first.

    Costs are measured here, in about a minute: real runs of three streams, and the model.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from pipeline.capacity.machine import model_costs, this_machine
    from pipeline.capacity.plan import MAX_SHARE, Demand, ModelCosts, first_to_break, needs
    from pipeline.capacity.stream_costs import quiet
    from pipeline.capacity.unit_costs import measure_units
    from pipeline.cli.arguments import choose_model, parse_frame_size
    from pipeline.models import registry
    from pipeline.records.summary import write_json

    frame_size = parse_frame_size(size, "--size")
    chosen = None if model is None else choose_model(model)
    if chosen is not None:
        registry.classes_of(registry.chosen(chosen))  # says at once what is wrong with it
    with (
        quiet()
    ):  # before the model is loaded: this process is the supervisor of the runs, and its memory counts
        units = measure_units(frame_size, objects, video=video)
    costs, device = (ModelCosts(), "none") if chosen is None else model_costs(chosen, frame_size)
    machine = this_machine(out)
    found = needs(units, costs, Demand(streams, fps, camera_fps, days), machine)
    table = Table(
        "resource", "needed", "here", "share", title=f"{streams} cameras, {size}, {fps:g} frames a second"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for need in found:
        needed, known = need.needed(streams), need.available != inf
        table.add_row(
            need.resource,
            f"{needed:.1f} {need.unit}",
            f"{need.available:.1f} {need.unit}" if known else "not known",
            "" if not known else f"{100 * needed / need.available:.0f} %" if need.available else "none",
        )
    console = Console()
    console.print(table)
    first = first_to_break(found)
    if first.most != inf:
        share = f"{100 * MAX_SHARE:.0f} %"
        console.print(
            f"This machine carries {first.most:.0f} of them, used to {share}; {first.resource} runs out first."
        )
    if chosen is None:
        console.print("Without a model; --model NAME takes it in.")
    if json_file is not None:
        rows = [asdict(need) | {"needed": need.needed(streams)} for need in found]
        write_json(
            json_file, {"needs": rows, "units": asdict(units), "model": asdict(costs), "device": device}
        )
