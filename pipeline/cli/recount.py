"""`tallycam recount`: counts from the log of a run, without video and model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import ConfigPath, JsonFile, Overrides


def recount(
    log: Annotated[
        Path,
        typer.Argument(metavar="LOG", help="The instances log of a run, DIR/log/STREAM.", show_default=False),
    ],
    config: ConfigPath,
    overrides: Overrides = None,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Count only from here on: seconds of media time, or a time such as 2026-03-29T01:30:00.",
            metavar="TIME",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Count only up to here; as --from.", metavar="TIME")
    ] = None,
    json_file: JsonFile = None,
    heatmap: Annotated[
        Path | None,
        typer.Option(help="Draw where the objects were into this .png or .jpg file.", metavar="FILE"),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Write the masks of the objects of each frame: COCO JSON to FILE.json, or 16-bit PNG into a folder.",
            metavar="PATH",
        ),
    ] = None,
) -> None:
    """Count again from the log of an earlier run, with the lines and zones of CONFIG."""
    from rich.console import Console

    from pipeline.cli.table import final_table
    from pipeline.config.load import load
    from pipeline.records.summary import build, write_json
    from pipeline.runtime.recount import recount as count_again

    name, view = count_again(log, load(config, overrides or ()), heatmap, masks=masks, begin=begin, end=end)
    Console().print(final_table({name: view}))
    if json_file is not None:
        write_json(json_file, build({name: view.as_summary(str(log))}))
