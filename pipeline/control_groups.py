"""The control groups of this process, whose limits hold beside those of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def group_folders(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """The folders in which the kernel shows the limits of a controller: the process's own group, and all above it.

    Args:
        controller: `cpu` or `memory`. Its groups of version 1 are given beside those of version 2, which have all.
        root: where `proc` and `sys` are.
    """
    for line in (system_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        own = top / group.lstrip("/")
        for folder in (own, *own.parents):
            if not folder.is_relative_to(top):
                break
            yield folder


def system_text(path: Path) -> str | None:
    """The text of a file of the kernel; None where it cannot be read.

    Args:
        path: below `/proc` or `/sys`.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
