"""A decoded frame in its slot, before it has a sequence number."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.transport.messages import Camera, FrameRef
from pipeline.transport.ring import Ring


@dataclass(frozen=True, slots=True)
class PendingFrame:
    """A frame in a slot that has no sequence number yet.

    Attributes:
        ring: Ring that holds the pixels.
        slot: Slot of it.
        epoch, index, pts_s, wall_s, camera, condition: As in `FrameRef`.
    """

    ring: Ring
    slot: int
    epoch: int
    index: int
    pts_s: float
    wall_s: float
    camera: Camera | None = None
    condition: str = ""

    def ref(self, seq: int, stream: str, *, alone: bool = False) -> FrameRef:
        """Message that identifies this frame and locates its pixels.

        Args:
            seq: Sequence number.
            stream: Name of the stream.
            alone: As in `FrameRef`.
        """
        return FrameRef(
            stream=stream,
            epoch=self.epoch,
            seq=seq,
            index=self.index,
            pts_s=self.pts_s,
            wall_s=self.wall_s,
            camera=self.camera,
            alone=alone,
            condition=self.condition,
            slot=self.slot,
            ring=self.ring.path,
            width=self.ring.width,
            height=self.ring.height,
        )
