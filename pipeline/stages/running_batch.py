"""Which frames the model of a worker is working on, in a file that outlives the worker.

When a worker dies, many frames are leased to it, and one of them may have killed it. The next incarnation reads here
which ones were in the model, and tells the decoders: the others are innocent.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline.transport.messages import FrameRef


class RunningBatch:
    """The file of one worker. A write costs a few microseconds; it is never synced, since it only has to outlive the
    process.

    Args:
        path: The file, in the private folder of the run.
    """

    def __init__(self, path: Path) -> None:
        self.killers: dict[str, tuple[int, ...]] | None = self._read(path)
        """Stream -> frames that an earlier incarnation was working on when it died; None where that is not known."""
        self._frames: list[list[tuple[str, int]]] = []
        self._file = -1
        with contextlib.suppress(OSError):  # then all frames that were leased are suspects
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._write()

    def begin(self, refs: Iterable[FrameRef]) -> None:
        """Notes a batch before the model gets it.

        Args:
            refs: Its frames.
        """
        self._frames.append([(ref.stream, ref.seq) for ref in refs])
        self._write()

    def finish(self) -> None:
        """Removes the batch that was begun first."""
        self._frames.pop(0)
        self._write()

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self) -> None:
        data = msgspec.msgpack.encode([one for batch in self._frames for one in batch])
        with contextlib.suppress(OSError):
            os.pwrite(self._file, len(data).to_bytes(4, "little") + data, 0)

    @staticmethod
    def _read(path: Path) -> dict[str, tuple[int, ...]] | None:
        try:
            data = path.read_bytes()
            length = int.from_bytes(data[:4], "little")
            frames = msgspec.msgpack.decode(data[4 : 4 + length], type=list[tuple[str, int]])
        except (OSError, msgspec.MsgspecError):
            return None
        found: dict[str, tuple[int, ...]] = {}
        for stream, seq in frames:
            found[stream] = (*found.get(stream, ()), seq)
        return found
