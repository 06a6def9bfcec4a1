"""`tallycam stream`: the streams of a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.video.sources.kinds import examples

app = typer.Typer(no_args_is_help=True, help="List, add and remove the streams of a run while it goes on.")

Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="The folder of the run, as given with --out.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the stream.", show_default=False)]


@app.command()
def ls(out: Folder) -> None:
    """List the streams of the run in DIR: name, state, source."""
    from pipeline.runtime.stream_commands import running

    state = running(out)
    widest = max(map(len, state.streams), default=0)
    for name, stream in state.streams.items():
        print(f"{name:<{widest}}  {stream['state']:<10}  {stream['source']}")
    if state.refused:
        print(f"The changed {state.configuration} is refused: {state.error}")


@app.command()
def add(
    out: Folder,
    name: Name,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help=f"What to count in: {examples()}.", show_default=False)
    ],
    lines: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="[NAME=]X1,Y1,X2,Y2", help="Count what crosses this line."),
    ] = None,
    zones: Annotated[
        list[str] | None,
        typer.Option("--zone", metavar="[NAME=]X1,Y1,X2,Y2,X3,Y3", help="Count what is inside this polygon."),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Count only objects of this class.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Set a value of the stream, such as fps=5."),
    ] = None,
) -> None:
    """Add a stream to the run in DIR, and to its configuration file; the other streams do not notice."""
    from pipeline.config.additions import parse_additions
    from pipeline.config.overrides import Overrides
    from pipeline.config.yaml_streams import add_stream
    from pipeline.runtime.stream_commands import edit

    stream: dict[str, Any] = {"source": source}
    additions, changes = parse_additions(lines or (), zones or (), classes or ()), Overrides()
    for text in settings or ():
        changes.apply(stream, text)
    additions.apply({"streams": {name: stream}}, Path("--line, --zone and --class"))
    state = edit(out, lambda text, where: add_stream(text, name, stream, where))
    print(f"{name} is added; {_count(state.streams)}, as {state.configuration} says")


@app.command()
def rm(out: Folder, name: Name) -> None:
    """Remove a stream from the run in DIR, and from its configuration file. What was counted stays."""
    from pipeline.config.yaml_streams import remove_stream
    from pipeline.runtime.stream_commands import edit

    state = edit(out, lambda text, where: remove_stream(text, name, where))
    print(f"{name} is removed; {_count(state.streams)}, as {state.configuration} says")


def _count(streams: dict[str, dict[str, str]]) -> str:
    return f"the run has {len(streams)} stream{'s' * (len(streams) != 1)}"
