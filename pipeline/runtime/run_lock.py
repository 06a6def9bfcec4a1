"""The lock of a run's folder. The processes of the run inherit it, so it is held until the last of them has ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO

from pipeline.errors import ConfigError

FILE = "run.lock"
WAIT_S = 40.0
"""Processes whose supervisor was killed end by themselves in less time."""


def take_lock(file: IO[str], out: Path) -> None:
    """Locks the folder. Where the command that had the lock was killed, its processes are waited for.

    Args:
        file: `FILE` in the folder, open.
        out: The folder.

    Raises:
        ConfigError: Another command is writing there.
    """
    end_s = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = _holder(out)
        if holder is None or _is_alive(holder):
            raise ConfigError(f"{out}: another tallycam is writing here; give another folder with --out")
        if time.monotonic() >= end_s:
            raise ConfigError(
                f"{out}: processes of a command that was killed are still writing here; end them, or give another "
                "folder with --out"
            )
        time.sleep(0.1)


def sign_lock(file: IO[str]) -> None:
    """Writes whose lock it is.

    Args:
        file: Locked, and open for writing.
    """
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), str(os.getpid()).encode(), 0)


def is_held(out: Path) -> bool:
    """Whether the command that has signed the lock of a folder is alive. The lock itself is not touched.

    Args:
        out: The folder.
    """
    holder = _holder(out)
    return holder is not None and _is_alive(holder)


def clear_lock(file: IO[str]) -> None:
    """Removes what `sign_lock` has written.

    Args:
        file: As for `sign_lock`.
    """
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)


def _holder(out: Path) -> int | None:
    """The command that has taken the lock; None if it has not said so."""
    try:
        return int((out / FILE).read_text())
    except (OSError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")
