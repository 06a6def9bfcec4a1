"""What a `source:` text means, and how it is shown without its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.errors import SourceError
from pipeline.redact import redact, shown

LIVE_SCHEMES = ("rtsp", "rtsps", "http", "https")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)[:,]")
EXPECTED = (
    "give a video file, a folder of images, camera:N, synthetic:SEED, or an rtsp(s):// or http(s):// URL"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A source by kind: `file`, `images`, `camera`, `rtsp`, `url` or `synthetic`, and what is behind the kind."""

    kind: str
    target: str


def parse_source(source: str) -> Address:
    """What `source` names. Existing paths win over everything else, whatever their names look like.

    Raises:
        SourceError: a missing path, or a protocol that is not opened (FFmpeg's `concat:`, `subfile,`, `pipe:`...).
    """
    if source.startswith("file://"):
        source = unquote(urlsplit(source).path)
    elif _SCHEME.match(source) is None or _exists(source):
        pass
    elif (scheme := source.split(":", 1)[0].lower()) == "camera":
        number = source.split(":", 1)[1]
        if not number.isascii() or not number.isdigit():
            raise SourceError(f"{source}: expected camera:N with the number of /dev/videoN, got {number!r}")
        return Address("camera", str(int(number)))
    elif scheme == "synthetic":
        return Address("synthetic", source.split(":", 1)[1])
    elif scheme in LIVE_SCHEMES:
        if not _host(source):
            raise SourceError(
                f"{redact(source)}: this URL has no valid host name; expected {scheme}://HOST/..."
            )
        return Address("rtsp" if scheme.startswith("rtsp") else "url", source)
    else:
        raise SourceError(f"{redact(source)}: no such file, and not an address that is opened; {EXPECTED}")
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return Address("images", str(path))
        if not path.exists():
            raise SourceError(f"{shown(source, 200)}: no such file or folder; check the path, or {EXPECTED}")
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{shown(source, 200)}: not a usable path ({getattr(error, 'strerror', None) or error}); {EXPECTED}"
        ) from error
    return Address("file", str(path))


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):
        return False


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises on a port that is no number
        return parts.hostname
    except ValueError:
        return None
