"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="a YAML file; see configs/", show_default=False)
]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="change one value")]
Source = Annotated[
    str | None, typer.Option(help="a file, folder, URL, camera:N or synthetic:SEED", metavar="URI")
]
Out = Annotated[Path, typer.Option(help="folder of the results", metavar="DIR")]
Model = Annotated[
    str | None, typer.Option("--model", help="a model by name, or its file; default: the one that ships")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="take the model's settings from there", metavar="CONFIG")
]
