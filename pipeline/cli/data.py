"""`tallycam data`: inspect, convert, divide and collect datasets for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Overrides, Source

app = typer.Typer(no_args_is_help=True, help="Inspect, convert, divide and collect datasets.")

FORMATS = "coco, openimages, voc, yolo, labelme, masks, cvat"
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help=f"A file or folder in one of the formats {FORMATS}.", show_default=False
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(help="The folder of the images, if they are not with the labels.", metavar="DIR"),
]
From = Annotated[
    str | None,
    typer.Option("--from", help="The format of DATA, if it is not recognised.", metavar="FORMAT"),
]
Classes = Annotated[
    str | None,
    typer.Option(help="Keep only these classes, separated by commas, in this order.", metavar="A,B"),
]
Files = Annotated[
    str,
    typer.Option(
        "--files", help="How images get to OUT: copy, link (hard links, no space), or none.", metavar="MODE"
    ),
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.", show_default=False)]
Form = Annotated[str, typer.Option("--to", help=f"The format: {FORMATS}.", metavar="FORMAT")]


@app.command()
def inspect(
    data: Data,
    out: Annotated[Path, typer.Option(help="Write the page into this folder.", metavar="DIR")] = Path(
        "out/inspect"
    ),
    samples: Annotated[int, typer.Option(help="Number of images to show with their masks.", min=0)] = 24,
    seed: Annotated[int, typer.Option(help="Seed of their choice.")] = 1,
    images: Images = None,
    form: From = None,
    classes: Classes = None,
) -> None:
    """Show what is in a dataset and what is wrong with it.

    Missing and damaged images, faulty and odd labels, the balance of the classes, sizes, duplicates, images that leak
    between splits, and samples with their masks drawn: on the terminal, as a page, a PNG sheet and JSON.
    """
    from rich.console import Console

    from pipeline.curation.inspect_page import write_page
    from pipeline.curation.inspection import as_json, facts, sheets
    from pipeline.curation.inspection import inspect as look_at
    from pipeline.datasets.formats import read_dataset
    from pipeline.evaluation.report import rich_table
    from pipeline.files import make_folder
    from pipeline.records.summary import write_json

    console = Console()
    found = look_at(read_dataset(data, images, form=form, classes=_names(classes)))
    make_folder(out, "give another folder")
    write_json(out / "inspect.json", as_json(found))
    files = write_page(found, f"{data} ({found.dataset.format})", out, samples, seed)
    for sheet in sheets(found):
        console.print(rich_table(sheet), crop=False)
        console.print()
    for fact in facts(found):
        console.print(
            f"{fact.name:>10}: {fact.value} ({fact.hint})",
            style="red" if fact.wrong else None,
            highlight=False,
        )
    console.print(f"Open {files[0]} in a browser", highlight=False, soft_wrap=True)


@app.command()
def collect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|SOURCE", help="A YAML configuration, or a source.", show_default=False
        ),
    ],
    out: Out,
    images: Annotated[int, typer.Option(help="Collect so many images at most.", min=1)] = 200,
    every: Annotated[
        float, typer.Option(help="Look at a frame so often, in seconds of the video.", min=0.0)
    ] = 1.0,
    minutes: Annotated[
        float | None,
        typer.Option(help="Watch each stream so long. Default: to its end, a camera until Ctrl-C.", min=0.0),
    ] = None,
    source: Source = None,
    overrides: Overrides = None,
) -> None:
    """Collect images for labelling from cameras or recordings.

    The images differ from each other; those come first in which the model is in doubt: with scores close to the
    threshold, or without an object that was there before and after. What the model found comes with them, to be
    corrected in CVAT or Label Studio: COCO instance JSON with outlines and scores.
    """
    from pipeline.cli.run_settings import RunSettings
    from pipeline.config.additions import Additions
    from pipeline.curation.collection import CollectOptions, write
    from pipeline.curation.collection import collect as collect_images
    from pipeline.datasets.writing import new_folder

    config, _ = RunSettings(target, Additions(), tuple(overrides or ()), source).load()
    new_folder(out)  # before it takes long
    collected = collect_images(config, CollectOptions(images, every, minutes), tell=print)
    write(collected, out)
    count = sum(len(one.image.instances) for one in collected.images)
    print(
        f"{out}: {len(collected.images)} images with {count} objects of the model, to be corrected "
        f"(annotations/instances_default.json, why each was taken: collected.csv)"
    )


@app.command()
def convert(
    data: Data,
    out: Out,
    to: Form,
    classes: Classes = None,
    files: Files = "copy",
    images: Images = None,
    form: From = None,
) -> None:
    """Write a dataset in another format. What cannot be used is left out and named."""
    from pipeline.datasets.conversion import write_dataset
    from pipeline.datasets.formats import read_dataset
    from pipeline.datasets.usable import usable

    dataset = usable(read_dataset(data, images, form=form, classes=_names(classes)))
    _tell_problems(dataset.problems)
    print(write_dataset(dataset, out, to, files))


@app.command()
def refine(
    data: Data,
    out: Out,
    sheet: Annotated[
        Path, typer.Option(help="Draw images with their outlines into this PNG file.", metavar="FILE")
    ] = Path("out/refined.png"),
    samples: Annotated[int, typer.Option(help="Number of images to draw.", min=1)] = 24,
    to: Form = "coco",
    images: Images = None,
    form: From = None,
    classes: Classes = None,
    files: Files = "copy",
) -> None:
    """Find outlines for objects that have only a box, by their colours (GrabCut).

    Look at the sheet before you use them: where objects have the colours of what is around them, boxes are better.
    """
    from pipeline.curation.refinement import OUTLINED, REFINED, refine, write_sheet
    from pipeline.datasets.conversion import write_dataset
    from pipeline.datasets.formats import read_dataset
    from pipeline.datasets.usable import usable
    from pipeline.datasets.writing import new_folder

    new_folder(out)
    dataset = usable(read_dataset(data, images, form=form, classes=_names(classes)))
    _tell_problems(dataset.problems)
    refined = refine(dataset)
    print(write_dataset(refined.dataset, out, to, files))
    boxes = {name: count for name, count in refined.outcomes.items() if name != OUTLINED}
    print(", ".join(f"{count} {name}" for name, count in sorted(boxes.items())) or "no object has only a box")
    if boxes.get(REFINED):
        write_sheet(refined, sheet, samples)
        print(f"Look at {sheet}: what is wrong there is wrong in {out}")


@app.command()
def split(
    data: Data,
    out: Out,
    by: Annotated[
        str,
        typer.Option(
            help="What stays together: camera (folder, or first word of the name), clip (name without its last "
            "number), folder, image, or a regular expression with a group.",
            metavar="WHAT",
        ),
    ] = "clip",
    val: Annotated[float, typer.Option(help="Share of the images for val.", min=0.0, max=0.9)] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the images for test.", min=0.0, max=0.9)] = 0.0,
    to: Form = "coco",
    seed: Annotated[int, typer.Option(help="Seed of the choice between groups of one size.")] = 1,
    classes: Classes = None,
    files: Files = "link",
    images: Images = None,
    form: From = None,
) -> None:
    """Divide a dataset into train, val and test by camera or clip, so that no frame leaks.

    Frames of train that are nearly the same as one of val or test are left out.
    """
    from pipeline.datasets.alike import alike, fingerprints
    from pipeline.datasets.conversion import write_dataset
    from pipeline.datasets.formats import read_dataset
    from pipeline.datasets.splitting import divide
    from pipeline.datasets.usable import usable
    from pipeline.errors import ConfigError

    if val + test >= 1 or val + test <= 0:
        raise ConfigError(
            f"--val {val:g} --test {test:g}: expected shares above 0 that leave something for train"
        )
    shares = {"train": 1 - val - test, "val": val, "test": test}
    dataset = usable(read_dataset(data, images, form=form, classes=_names(classes)))
    _tell_problems(dataset.problems)
    wanted = {name: share for name, share in shares.items() if share > 0}
    done = divide(dataset, by, wanted, alike(dataset, fingerprints(dataset)), seed)
    print(write_dataset(done.dataset, out, to, files))
    for name in wanted:
        groups = [group for group, own in done.groups.items() if own == name]
        number = sum(image.split == name for image in done.dataset.images)
        print(
            f"{name}: {number} images of {len(groups)} by {by}: {', '.join(groups[:6])}{', ...' * (len(groups) > 6)}"
        )
    if done.left_out:
        one, other = done.left_out[0]
        print(
            f"left out {len(done.left_out)} that look like one in another split, such as {one} like {other}"
        )


def _names(classes: str | None) -> list[str] | None:
    return None if classes is None else [name for name in classes.split(",") if name.strip()]


SHOWN = 10


def _tell_problems(problems: tuple[object, ...]) -> None:
    import sys

    for problem in problems[:SHOWN]:
        print(problem, file=sys.stderr)
    if len(problems) > SHOWN:
        print(f"and {len(problems) - SHOWN} more; `tallycam data inspect` names them all", file=sys.stderr)
