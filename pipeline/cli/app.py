"""The command line: the commands, their order in `--help`, and how errors end the process."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipeline import __version__
from pipeline.cli import audit, check, demo, evaluate, image, models, recount, run, track, train
from pipeline.errors import TallycamError

ORDER = ("run", "check", "recount", "demo", "image", "track", "evaluate", "audit", "models", "train")
"""The commands as `--help` lists them: the most used first."""


class Commands(TyperGroup):
    """Lists the commands in `ORDER`; Typer alone would put groups before commands."""

    def list_commands(self, ctx: object) -> list[str]:
        return [name for name in ORDER if name in self.commands]


app = typer.Typer(
    cls=Commands,
    pretty_exceptions_enable=False,
    epilog="New here? `tallycam demo` counts a clip that comes with the package and checks every count.",
)
app.command()(run.run)
app.command()(check.check)
app.command()(recount.recount)
app.command()(demo.demo)
app.command()(image.image)
app.command()(track.track)
app.add_typer(evaluate.app, name="evaluate")
app.command()(audit.audit)
app.add_typer(models.app, name="models")
app.command()(train.train)


@app.callback(invoke_without_command=True)
def tallycam(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Count unique objects, and objects that cross lines, in video files and live cameras."""
    if version:
        print(f"tallycam {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
    else:
        return
    raise typer.Exit


def main() -> None:
    """Run the command; an error that a user can fix is one line on standard error and an exit code."""
    try:
        app(prog_name="tallycam")
    except TallycamError as error:
        print(f"tallycam: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
