"""A video file that another program still writes: at its end, more is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.container import InputContainer

from pipeline.errors import SourceError
from pipeline.video.sources.decoder import CONTAINERS, reason
from pipeline.video.sources.file_decoder import ContainerOpener

POLL_S = 0.1
"""How often a file is looked at for more."""
_SIZE = 0x10000
"""AVSEEK_SIZE: FFmpeg asks for the size of the file."""


class GrowingFile:
    """What PyAV reads from.

    Args:
        path: Of the file.
        is_over: Asked at the end of the file: whether no more will come, or nobody wants it.

    Attributes:
        follows: Waits at the end of the file. Not while it is opened and searched.
    """

    def __init__(self, path: str, is_over: Callable[[], bool]) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115  (closed by `close`)
        self._is_over = is_over
        self.follows = False

    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end.

        Args:
            most: Largest number of them.
        """
        while True:
            over = not self.follows or self._is_over()
            data = self._file.read(most)  # once more, after no more comes
            if data or over:
                return data
            time.sleep(POLL_S)

    def seek(self, offset: int, whence: int) -> int:
        """Moves the position; see `io.IOBase.seek`.

        Args:
            offset: In bytes.
            whence: As in `io`, or `AVSEEK_SIZE`.

        Returns:
            The new position; for `AVSEEK_SIZE` the size of the file.
        """
        if whence & _SIZE:
            return os.fstat(self._file.fileno()).st_size
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class GrowingOpener(ContainerOpener):
    """Opens a file that grows; see `ContainerOpener`.

    Attributes:
        is_over: Asked at the end of the file: whether no more will come, or nobody wants it.
    """

    is_over: Callable[[], bool] = lambda: True
    _opened: list[GrowingFile] = field(default_factory=list)

    def open(self) -> InputContainer:
        """Opens the container at its beginning. Raises `SourceError`."""
        try:
            file = GrowingFile(self.url, self.is_over)
            self._opened[:] = [file]
            return av.open(file, "r", options={"format_whitelist": CONTAINERS})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{self.shown}: cannot be read while it is written ({reason(error)}); MPEG-TS, Matroska and fragmented "
                "MP4 can, other MP4 once it is finished"
            ) from error

    def follow(self, container: InputContainer) -> None:
        """From now on, more is waited for at the end of the file.

        Args:
            container: From `open`, at the place where reading begins.
        """
        for file in self._opened:
            file.follows = True
