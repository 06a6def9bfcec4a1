"""A video file that another program still writes: at its end, more is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import av
from av.container import InputContainer

from pipeline.errors import SourceError
from pipeline.video.sources.decoder import CONTAINERS, MAX_FAILED_READS, reason

POLL_S = 0.1
"""How often a file is looked at for more."""
_SIZE = 0x10000
"""AVSEEK_SIZE: FFmpeg asks for the size of the file."""


class GrowingFile:
    """What PyAV reads from.

    Args:
        descriptor: Of the open file; closed with this.
        is_over: Asked at the end of the file: whether no more will come, or nobody wants it.

    Attributes:
        follows: Waits at the end of the file. Not while it is opened and searched.
    """

    def __init__(self, descriptor: int, is_over: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._is_over = is_over
        self.follows = False

    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end.

        Args:
            most: Largest number of them.
        """
        while True:
            over = not self.follows or self._is_over()
            data = os.read(self._descriptor, most)  # once more, after no more comes
            if data or over:
                return data
            time.sleep(POLL_S)

    def seek(self, offset: int, whence: int) -> int:
        """Moves the position; see `os.lseek`.

        Args:
            offset: In bytes.
            whence: As in `os`, or `AVSEEK_SIZE`.

        Returns:
            The new position; for `AVSEEK_SIZE` the size of the file.
        """
        if whence & _SIZE:
            return os.fstat(self._descriptor).st_size
        return os.lseek(self._descriptor, offset, whence)

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


class GrowingOpener:
    """Opens a file that grows; an `Opener`.

    Args:
        path: Of the file.
        is_over: Asked at the end of the file: whether no more will come, or nobody wants it.
    """

    failed_reads_max = MAX_FAILED_READS

    def __init__(self, path: str, is_over: Callable[[], bool]) -> None:
        self.shown = path
        self._is_over = is_over
        self._file: GrowingFile | None = None

    def open(self) -> InputContainer:
        """Opens the container at its beginning. Raises `SourceError`."""
        try:
            self._file = GrowingFile(os.open(self.shown, os.O_RDONLY | os.O_CLOEXEC), self._is_over)
            return av.open(self._file, "r", options={"format_whitelist": CONTAINERS})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{self.shown}: cannot be read while it is written ({reason(error)}); MPEG-TS, Matroska and fragmented "
                "MP4 can, other MP4 once it is finished"
            ) from error

    def begin_reading(self) -> None:
        """From now on, more is waited for at the end of the file."""
        if self._file is not None:
            self._file.follows = True
