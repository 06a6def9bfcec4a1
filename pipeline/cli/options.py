"""Arguments and options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.video.sources.kinds import examples

ConfigPath = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG", help="A YAML configuration; the folder configs/ has examples.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Change one value of the configuration. May be given several times."
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        help=f"Read this source instead of the one in CONFIG: {examples()}.",
        metavar="URI",
    ),
]
Out = Annotated[Path, typer.Option(help="Write the results into this folder.", metavar="DIR")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Use the model of this name or file instead of the one that ships."),
]
ModelSettings = Annotated[
    Path | None,
    typer.Option("--config", help="Take the model's settings from this configuration.", metavar="CONFIG"),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Also write the figures to this JSON file.", metavar="FILE")
]
