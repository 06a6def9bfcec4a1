"""Installing a run as a service of systemd, and removing it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.load import load
from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.files import make_folder, reading, write_bytes
from pipeline.runtime.service_unit import ServiceSettings

_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")


def settings_of(
    config: Path, out: Path | None, name: str | None, *, user_service: bool, account: str | None, memory: str
) -> ServiceSettings:
    """Where the parts of a service are.

    Args:
        config: Path of the configuration.
        out: Folder of the results; None: below `/var/lib/tallycam` or `~/.local/state/tallycam`.
        name: Of the service; None: that of the configuration.
        user_service: Whether the user's own service manager runs it.
        account: Who counts in a service of the system; None: the user who called `sudo`.
        memory: Most memory that it may use.

    Raises:
        ConfigError: A name or an account cannot be used.
    """
    config = config.absolute()
    name = name or config.stem
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--name: got '{name}', expected letters, digits, `-`, `_` and `.`")
    if not re.fullmatch(r"[0-9]+[KMGT%]?|infinity", memory):
        raise ConfigError(f"--memory: got {memory}, expected e.g. 4G or 80%")
    state, etc = _folders(user_service=user_service)
    return ServiceSettings(
        name=name,
        config=config,
        out=(out or state / name).absolute(),
        environment=etc / f"{name}.env",
        command=_command(),
        user=None if user_service else _account(account),
        memory=memory,
        gpu=Path("/dev/nvidiactl").exists(),
    )


def unit_path(settings: ServiceSettings) -> Path:
    """Where the unit goes.

    Args:
        settings: Of the service.
    """
    return unit_folder(user_service=settings.user is None) / settings.unit


def unit_folder(*, user_service: bool) -> Path:
    """Where units go.

    Args:
        user_service: Whether the user's own service manager reads them.
    """
    return (
        _home("XDG_CONFIG_HOME", ".config") / "systemd/user" if user_service else Path("/etc/systemd/system")
    )


def checked(config: Path) -> tuple[Config, list[str]]:
    """The configuration, and the environment variables that it needs. Those that are not set yet stand for themselves.

    Args:
        config: Path of the configuration.

    Raises:
        ConfigError: It has mistakes.
    """
    with reading(config, ConfigError):
        text = config.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    variables = list(dict.fromkeys(_VARIABLE.findall("\n".join(lines))))
    with _set_for_now([name for name in variables if name not in os.environ]):
        return load(config), variables


def install(settings: ServiceSettings, unit: str, variables: Sequence[str]) -> None:
    """Writes the unit, the file for passwords unless there is one, and makes the folder of the results.

    Args:
        settings: Of the service.
        unit: Text of the unit.
        variables: Environment variables that the configuration needs.

    Raises:
        OutputError: A file cannot be written.
        ConfigError: The folder cannot be given to the user who counts.
    """
    path = unit_path(settings)
    advice = "call it with sudo, or with --user for a service of your own" if settings.user else ""
    make_folder(path.parent, advice)
    make_folder(settings.environment.parent, advice)
    if not settings.environment.exists():
        lines = [
            "# One NAME=value each, without quotes for simple values; see EnvironmentFile in systemd.exec(5)."
        ]
        text = "\n".join([*lines, *(f"#{name}=" for name in variables)]) + "\n"
        write_bytes(settings.environment, text.encode(), mode=0o600, advice=advice)
    if not settings.out.exists():
        make_folder(settings.out, advice)
        settings.out.chmod(0o700)
        if settings.user is not None and os.geteuid() == 0:
            shutil.chown(settings.out, settings.user)
    write_bytes(path, unit.encode(), mode=0o644, advice=advice)
    systemctl("daemon-reload", user_service=settings.user is None)


def uninstall(name: str, *, user_service: bool) -> Path:
    """Stops a service and removes its unit. Results and passwords stay.

    Args:
        name: Of the service.
        user_service: Whether the user's own service manager runs it.

    Returns:
        Path of the unit that was removed.

    Raises:
        ConfigError: There is no such service, or it cannot be removed.
    """
    path = unit_folder(user_service=user_service) / f"tallycam-{name}.service"
    if not path.exists():
        raise ConfigError(
            f"{path}: there is no such service{'' if user_service else '; --user for one of your own'}"
        )
    systemctl("disable", "--now", path.name, user_service=user_service)
    try:
        path.unlink()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be removed: {error.strerror}; call it with sudo") from None
    systemctl("daemon-reload", user_service=user_service)
    return path


def systemctl(*words: str, user_service: bool, shown: bool = False) -> int:
    """Calls `systemctl`, where there is one.

    Args:
        words: Its arguments.
        user_service: Whether the user's own service manager is meant.
        shown: Whether its output is for the user.

    Returns:
        Its exit code; 0 without systemd.
    """
    program = shutil.which("systemctl")
    if program is None:
        return 0
    command = [program, *(["--user"] if user_service else []), *words]
    return subprocess.run(command, check=False, capture_output=not shown).returncode


def _folders(*, user_service: bool) -> tuple[Path, Path]:
    """For results, and for files with passwords."""
    if not user_service:
        return Path("/var/lib/tallycam"), Path("/etc/tallycam")
    return _home("XDG_STATE_HOME", ".local/state") / "tallycam", _home(
        "XDG_CONFIG_HOME", ".config"
    ) / "tallycam"


def _home(variable: str, otherwise: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / otherwise)


def _command() -> tuple[str, ...]:
    program = Path(sys.executable).with_name("tallycam")
    return (str(program),) if program.exists() else (sys.executable, "-P", "-m", "pipeline")


def _account(account: str | None) -> str:
    name = account or os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    try:
        number = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(
            f"--as: there is no user '{name}' on this machine; `sudo useradd --system {name}` makes one"
        ) from None
    if number == 0:
        raise ConfigError(
            "--as: the service would run as root; give a user, e.g. after `sudo useradd --system tallycam`"
        )
    return name


@contextmanager
def _set_for_now(names: Sequence[str]) -> Iterator[None]:
    """A configuration is checked although its passwords are not known yet."""
    os.environ.update(dict.fromkeys(names, "unset"))
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
