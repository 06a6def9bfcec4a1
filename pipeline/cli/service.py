"""`tallycam service`: a run that starts with the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import ConfigPath

app = typer.Typer(
    no_args_is_help=True, help="Install a run as a service of systemd, which starts with the machine."
)

UserService = Annotated[
    bool,
    typer.Option("--user", help="A service of your own service manager, without root.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the service.", show_default=False)]


@app.command()
def install(
    config: ConfigPath,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the results into this folder. By default a folder below /var/lib/tallycam.",
            metavar="DIR",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The name of the service. By default that of the configuration.")
    ] = None,
    user: UserService = False,
    account: Annotated[
        str | None,
        typer.Option(
            "--as", help="The user who counts. By default the user who called sudo.", metavar="USER"
        ),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="The most memory that it may use, e.g. 4G or a share of the machine's.")
    ] = "80%",
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the unit and change nothing.", show_default=False)
    ] = False,
) -> None:
    """Write a hardened unit for CONFIG, and say how it is started."""
    from pipeline.runtime import service
    from pipeline.runtime.service_unit import unit_text

    settings = service.settings_of(config, out, name, user_service=user, account=account, memory=memory)
    loaded, variables = service.checked(config)
    unit = unit_text(settings, loaded)
    if print_only:
        print(unit, end="")
        return
    service.install(settings, unit, variables)
    sudo, own = ("", " --user") if user else ("sudo ", "")
    steps = [
        f"{sudo}systemctl{own} enable --now {settings.unit}",
        f"{sudo}journalctl{own} --follow --unit {settings.unit}",
    ]
    if variables:
        steps.insert(0, f"{sudo}editor {settings.environment}   # {', '.join(variables)}")
    if user:
        steps.append("loginctl enable-linger   # goes on when you log out")
    print(f"{service.unit_path(settings)} is written. Next:", *(f"    {step}" for step in steps), sep="\n")
    print(f"Results will be in {settings.out}")


@app.command()
def status(name: Name, user: UserService = False) -> None:
    """Show whether a service runs, and its last log lines; the exit code is that of systemctl."""
    from pipeline.runtime.service import systemctl

    raise typer.Exit(
        systemctl("status", "--no-pager", f"tallycam-{name}.service", user_service=user, shown=True)
    )


@app.command()
def uninstall(name: Name, user: UserService = False) -> None:
    """Stop a service and remove its unit; its results and passwords stay."""
    from pipeline.runtime.service import uninstall as remove

    print(
        f"{remove(name, user_service=user)} is removed; results and the file with passwords are still there"
    )
