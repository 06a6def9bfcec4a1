"""A file from the network, once: with a progress bar, its hash checked, and whole or not at all."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO

from pipeline.errors import ModelError
from pipeline.files import make_folder, replacing

SILENCE_S = 20.0
"""A server that says nothing for so long is given up."""

_PIECE = 1 << 20


def fetch(url: str, path: Path, sha256: str, *, progress: bool = True) -> None:
    """Downloads `url` to `path`. What is there already is replaced only when the new file is whole and right.

    Args:
        url: http or https.
        path: its folder is made.
        sha256: the first digits of the file's hash, hexadecimal.
        progress: draws a bar on the standard error where that is a terminal.

    Raises:
        ModelError: no network, no such file, another hash than expected, or nowhere to write.
    """
    if not url.startswith(("https://", "http://")):
        raise ModelError(f"{url}: expected an address that begins with https:// or http://")
    make_folder(path.parent)
    with replacing(path) as part:
        with part.open("wb") as file:
            try:
                came = _download(url, file, progress and sys.stderr.isatty())
            except (OSError, HTTPException) as error:
                raise ModelError(f"{url}: could not be fetched ({_reason(error)})") from error
        if not came.startswith(sha256):
            raise ModelError(
                f"{url}: came with hash {came[:16]}, expected {sha256}: it is not the file it was"
            )


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, file: IO[bytes], bar: bool) -> str:
    """Writes what `url` holds; returns its SHA-256."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    digest = hashlib.sha256()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        urllib.request.urlopen(url, timeout=SILENCE_S) as answer,  # noqa: S310 - the scheme is checked by `fetch`
        Progress(*columns, console=Console(stderr=True), disable=not bar) as shown,
    ):
        length = answer.headers.get("Content-Length")
        expected = int(length) if length and length.isdecimal() else None
        task = shown.add_task(url.rpartition("/")[2], total=expected)
        done = 0
        while piece := answer.read(_PIECE):
            file.write(piece)
            digest.update(piece)
            done += len(piece)
            shown.advance(task, len(piece))
    if expected is not None and done != expected:
        raise ConnectionError(f"it ended after {done} of {expected} bytes")
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    text: object = error
    if isinstance(error, urllib.error.HTTPError):
        text = f"{error.code} {error.reason}"
    elif isinstance(error, urllib.error.URLError):
        text = getattr(error.reason, "strerror", None) or error.reason
    return " ".join(str(text).split()) or type(error).__name__
