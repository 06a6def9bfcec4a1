"""The reader thread of `decode`: every frame of the source goes into a slot of the ring, or is dropped and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.metrics.stream_metrics import StreamMetrics
from pipeline.stages.camera_watch import CameraWatch
from pipeline.stages.context import now
from pipeline.stages.frame_queue import FrameQueue
from pipeline.stages.pending_frame import PendingFrame
from pipeline.transport.ring import Ring
from pipeline.video.camera_motion import CameraMotion
from pipeline.video.sources.source import Source, SourceFrame

NO_SLOT = "no_slot"
"""All slots of a live source hold frames in flight."""


class FrameReader:
    """Reads a source until it ends or `stop` is set.

    Args:
        source: An open source; it is closed at the end.
        ring: Where the pixels go, until their size changes.
        queue: Where the frames go.
        metrics: Of the stream.
        stop: Ends the reading.
        camera: Estimates the motion of a moving camera.
        watch: Tells whether the camera can see.
        epoch: Added to the epoch of each frame.
        pts_s: Added to the media time of each frame.

    Attributes:
        ring: Where the pixels go.
        done: The thread has nothing more to do.
        ended: The source came to its end; it was not stopped.
        error: Why reading failed.
    """

    def __init__(
        self,
        source: Source,
        ring: Ring,
        queue: FrameQueue,
        metrics: StreamMetrics,
        *,
        stop: threading.Event,
        camera: CameraMotion | None = None,
        watch: CameraWatch | None = None,
        epoch: int = 0,
        pts_s: float = 0.0,
    ) -> None:
        self._source, self._queue, self._metrics = source, queue, metrics
        self.ring = ring
        self._former: list[Ring] = []
        """Rings of frames of another size, some of which may be in flight."""
        self._stop, self._camera, self._watch = stop, camera, watch
        self._epoch, self._pts_s = epoch, pts_s
        self.done = self.ended = False
        self.error: BaseException | None = None

    def start(self, on_frame: Callable[[], None]) -> None:
        """Begins to read.

        Args:
            on_frame: Called from the thread after each frame, and once at the end.
        """
        self._on_frame = on_frame
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread to end.

        Args:
            timeout_s: Longest wait, seconds.
        """
        self._thread.join(timeout_s)

    def close_former_rings(self) -> None:
        """Frees the memory of frames of another size, once none of them is in flight."""
        used = self._queue.rings() if self._former else []
        for ring in [one for one in self._former if one not in used]:
            self._former.remove(ring)
            ring.close()

    def _read(self) -> None:
        live = self._source.info.live
        try:
            for frame in self._source.frames():
                self._metrics.frames_in()
                slot = self._queue.take_slot(0.0 if live else 0.2)
                while slot is None and not live and not self._stop.is_set():
                    slot = self._queue.take_slot(0.2)
                if self._stop.is_set():
                    break
                if slot is None:
                    self._queue.drop(NO_SLOT)
                else:
                    self._store(slot, frame)
            self.ended = not self._stop.is_set()
        except Exception as error:
            self.error = error  # raised by the stage's own loop
        finally:
            self._source.close()
            self.done = True
            self._on_frame()

    def _store(self, slot: int, frame: SourceFrame) -> None:
        start_s = now()
        if (frame.width, frame.height) != (self.ring.width, self.ring.height):
            former, self.ring = self.ring, Ring.create(self.ring.slots, frame.width, frame.height)
            self._former.append(former)
        planes = self.ring.open_slot(slot)
        frame.copy_to(planes)
        epoch = self._epoch + frame.epoch
        camera = self._camera.update(planes.y, epoch, frame.index) if self._camera else None
        condition = self._watch.update(planes.y, start_s) if self._watch else ""
        pts_s = self._pts_s + frame.pts_s
        pending = PendingFrame(self.ring, slot, epoch, frame.index, pts_s, frame.wall_s, camera, condition)
        seq = self._queue.put(pending, now())
        if seq is not None:
            self.ring.publish(slot, pending.epoch, seq)
        for unused in self._queue.unused_reserve():
            self.ring.discard(unused)
        self._metrics.processing(now() - start_s)
        self._on_frame()
