"""`tallycam models`: which models there are, their weights, ONNX files of them, and how fast they are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import ConfigOption, Overrides

app = typer.Typer(no_args_is_help=True, help="List, fetch, export and time models.")

NameOrFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="a model by name, or its file", show_default="street")
]
CLASSES_SHOWN = 6


@app.command()
def ls(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="model files to list as well")
    ] = None,
) -> None:
    """List the models there are: size, licence, classes, and whether their weights are on this disk."""
    from pipeline.models.listing import listing

    rows = listing(files or ())
    widest = max(len(row.name) for row in rows)
    for row in rows:  # no table: names and paths are not to be broken, they are copied from here
        size = f"{row.megabytes:.1f} MB" if row.megabytes else "-"
        shown = ", ".join(row.classes[:CLASSES_SHOWN])
        more = f" and {len(row.classes) - CLASSES_SHOWN} more" if len(row.classes) > CLASSES_SHOWN else ""
        print(f"{row.name:<{widest}}  {size:>8}  {row.licence:<12}  {row.what}")
        print(f"    classes: {shown}{more}")
        print(f"    weights: {row.where}")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="maskrcnn_resnet50_fpn or ..._v2")],
) -> None:
    """Fetch the published weights of a model, once; their hash is checked."""
    from pipeline.models.listing import fetch_weights

    print(fetch_weights(name))


@app.command()
def export(
    model: NameOrFile = "street",
    onnx: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")] = Path("model.onnx"),
    size: Annotated[
        str | None, typer.Option(help="width and height of its input, multiples of 32", metavar="WxH")
    ] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Write a Mask R-CNN as ONNX, and check on random pictures and video frames that it finds the same."""
    from pipeline.cli.model_choice import choose, parse_size
    from pipeline.demo.clip import bundled_frames
    from pipeline.models.listing import weights_of
    from pipeline.models.maskrcnn.export import export as write

    chosen = choose(model, config, overrides or ())
    wanted = parse_size(size, "--size") if size else None
    done = write(weights_of(chosen), onnx, size=wanted, names=chosen.classes, frames=bundled_frames(3))
    print(
        f"{done.path}: input {done.size[0]}x{done.size[1]}, {len(done.classes)} classes, "
        f"{done.path.stat().st_size / 1e6:.1f} MB"
    )
    print(
        f"PyTorch and ONNX Runtime found the same {done.detections} objects in {done.pictures} pictures; largest "
        f"differences: boxes {done.boxes_px:.2g} px, scores {done.scores:.2g}, masks {done.masks:.2g}"
    )
    if done.alone:
        print(f"{done.alone} more hang on ties in the suppression: one of the two finds them alone")


@app.command()
def bench(
    model: NameOrFile = "street",
    batches: Annotated[str, typer.Option(help="frames in one run of the model", metavar="N,N")] = "1,2,4,8",
    size: Annotated[str, typer.Option(help="width and height of the frames", metavar="WxH")] = "1920x1080",
    seconds: Annotated[float, typer.Option(help="how long to time each batch size", min=0.0)] = 5.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the figures there", metavar="FILE")
    ] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Time a model on this device, from uint8 frames to instances, by batch size."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from pipeline.cli.model_choice import choose, parse_numbers, parse_size
    from pipeline.demo.clip import bundled_frames
    from pipeline.models import registry
    from pipeline.models.bench import bench as measure
    from pipeline.records.summary import write_json
    from pipeline.transport.planes import Planes

    numbers = parse_numbers(batches, "--batches")
    width, height = parse_size(size, "--size")
    chosen = choose(model, config, overrides or ())
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
