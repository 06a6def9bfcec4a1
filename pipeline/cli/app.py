"""The command line: the commands, their order in `--help`, and how errors end the process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline import __version__
from pipeline.cli import (
    audit,
    bench,
    check,
    data,
    demo,
    evaluate,
    image,
    models,
    plan,
    recount,
    run,
    service,
    stream,
    track,
    train,
)
from pipeline.errors import TallycamError
from pipeline.redact import redact

ORDER = (
    "run",
    "check",
    "recount",
    "demo",
    "service",
    "stream",
    "image",
    "track",
    "evaluate",
    "audit",
    "models",
    "data",
    "train",
    "bench",
    "plan",
)
"""The commands as `--help` lists them: the most used first."""


class Commands(TyperGroup):
    """Lists the commands in `ORDER`; Typer alone would put groups before commands.

    Mistakes on the command line are told without the passwords that they quote.
    """

    def list_commands(self, ctx: object) -> list[str]:
        return [name for name in ORDER if name in self.commands]

    def make_context(self, *words: Any, **settings: Any) -> Any:
        with _without_passwords():
            return super().make_context(*words, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _without_passwords():
            return super().invoke(ctx)


@contextmanager
def _without_passwords() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # those of Typer, whose base class is not public
        if isinstance(message := getattr(error, "message", None), str):
            error.message = redact(message)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=Commands,
    pretty_exceptions_enable=False,
    epilog="New here? `tallycam demo` counts a clip that comes with the package and checks every count.",
)
app.command()(run.run)
app.command()(check.check)
app.command()(recount.recount)
app.command()(demo.demo)
app.add_typer(service.app, name="service")
app.add_typer(stream.app, name="stream")
app.command()(image.image)
app.command()(track.track)
app.add_typer(evaluate.app, name="evaluate")
app.command()(audit.audit)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
app.add_typer(bench.app, name="bench")
app.command()(plan.plan)


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
        print(f"tallycam: {redact(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
