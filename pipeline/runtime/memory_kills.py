"""Whether the kernel has killed a process for want of memory: its exit status says only that it was killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.control_groups import group_folders, system_text

_COUNTERS = ("memory.events", "memory.oom_control")
"""Files of a control group of version 2, and of version 1, with a line `oom_kill N`."""
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_NO_LIMIT_BYTES = 1 << 60


class MemoryKills:
    """Counts them in the control groups of this process, or in the whole system where these count nothing.

    Args:
        root: Where `proc` and `sys` are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._seen = self._count()

    def reason(self) -> str:
        """Why a process was killed just now: for want of memory, and what the limit is; empty if not for that."""
        count = self._count()
        risen, self._seen = count > self._seen, count
        if not risen:
            return ""
        limits = list(self._limits())
        limit = f": the limit is {min(limits) / 1024**2:.0f} MB" if limits else ""
        return f"killed by the kernel for want of memory{limit}"

    def _count(self) -> int:
        groups = [
            value
            for folder in group_folders("memory", self._root)
            for name in _COUNTERS
            if (value := _oom_kills(folder / name)) is not None
        ]
        system = _oom_kills(self._root / "proc/vmstat") or 0
        return max(groups, default=system)

    def _limits(self) -> Iterator[int]:
        for folder in group_folders("memory", self._root):
            for name in _LIMITS:
                text = (system_text(folder / name) or "").strip()
                if text.isdecimal() and int(text) < _NO_LIMIT_BYTES:
                    yield int(text)


def _oom_kills(path: Path) -> int | None:
    for line in (system_text(path) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdecimal():
            return int(value)
    return None
