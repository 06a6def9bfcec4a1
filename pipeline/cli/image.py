"""`tallycam image`: detect objects in photos."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Model, ModelSettings, Out, Overrides


def image(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Images, folders of images, and patterns such as 'photos/**/*.jpg'.",
            show_default=False,
        ),
    ],
    out: Out = Path("out/image"),
    count: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Print how many objects of this class there are. May be given several times.",
        ),
    ] = None,
    model: Model = None,
    score: Annotated[
        float | None, typer.Option(help="Leave out objects below this score.", min=0.0, max=1.0)
    ] = None,
    config: ModelSettings = None,
    overrides: Overrides = None,
) -> None:
    """Find objects in photos: pictures with boxes and masks, cut-outs and COCO JSON in DIR.

    An image that cannot be read is reported and left out. The exit code is 2 if no image could be read.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pipeline.cli.arguments import choose_model
    from pipeline.errors import TallycamError
    from pipeline.images.image_job import ImageReport, process
    from pipeline.images.image_paths import gather

    settings = choose_model(model, config, overrides or (), score=score)
    wanted = tuple(dict.fromkeys(count or ()))
    gathered = gather(paths)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    def say(text: str) -> None:
        console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)

    progress = Progress(*columns, console=console, transient=True)
    bar = progress.add_task("images", total=len(gathered.paths))
    with progress if console.is_terminal else nullcontext():  # elsewhere it would print an empty line

        def tell(report: ImageReport) -> None:
            progress.advance(bar)
            if report.note:
                say(report.note)
            if report.counts:
                print(f"{report.path}: {_counted(report.counts)}")

        for problem in gathered.problems:
            say(problem)
        if not gathered.paths:
            raise TallycamError("image: there is no image to read")
        result = process(gathered.paths, out, settings, count=wanted, on_image=tell)
    if not result.images:
        raise TallycamError(f"image: none of {len(gathered.paths)} images could be used")
    totals = {name: result.objects[name] for name in wanted} or result.objects
    found = _counted({name: n for name, n in totals.items() if n or name in wanted}) or "no objects"
    left_out = f", {len(result.failures)} left out" if result.failures else ""
    print(f"{result.images} image{'s' * (result.images != 1)}{left_out}: {found}")
    print(f"Results are in {out}")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())
