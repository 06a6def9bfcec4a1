"""`tallycam models`: list, fetch, export and time models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import JsonFile, ModelSettings, Overrides

app = typer.Typer(no_args_is_help=True, help="List, fetch, export and time models.")

NameOrFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="The name of a model, or a model file.", show_default="street")
]
CLASSES_SHOWN = 6


@app.command()
def ls(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Model files to list as well.")
    ] = None,
) -> None:
    """List the known models: size, licence, classes, and whether their weights are on disk."""
    from pipeline.models.catalog import list_models

    rows = list_models(files or ())
    widest = max(len(row.name) for row in rows)
    for row in rows:  # no table: names and paths are not to be broken, they are copied from here
        size = f"{row.megabytes:.1f} MB" if row.megabytes else "-"
        shown = ", ".join(row.classes[:CLASSES_SHOWN]) or "-"
        more = f" and {len(row.classes) - CLASSES_SHOWN} more" if len(row.classes) > CLASSES_SHOWN else ""
        print(f"{row.name:<{widest}}  {size:>8}  {row.licence:<12}  {row.description}")
        print(f"    classes: {shown}{more}")
        print(f"    weights: {row.where}")


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The name of the model, such as rfdetr-seg-nano; `tallycam models ls` lists them.",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Take the weights, or the ONNX export of an RF-DETR, from this file instead of downloading it.",
            metavar="FILE",
        ),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            help="Export with this Python, which has the package rfdetr, instead of a temporary environment.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Fetch the published weights of a model and verify their hash. An RF-DETR is exported to ONNX, once."""
    from pipeline.models.catalog import pull_weights

    print(pull_weights(name, file, python))


@app.command()
def export(
    model: NameOrFile = "street",
    onnx: Annotated[Path, typer.Option(help="Write the ONNX model to this file.", metavar="FILE")] = Path(
        "model.onnx"
    ),
    size: Annotated[
        str | None, typer.Option(help="Size of the model's input in pixels, multiples of 32.", metavar="WxH")
    ] = None,
    config: ModelSettings = None,
    overrides: Overrides = None,
) -> None:
    """Export a Mask R-CNN to ONNX, and check on images that both find the same objects."""
    from pipeline.cli.arguments import choose_model, parse_size
    from pipeline.demo.clip import bundled_frames
    from pipeline.models.catalog import maskrcnn_weights
    from pipeline.models.maskrcnn.export import export as write

    chosen = choose_model(model, config, overrides or ())
    wanted = parse_size(size, "--size") if size else None
    done = write(maskrcnn_weights(chosen), onnx, size=wanted, names=chosen.classes, frames=bundled_frames(3))
    print(
        f"{done.path}: input {done.size[0]}x{done.size[1]}, {len(done.classes)} classes, "
        f"{done.path.stat().st_size / 1e6:.1f} MB"
    )
    checked = done.comparison
    print(
        f"PyTorch and ONNX Runtime found the same {checked.detections} objects in {checked.images} pictures; largest "
        f"differences: boxes {checked.boxes_px:.2g} px, scores {checked.scores:.2g}, masks {checked.masks:.2g}"
    )
    if checked.unmatched:
        print(f"{checked.unmatched} more hang on ties in the suppression: one of the two finds them alone")


@app.command()
def bench(
    model: NameOrFile = "street",
    batches: Annotated[
        str, typer.Option(help="Batch sizes to time, separated by commas.", metavar="N,N")
    ] = "1,2,4,8",
    size: Annotated[str, typer.Option(help="Size of the frames in pixels.", metavar="WxH")] = "1920x1080",
    seconds: Annotated[float, typer.Option(help="Seconds to spend on each batch size.", min=0.0)] = 5.0,
    json_file: JsonFile = None,
    config: ModelSettings = None,
    overrides: Overrides = None,
) -> None:
    """Time a model on this device, from uint8 frames to instances, for several batch sizes."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from pipeline.cli.arguments import choose_model, parse_numbers, parse_size
    from pipeline.demo.clip import bundled_frames
    from pipeline.models import registry
    from pipeline.models.bench import bench as measure
    from pipeline.records.summary import write_json
    from pipeline.transport.planes import Planes

    numbers = parse_numbers(batches, "--batches")
    width, height = parse_size(size, "--size")
    chosen = choose_model(model, config, overrides or ())
    frames = [Planes.from_rgb(frame) for frame in bundled_frames(4, (width, height))]
    segmenter = registry.load(chosen)
    segmenter.warm_up()
    rows = []
    table = Table(
        "batch", "p50", "p95", "frames/s", "instances", title=f"{model} on {segmenter.device}, {size}"
    )
    for column in table.columns:
        column.justify = "right"
    for row in measure(segmenter, frames, numbers, seconds):
        rows.append(row)
        figures = (
            f"{row.p50_ms:.1f} ms",
            f"{row.p95_ms:.1f} ms",
            f"{row.frames_per_s:.1f}",
            f"{row.instances:.1f}",
        )
        table.add_row(str(row.batch), *((row.trouble, "", "", "") if row.trouble else figures))
    Console().print(table)
    if json_file is not None:
        what = {"model": model, "device": segmenter.device, "width": width, "height": height}
        write_json(json_file, what | {"rows": [asdict(row) for row in rows]})
