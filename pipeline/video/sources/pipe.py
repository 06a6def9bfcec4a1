"""A named pipe, or standard input: video that another program writes, played at the speed of its timestamps."""

from __future__ import annotations

import os
import select
import threading

import av
from av.container import InputContainer

from pipeline.errors import SourceError
from pipeline.video.sources.address import STDIN, local_path
from pipeline.video.sources.decoder import CONTAINERS, reason
from pipeline.video.sources.live_source import LiveSource
from pipeline.video.sources.source import Source, SourceRequest


def open_pipe(request: SourceRequest) -> Source:
    """Opens a pipe and waits for a program that writes to it.

    Standard input ends with its end; another program may write to a named pipe after the first one has ended.

    Args:
        request: Its address, settings and where to begin.

    Raises:
        SourceError: what is written is no video, or the run stops before there is any.
    """
    first = _open(request)
    return LiveSource(request, lambda: _open(request), first=first, paced=True, ends=request.target == STDIN)


class _Reader:
    """What PyAV reads from: ends when `stop` is set, also while nothing is written."""

    def __init__(self, path: str, stop: threading.Event) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._stop = stop
        self._began = False

    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end."""
        while not self._stop.is_set():
            if not select.select([self._descriptor], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._descriptor, most)
            except BlockingIOError:
                continue
            if data or self._began:
                self._began = True
                return data
            self._stop.wait(0.1)  # no program has opened the pipe for writing yet
        return b""

    def close(self) -> None:
        """Closes the pipe."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def _open(request: SourceRequest) -> InputContainer:
    try:
        reader = _Reader(_path(request.target), request.stop)
    except OSError as error:
        raise SourceError(f"{request.shown}: cannot be read: {reason(error)}") from None
    try:
        return av.open(reader, "r", options={"format_whitelist": CONTAINERS, "analyzeduration": "1000000"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reader.close()
        if request.stop.is_set():
            raise SourceError(f"{request.shown}: stopped before there was a picture") from None
        raise SourceError(
            f"{request.shown}: not a video that can be read as it comes ({reason(error)}); expected MPEG-TS, Matroska "
            "or fragmented MP4, as from ffmpeg -f mpegts -"
        ) from None


def _path(target: str) -> str:
    """Standard input is that of the command: stages are started without one."""
    if target != STDIN:
        return str(local_path(target))
    own = os.path.realpath("/proc/self/fd/0")
    return f"/proc/{os.getppid()}/fd/0" if own == os.devnull else "/proc/self/fd/0"
