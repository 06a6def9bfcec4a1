"""How many slots of a live source's ring are kept for outages. Their memory is used only while one lasts."""

from __future__ import annotations

import resource
from pathlib import Path

from pipeline.control_groups import group_folders, system_text
from pipeline.transport.planes import planes_bytes

MOST_BYTES = 512 * 2**20
"""Of all streams together."""
_SHARE = 0.1
"""Part of the memory that is available, likewise."""
_UNKNOWN_FPS = 30.0


def reserve_slots(
    catch_up_s: float, fps: float, width: int, height: int, streams: int, available_bytes: int
) -> int:
    """Slots in which frames wait during an outage.

    Args:
        catch_up_s: Seconds of the source that are to wait at most.
        fps: Frames a second; 0: unknown.
        width: Pixels.
        height: Pixels.
        streams: Streams that share the memory.
        available_bytes: Memory that this run may use, from `available_bytes`.
    """
    wanted = round(catch_up_s * (fps or _UNKNOWN_FPS))
    bytes_ = min(MOST_BYTES, _SHARE * available_bytes) / max(1, streams)
    return max(0, min(wanted, int(bytes_ // planes_bytes(width, height))))


def available_bytes() -> int:
    """Memory that can be used without swapping: of the host, or of the control group of this process if that is less;
    0 where the address space is limited (`ulimit -v`), since a ring counts in every process that maps it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        return 0
    free = _free_bytes(Path("/proc/meminfo"))
    for group in group_folders("memory"):
        limit, used = (_number(group / name) for name in ("memory.max", "memory.current"))
        if limit is not None and used is not None:
            free = min(free, max(0, limit - used))
    return free


def _free_bytes(meminfo: Path) -> int:
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _number(path: Path) -> int | None:
    text = (system_text(path) or "").strip()
    return int(text) if text.isdecimal() else None
