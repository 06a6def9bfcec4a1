"""`tallycam models`: list, fetch, export, quantize and time models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import JsonFile, ModelSettings, Overrides

if TYPE_CHECKING:
    from pipeline.models.comparison import ModelComparison

app = typer.Typer(no_args_is_help=True, help="List, fetch, export, quantize and time models.")

NameOrFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="The name of a model, or a model file.", show_default="street")
]
CLASSES_SHOWN = 6


def comparison_lines(found: ModelComparison) -> list[str]:
    """What a quantized model does differently, for people.

    Args:
        found: the original compared with it.
    """
    from statistics import mean, median

    both, lost, new = (sum(counts.values()) for counts in (found.same, found.lost, found.found))
    times = (median(found.first_ms), median(found.second_ms))
    lines = [
        f"Speed: {found.speed_ratio:.2f} x the frames a second ({times[0]:.0f} ms a frame became {times[1]:.0f} ms)",
        f"Objects in {found.frames} other frames: {both} found by both, {lost} lost, {new} found by int8 alone",
        *(
            f"    {name}: {found.same[name]} by both, {found.lost[name]} lost, {found.found[name]} new"
            for name in sorted({*found.lost, *found.found})
        ),
    ]
    if found.ious:
        lines.append(
            f"Of the same objects: boxes overlap by {mean(found.ious):.3f} (IoU), scores are "
            f"{mean(found.score_changes):+.3f}"
        )
    if found.single_scores:
        lines.append(f"Scores of the others: {median(found.single_scores):.2f} in the middle")
    return lines


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


@app.command()
def quantize(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ONNX model.", show_default=False)],
    calibrate: Annotated[
        str,
        typer.Option(
            help="A recording of the kind that the model will see: a video file or a folder of images.",
            metavar="CLIP",
            show_default=False,
        ),
    ],
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="Write the int8 model to this file; the default is FILE with -int8 before .onnx.",
            metavar="FILE",
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option(help="Frames of the clip for calibration, and as many others to compare.", min=2)
    ] = 32,
    yes: Annotated[bool, typer.Option("--yes", help="Write the model without a question.")] = False,
    json_file: JsonFile = None,
    config: ModelSettings = None,
    overrides: Overrides = None,
) -> None:
    """Make an int8 version of an ONNX model for CPUs; says how fast it is, and what it finds and loses, before it is
    written."""
    import shutil
    import tempfile

    from pipeline.cli.arguments import choose_model
    from pipeline.errors import ModelError
    from pipeline.files import make_folder, replacing
    from pipeline.models.comparison import compare
    from pipeline.models.onnx.onnx_model import OnnxSegmenter
    from pipeline.models.onnx.quantize import need_packages
    from pipeline.models.onnx.quantize import quantize as make
    from pipeline.records.summary import write_json
    from pipeline.video.spread_frames import spread_frames

    if file.suffix.lower() != ".onnx":
        raise ModelError(f"{file}: only ONNX models can be quantized; `tallycam models export` makes one")
    target = onnx or file.with_name(f"{file.stem}-int8.onnx")
    if target.resolve() == file.resolve():
        raise ModelError(f"--onnx: {target} is the original; give another name")
    need_packages()
    chosen = choose_model(str(file), config, overrides or (), device="cpu")
    original = OnnxSegmenter(chosen)
    chosen_frames = spread_frames(calibrate, 2 * frames)
    print(f"Calibrating with {len(chosen_frames[::2])} frames of {calibrate}", flush=True)
    with tempfile.TemporaryDirectory(prefix="quantize-") as folder:
        made = Path(folder, target.name)
        layers = make(file, made, chosen_frames[::2], original)
        smaller = OnnxSegmenter(chosen.model_copy(update={"path": made}))
        original.warm_up()
        smaller.warm_up()
        found = compare(original, smaller, chosen_frames[1::2] or chosen_frames)
        for line in comparison_lines(found):
            print(line)
        megabytes = (file.stat().st_size / 1e6, made.stat().st_size / 1e6)
        print(f"{layers} layers are int8; {megabytes[0]:.1f} MB became {megabytes[1]:.1f} MB")
        if json_file is not None:
            write_json(json_file, found.as_json() | {"megabytes": megabytes})
        if not yes and not typer.confirm(f"Write {target}?", default=True):
            raise typer.Exit(1)
        make_folder(target.parent)
        with replacing(target) as part:
            shutil.copyfile(made, part)
    print(f"{target}: use it as model.path")
