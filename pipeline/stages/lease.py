"""A frame in flight, and what the restart of a worker means for those that it had."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.stages.pending_frame import PendingFrame


@dataclass(frozen=True, slots=True)
class WorkerRestart:
    """What a new incarnation of a worker means for the frames that its predecessor had leased.

    Attributes:
        again: Sequence numbers that are leased again.
        quarantined: Sequence numbers that no worker gets any more.
    """

    again: list[int] = field(default_factory=list)
    quarantined: list[int] = field(default_factory=list)


@dataclass(slots=True)
class InFlight:
    """A numbered frame.

    Attributes:
        frame: Where its pixels are.
        worker: Process that has it; empty while none has.
        incarnation: Of that process.
        leased_s: Monotonic time of the lease.
        deaths: How often a worker died with it.
        accepted: `track` has it.
    """

    frame: PendingFrame
    worker: str = ""
    incarnation: int = -1
    leased_s: float = 0.0
    deaths: int = 0
    accepted: bool = False

    @property
    def leased(self) -> bool:
        """Whether a worker has it."""
        return bool(self.worker) and not self.accepted
