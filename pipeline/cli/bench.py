"""`tallycam bench`: how much this machine carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure how much this machine carries.")

Json = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this file.", show_default=False)
]
Objects = Annotated[int, typer.Option(min=0, max=1000, help="Objects in each frame.")]


@app.command()
def streams(
    numbers: Annotated[
        str, typer.Option("--streams", help="How many streams at once, e.g. 1,2,4,8.", metavar="N,N,...")
    ] = "1,2,4,8,16",
    size: Annotated[
        str, typer.Option(help="Size of the frames: WIDTHxHEIGHT, or 360p, 720p, 1080p, 4k.")
    ] = "360p",
    objects: Objects = 10,
    seconds: Annotated[
        float, typer.Option(min=0.5, help="For how long each number of streams is measured.")
    ] = 6.0,
    json_file: Json = None,
) -> None:
    """Count in several streams at once, as fast as they go, and say what a frame and a stream cost.

    A clip of the bundled street is played in each of them, with recorded instances in place of a model.
    """
    import tempfile
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from pipeline.capacity.sample import make_clip, make_log
    from pipeline.capacity.stream_costs import measure, quiet, unpaced
    from pipeline.cli.arguments import parse_frame_size, parse_numbers
    from pipeline.records.summary import write_json

    counts, frame_size = parse_numbers(numbers, "--streams"), parse_frame_size(size, "--size")
    table = Table("streams", "frames/s", "slowest", "cores", "CPU-ms a frame", "MB", "MB a stream")
    for column in table.columns:
        column.justify = "right"
    rows = []
    with tempfile.TemporaryDirectory(prefix="tallycam-bench-") as name, quiet():
        folder = Path(name)
        make_clip(folder / "clip.mp4", frame_size)
        make_log(folder / "people.log", frame_size, objects)
        for count in counts:
            config = unpaced(folder / "clip.mp4", folder / "people.log", count)
            row = measure(config, folder / f"out-{count}", seconds)
            rows.append(asdict(row))
            table.add_row(
                str(count),
                f"{row.fps:.0f}",
                f"{row.slowest_fps:.1f}",
                f"{row.cores:.2f}",
                f"{row.frame_cpu_ms:.2f}",
                f"{row.total_mb:.0f}",
                f"{row.memory_mb.get('decode', 0.0) / count:.0f}",
            )
    Console().print(table)
    if json_file is not None:
        write_json(json_file, {"size": list(frame_size), "objects": objects, "rows": rows})
