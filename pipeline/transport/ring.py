"""Frames in shared memory: written once by the decoder, mapped by every reader.

The memory is an anonymous file (memfd) that readers open through the decoder's `/proc` entry, so the kernel frees it
when the last process ends, however that process ended, and no limit of `/dev/shm` applies.

Layout: one page of header (`_MAGIC`, slots, width, height), a table of `slots` x (epoch, seq) int64, then the
slots, each starting on a page. A table entry is -1 while its slot is being written.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import TallycamError
from pipeline.transport.planes import Planes, planes_bytes

_PAGE = mmap.PAGESIZE
_MAGIC = 0x54414C4C59524E47
_EMPTY = -1


class RingError(TallycamError):
    """A ring cannot be mapped: its decoder is gone, or the memory is not a ring."""


def _up(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


class Ring:
    """A ring of yuv420p frames of one size. `create` in the decoder, `attach` elsewhere.

    Attributes:
        path: Argument of `attach` in other processes of the same host and user.
        slots: Number of frames it holds.
        width: Pixels of each frame.
        height: Pixels of each frame.
    """

    def __init__(
        self, descriptor: int, path: str, slots: int, width: int, height: int, writable: bool
    ) -> None:
        self.path, self.slots, self.width, self.height = path, slots, width, height
        self._descriptor = descriptor
        self._slot_bytes = _up(planes_bytes(width, height))
        self._start = _PAGE + _up(16 * slots)
        size = self._start + slots * self._slot_bytes
        if os.fstat(descriptor).st_size < size:
            raise RingError(f"{path}: shorter than a ring of {slots} frames of {width}x{height}")
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._memory = mmap.mmap(descriptor, size, access=access)
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._memory, np.uint8)
        table = self._bytes[_PAGE : _PAGE + 16 * slots].view(np.int64)
        self._table = table.reshape(slots, 2)

    @classmethod
    def create(cls, slots: int, width: int, height: int) -> Ring:
        """Allocates a ring whose slots are all empty.

        Args:
            slots: Number of frames.
            width: Pixels.
            height: Pixels.

        Raises:
            OSError: The memory file cannot be created.
        """
        descriptor = os.memfd_create("tallycam-ring", os.MFD_CLOEXEC)
        header = np.array([_MAGIC, slots, width, height], np.int64).tobytes()
        size = _PAGE + _up(16 * slots) + slots * _up(planes_bytes(width, height))
        os.ftruncate(descriptor, size)
        os.pwrite(descriptor, header, 0)
        ring = cls(descriptor, f"/proc/{os.getpid()}/fd/{descriptor}", slots, width, height, writable=True)
        ring._table[:] = _EMPTY
        return ring

    @classmethod
    def attach(cls, path: str, draw: bool = False) -> Ring:
        """Maps the ring of another process.

        Args:
            path: `Ring.path` of the creator; valid while the creator lives.
            draw: Map it writable, to draw on frames that have no other reader any more.

        Raises:
            RingError: The creator is gone, or the file is not a ring.
        """
        try:
            descriptor = os.open(path, (os.O_RDWR if draw else os.O_RDONLY) | os.O_CLOEXEC)
        except OSError as error:
            raise RingError(f"{path}: the ring is gone ({error.strerror})") from error
        header = np.frombuffer(os.pread(descriptor, 32, 0).ljust(32, b"\0"), np.int64)
        if header[0] != _MAGIC:
            os.close(descriptor)
            raise RingError(f"{path}: not a ring of frames")
        return cls(descriptor, path, int(header[1]), int(header[2]), int(header[3]), writable=draw)

    def pixels(self, slot: int) -> NDArray[np.uint8]:
        """Pixels of a slot as one flat buffer.

        Args:
            slot: 0..slots - 1.

        Returns:
            (planes_bytes,) uint8 view: y, u, v without padding; read-only unless the ring is mapped writable.
        """
        start = self._start + slot * self._slot_bytes
        return self._bytes[start : start + planes_bytes(self.width, self.height)]

    def planes(self, slot: int) -> Planes:
        """Pixels of a slot as planes.

        Args:
            slot: 0..slots - 1.

        Returns:
            Views; read-only unless the ring is mapped writable.
        """
        return Planes.view(self.pixels(slot), self.width, self.height)

    def open_slot(self, slot: int) -> Planes:
        """Marks a slot as being written: until `publish`, `holds` and `find` do not report it.

        Args:
            slot: 0..slots - 1.

        Returns:
            Writable views of its planes.
        """
        self._table[slot] = _EMPTY
        return self.planes(slot)

    def publish(self, slot: int, epoch: int, seq: int) -> None:
        """Makes a completely written slot visible to readers.

        Args:
            slot: 0..slots - 1.
            epoch: As in `FrameRef`.
            seq: As in `FrameRef`.
        """
        self._table[slot] = (epoch, seq)

    def discard(self, slot: int) -> None:
        """Gives the memory of a slot back to the system until the slot is written again.

        Args:
            slot: 0..slots - 1; no frame is in it, and no process reads it.
        """
        self._table[slot] = _EMPTY
        self._memory.madvise(mmap.MADV_REMOVE, self._start + slot * self._slot_bytes, self._slot_bytes)

    def holds(self, slot: int, epoch: int, seq: int) -> bool:
        """Whether a slot holds the given frame. Check again after reading: the writer may reuse the slot meanwhile.

        Args:
            slot: 0..slots - 1.
            epoch: As in `FrameRef`.
            seq: As in `FrameRef`.
        """
        return bool(self._table[slot, 0] == epoch and self._table[slot, 1] == seq)

    def find(self, seq: int) -> int | None:
        """Finds a frame by its sequence number.

        Args:
            seq: As in `FrameRef`.

        Returns:
            Its slot, or None if it is not in the ring.
        """
        (slots,) = np.nonzero(self._table[:, 1] == seq)
        return int(slots[0]) if len(slots) else None

    def close(self) -> None:
        """Unmaps the memory. While views exist it stays mapped, until the last of them is collected."""
        del self._table, self._bytes
        with contextlib.suppress(BufferError):  # a view is still held somewhere: the memory goes with it
            self._memory.close()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
