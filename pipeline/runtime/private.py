"""Who may read the results of a run: its owner alone, or a group as well (`output.group`).

Recordings show people, so nothing is readable by everyone. The umask of the command does it, which its stages inherit:
no file is readable for a moment only, and files that libraries create are covered as well. A group is passed on to new
files and folders by the set-group-id bit of the folder.
"""

from __future__ import annotations

import functools
import grp
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.files import reason

P = ParamSpec("P")
T = TypeVar("T")

OWNER_ONLY = 0o077
"""umask: files 0600, folders 0700."""
OWNER_AND_GROUP = 0o027
"""umask: files 0640, folders 0750."""
_INHERITED = stat.S_ISGID | stat.S_IRGRP | stat.S_IXGRP


def private_results(run: Callable[Concatenate[Config, P], T]) -> Callable[Concatenate[Config, P], T]:
    """Makes a function whose first argument is a configuration write files that others cannot read.

    Args:
        run: The function. Processes that it starts write such files, too.

    Returns:
        The same function; it raises `ConfigError` if the group of the configuration cannot be used.
    """

    @functools.wraps(run)
    def privately(config: Config, /, *args: P.args, **settings: P.kwargs) -> T:
        with _umask(OWNER_ONLY if group_id(config) is None else OWNER_AND_GROUP):
            return run(config, *args, **settings)

    return privately


def group_id(config: Config) -> int | None:
    """Number of the group that may read the results; None: there is no such group.

    Args:
        config: Of the run.

    Raises:
        ConfigError: There is no group of this name, or this user cannot give files to it.
    """
    group = config.output.group
    if group is None:
        return None
    try:
        number = int(group) if str(group).isdecimal() else grp.getgrnam(str(group)).gr_gid
    except KeyError:
        raise ConfigError(
            f"output.group: there is no group '{group}' on this machine; `getent group` lists them"
        ) from None
    if os.geteuid() != 0 and number not in {os.getegid(), *os.getgroups()}:
        raise ConfigError(
            f"output.group: this user is not in the group '{group}' and cannot give files to it; "
            "a group of this user is needed (`id -nG` lists them)"
        )
    return number


def protect(config: Config, folders: Iterable[Path], earlier: Iterable[Path] = ()) -> None:
    """Gives the folders of a run to its group, and takes what earlier runs left from everyone else.

    The permissions of a folder that existed before are kept, but for those that the group needs.

    Args:
        config: Of the run.
        folders: Those that exist before its processes start.
        earlier: Files and folders of an earlier run; those of other users stay as they are.

    Raises:
        ConfigError: A folder cannot be given to the group.
    """
    number = group_id(config)
    for path in _with_contents(earlier):
        _take_from_others(path, number)
    if number is None:
        return
    for folder in folders:
        try:
            os.chown(folder, -1, number)
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | _INHERITED)
        except OSError as error:
            raise ConfigError(
                f"output.group: {folder} cannot be given to the group '{config.output.group}': {reason(error)}; "
                "give a folder of this user with --out"
            ) from None


def _take_from_others(path: Path, group: int | None) -> None:
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
            return
        mode = stat.S_IMODE(found.st_mode)
        if group is None:
            wanted = mode & ~OWNER_ONLY
        else:
            os.chown(path, -1, group)
            wanted = mode & ~OWNER_AND_GROUP | (_INHERITED if path.is_dir() else stat.S_IRGRP)
        if wanted != mode:
            path.chmod(wanted)
    except FileNotFoundError:
        return  # removed meanwhile, as a journal of SQLite may be


def _with_contents(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from path.rglob("*")


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
