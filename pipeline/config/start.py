"""`streams.NAME.start`: when a recording began, as a time or as a pattern of file names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

UNKNOWN = "unknown"
"""Value of `start` with which a recording has no time, whatever its name and container say."""
FIRST_YEAR = 1990
"""Earlier times are those of clocks that were never set: 1904 in MP4, 1970 in Unix, 1980 in FAT."""

_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "m": r"(?P<m>\d{2})",
    "d": r"(?P<d>\d{2})",
    "H": r"(?P<H>\d{2})",
    "M": r"(?P<M>\d{2})",
    "S": r"(?P<S>\d{2})",
    "f": r"(?P<f>\d{1,6})",
    "z": r"(?P<z>Z|[+-]\d{2}:?\d{2})",
    "s": r"(?P<s>\d{9,11})",
    "%": "%",
}
_NEEDED = ("Y", "m", "d", "H", "M")
_USUAL = re.compile(
    r"(?<!\d)(?P<Y>\d{4})[-_.]?(?P<m>\d{2})[-_.]?(?P<d>\d{2})[T _.-]{0,3}"
    r"(?P<H>\d{2})[-_.:h]?(?P<M>\d{2})[-_.:m]?(?P<S>\d{2})(?P<f>\d{3})?(?!\d)(?P<z>Z|\+\d{4})?"
)
"""`2026-03-29_01-30-00`, `20260329T013000Z`, `VID_20260329_013000123`, ..."""


def check_start(value: str) -> str:
    """Checks a value of `start`.

    Args:
        value: a time of ISO 8601, a pattern of file names, or `unknown`.

    Raises:
        ValueError: it is none of them; one line says what is expected.
    """
    if value == UNKNOWN:
        return value
    if "%" in value:
        _compiled(value)
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(
            f"got {value!r}, expected a time such as 2026-03-29T01:30:00, a pattern of file names such as "
            "gate_%Y%m%d-%H%M%S, or unknown"
        ) from None
    if moment.year < FIRST_YEAR:
        raise ValueError(f"got {value!r}, expected a time after {FIRST_YEAR}")
    return value


def time_of(value: str, zone: tzinfo) -> datetime:
    """The moment that a time of ISO 8601 names.

    Args:
        value: the time; in `zone`, unless it has an offset. Of a time that a change of the clocks makes occur twice,
            the first is meant.
        zone: the time zone of the site.

    Returns:
        The moment in UTC.

    Raises:
        ValueError: it is no such time.
    """
    return _utc(datetime.fromisoformat(value), zone)


def time_in_name(name: str, zone: tzinfo, pattern: str | None = None) -> datetime | None:
    """The moment that a file name holds, by a pattern or in one of the forms that recorders use.

    Args:
        name: of the file, or its path where the pattern has a `/`.
        zone: of times without an offset.
        pattern: with `%Y`, `%m`, `%d`, `%H`, `%M`, `%S`, `%f`, `%z`, or with `%s`, seconds since 1970; it may be a part
            of the name. None: year to second as digits, with or without separators.

    Returns:
        The moment in UTC; None if the name holds none.
    """
    for found in (_USUAL if pattern is None else _compiled(pattern)).finditer(name):
        part = found.groupdict()
        if part.get("s"):
            return datetime.fromtimestamp(int(part["s"]), UTC)
        try:
            year, month, day, hour, minute, second = (int(part.get(key) or 0) for key in "YmdHMS")
            microsecond = int((part.get("f") or "").ljust(6, "0"))
            moment = datetime(
                year, month, day, hour, minute, second, microsecond, tzinfo=_offset(part.get("z") or "")
            )
        except ValueError:  # digits that are no time
            continue
        if FIRST_YEAR <= moment.year < 2100:
            return _utc(moment, zone)
    return None


def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression. Raises `ValueError`."""
    parts, used = [], []
    pieces = iter(re.split(r"%(.?)", pattern))
    for literal in pieces:
        parts.append(re.escape(literal))
        directive = next(pieces, None)
        if directive is None:
            break
        if directive not in _DIRECTIVES or (directive in used and directive != "%"):
            known = " ".join(f"%{key}" for key in _DIRECTIVES)
            raise ValueError(
                f"got %{directive} in the pattern {pattern!r}, expected each of {known} once at most"
            )
        used.append(directive)
        parts.append(_DIRECTIVES[directive])
    if "s" not in used and any(key not in used for key in _NEEDED):
        raise ValueError(f"the pattern {pattern!r} lacks a part: %Y %m %d %H %M, or %s, are needed")
    return re.compile("".join(parts))


def _offset(text: str) -> timezone | None:
    if not text:
        return None
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _utc(moment: datetime, zone: tzinfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
