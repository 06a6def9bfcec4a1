"""Taking a source's address apart: scheme, path, host. Nothing is opened here."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.errors import SourceError
from pipeline.redact import redact
from pipeline.video.sources.folder_files import holds_recordings

STDIN = "-"
_PICTURES = (".jpg", ".jpeg", ".png")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)[:,]")
"""A comma ends a scheme, too: FFmpeg's `subfile,,start,0,...` is a protocol, not a file name."""


def scheme_of(address: str) -> str:
    """The scheme in lower case, e.g. `rtsp` or `camera`; empty for a plain path.

    Args:
        address: As it is written in the configuration.
    """
    found = _SCHEME.match(address)
    return found.group(1).lower() if found else ""


def after_scheme(address: str) -> str:
    """What follows the scheme: `0` of `camera:0`.

    Args:
        address: As it is written in the configuration.
    """
    return address.split(":", 1)[1] if ":" in address else ""


def local_path(address: str) -> Path:
    """The path that an address names if it is a path or a `file://` URL.

    Args:
        address: As it is written in the configuration.
    """
    if address.startswith("file://"):
        return Path(unquote(urlsplit(address).path))
    return Path(address).expanduser()


def is_file(address: str) -> bool:
    """Whether the address is an existing file of any type other than a folder.

    Args:
        address: As it is written in the configuration.
    """
    return _exists(address) and not local_path(address).is_dir()


def is_folder(address: str) -> bool:
    """Whether the address is an existing folder.

    Args:
        address: As it is written in the configuration.
    """
    return _exists(address) and local_path(address).is_dir()


def is_recordings(address: str) -> bool:
    """Whether the address is an existing folder of video files.

    Args:
        address: As it is written in the configuration.
    """
    return is_folder(address) and holds_recordings(local_path(address))


def path_text(address: str) -> str:
    """`local_path` as text.

    Args:
        address: As it is written in the configuration.
    """
    return str(local_path(address))


def url_with_host(address: str) -> str:
    """The URL itself.

    Args:
        address: As it is written in the configuration.

    Raises:
        SourceError: the URL has no valid host name or port.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises ValueError unless it is a number
        host = parts.hostname
    except ValueError:
        host = None
    if not host:
        raise SourceError(
            f"{redact(address)}: this URL has no valid host name; expected {scheme_of(address)}://HOST/..."
        )
    return address


def is_pipe(address: str) -> bool:
    """Whether an address is `-` or a named pipe.

    Args:
        address: As it is written in the configuration.
    """
    if address == STDIN:
        return True
    try:
        return stat.S_ISFIFO(local_path(address).stat().st_mode)
    except (OSError, ValueError):
        return False


def is_snapshot(address: str) -> bool:
    """Whether an address is that of a picture: an HTTP address that ends like one, or `snapshot:http://...`.

    Args:
        address: As it is written in the configuration.
    """
    scheme = scheme_of(address)
    if scheme == "snapshot":
        return True
    if scheme not in ("http", "https"):
        return False
    try:
        return urlsplit(address).path.lower().endswith(_PICTURES)
    except ValueError:
        return False  # no URL: reported by whoever opens it


def snapshot_url(address: str) -> str:
    """The HTTP address.

    Args:
        address: As it is written in the configuration.

    Raises:
        SourceError: it is none.
    """
    url = address.removeprefix("snapshot:")
    if scheme_of(url) not in ("http", "https"):
        raise SourceError(f"{redact(url)}: expected snapshot:http://HOST/...")
    return url_with_host(url)


def udp_address(address: str) -> str:
    """A UDP address: `udp://HOST:PORT`, or `udp://@:PORT` for any address of this machine.

    Args:
        address: As it is written in the configuration.

    Raises:
        SourceError: it has no port.
    """
    host, _, rest = address.partition("://")[2].partition("/")[0].partition("?")[0].rpartition(":")
    port = rest or host
    if not port.isdecimal():
        raise SourceError(f"{redact(address)}: expected udp://HOST:PORT, or udp://@:PORT for any address")
    return address


def srt_address(address: str) -> str:
    """The address, where FFmpeg's SRT is part of PyAV.

    Args:
        address: As it is written in the configuration.

    Raises:
        SourceError: it is not, which is so for the wheels of PyAV.
    """
    import av  # half a second: only where there is such an address

    url_with_host(address)
    try:
        av.open("srt://", timeout=0.01).close()
    except av.error.ProtocolNotFoundError:
        raise SourceError(
            f"{redact(address)}: this PyAV has no SRT; let ffmpeg pass it on (ffmpeg -i '{redact(address)}' "
            "-c copy -f mpegts udp://127.0.0.1:5000), and give udp://127.0.0.1:5000"
        ) from None
    except (av.error.FFmpegError, OSError, ValueError):
        pass  # it is there, and wants more of an address
    return address


def device_number(address: str) -> str:
    """N of `camera:N`.

    Args:
        address: As it is written in the configuration.

    Raises:
        SourceError: N is not a whole number.
    """
    number = after_scheme(address)
    if not number.isascii() or not number.isdigit():
        raise SourceError(f"{address}: expected camera:N with the number of /dev/videoN, got {number!r}")
    return str(int(number))


def _exists(address: str) -> bool:
    try:
        return local_path(address).exists()
    except (OSError, ValueError):
        return False  # not a usable path: too long, or with a null byte
