"""The time zone of a site."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FOLDER = "zoneinfo/"


def zone_of(name: str | None) -> ZoneInfo:
    """A time zone by its name in the IANA database.

    Args:
        name: such as `Europe/Berlin`; None: that of this machine.

    Raises:
        ValueError: there is no such time zone.
    """
    if name is None:
        return _of_machine()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"got {name!r}, expected a name such as Europe/Berlin or UTC") from None


@cache
def _of_machine() -> ZoneInfo:
    """By `TZ`, else by /etc/localtime; UTC where neither names one."""
    try:
        name = (
            os.environ.get("TZ", "").lstrip(":")
            or str(Path("/etc/localtime").resolve()).partition(_FOLDER)[2]
        )
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
