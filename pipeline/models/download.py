"""Downloading a file: with a progress bar, its hash checked, complete or not at all."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from pipeline.errors import ModelError
from pipeline.files import make_folder, replacing

TIMEOUT_S = 20.0
"""How long a server may send nothing before the download is given up."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Hash:
    """What a publisher tells of the content of a file.

    Attributes:
        digits: the first hexadecimal digits of its hash.
        algorithm: as `hashlib` names it.
    """

    digits: str
    algorithm: str = "sha256"

    def fits(self, digest: str) -> bool:
        """Whether the hash of a file begins with the digits.

        Args:
            digest: hexadecimal.
        """
        return digest.startswith(self.digits)


def download(url: str, path: Path, expected: Hash, *, progress: bool = True) -> None:
    """Downloads a file. One that exists is replaced only by a complete one with the expected hash.

    Args:
        url: http or https.
        path: where to put it; its folder is created.
        expected: the hash of its content.
        progress: draws a progress bar on stderr if that is a terminal.

    Raises:
        ModelError: no network, no such file, or another hash than expected.
        OutputError: the file cannot be written.
    """
    if not url.startswith(("https://", "http://")):
        raise ModelError(f"{url}: expected an address that begins with https:// or http://")
    make_folder(path.parent)
    with replacing(path) as part:
        with part.open("wb") as file:
            try:
                digest = _transfer(url, file, expected.algorithm, progress and sys.stderr.isatty())
            except (OSError, HTTPException) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()  # it is the answer as well, with its connection
                raise ModelError(f"{url}: could not be downloaded ({_reason(error)})") from error
        if not expected.fits(digest):
            raise ModelError(
                f"{url}: its hash begins with {digest[:16]}, expected {expected.digits}: the file has changed"
            )


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file, hexadecimal.

    Args:
        path: Of the file.
        algorithm: as `hashlib` names it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _transfer(url: str, file: IO[bytes], algorithm: str, show_bar: bool) -> str:
    """Writes the content of `url` to `file` and returns its hash, hexadecimal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    digest = hashlib.new(algorithm, usedforsecurity=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_S) as response,  # noqa: S310 - `download` checks the scheme
        Progress(*columns, console=Console(stderr=True), disable=not show_bar) as bar,
    ):
        length = response.headers.get("Content-Length")
        expected = int(length) if length and length.isdecimal() else None
        task = bar.add_task(url.rpartition("/")[2], total=expected)
        received = 0
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            bar.advance(task, len(chunk))
    if expected is not None and received != expected:
        raise ConnectionError(f"it ended after {received} of {expected} bytes")
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    text: object = error
    if isinstance(error, urllib.error.HTTPError):
        text = f"{error.code} {error.reason}"
    elif isinstance(error, urllib.error.URLError):
        text = getattr(error.reason, "strerror", None) or error.reason
    return " ".join(str(text).split()) or type(error).__name__
