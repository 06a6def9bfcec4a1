"""Slots, waiting frames and leases of one stream: which process has which frame. No I/O; time is passed in.

A slot is free, being written, waiting or in flight. A frame enters flight, and gets its sequence number, when it is
first leased to a worker; the lease lasts until `track` accepts the frame, and the slot is freed when `sink` releases
it. Numbering frames that late leaves no gaps for frames that a live source replaces.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection

from pipeline.stages.lease import InFlight, WorkerRestart
from pipeline.stages.pending_frame import PendingFrame
from pipeline.stages.ring_slots import RingSlots
from pipeline.stages.waiting_frames import WaitingFrames
from pipeline.transport.ring import Ring

MAX_WORKER_DEATHS = 2
"""A frame that was leased to this many workers when they died is quarantined: it probably killed them."""
REPLACED = "replaced"
"""A live source had a newer frame before any worker took this one."""
QUARANTINED = "quarantined"
"""The frame was leased to `MAX_WORKER_DEATHS` workers when they died."""


class FrameQueue:
    """Bookkeeping of one stream's frames. Every method may be called from the reader thread and the serving loop.

    Args:
        slots: Frames that can be in flight, and slots of the ring for ordinary use.
        live: A new frame replaces the oldest waiting one; otherwise the reader waits for a free slot.
        reserve: Further slots, in which frames of a live source wait during an outage (`WaitingFrames`).
        next_seq: Sequence number of the first frame.
        accepted_to: Frames below this number need no worker: `track` has them, only `sink` wants their pixels again.
    """

    def __init__(
        self, slots: int, *, live: bool, reserve: int = 0, next_seq: int = 0, accepted_to: int = 0
    ) -> None:
        self._live = live
        self._slots = slots
        self._ring = RingSlots(slots, reserve)
        self._waiting = WaitingFrames(live=live)
        self._in_flight: dict[int, InFlight] = {}
        self._again: list[int] = []
        """Sequence numbers to lease again, ascending."""
        self._quarantined: list[int] = []
        self._next_seq = next_seq
        self._accepted_to = accepted_to
        self._released_to = next_seq
        self._condition = threading.Condition()
        self._incarnations: dict[str, int] = {}
        self.dropped: Counter[str] = Counter()
        """Reason -> decoded frames that no worker gets."""

    def take_slot(self, timeout_s: float) -> int | None:
        """Reserves a slot for writing. A live source evicts its oldest waiting frame if no slot is free.

        Args:
            timeout_s: How long to wait for a free slot.

        Returns:
            The slot; None on timeout (a live source then drops its frame).
        """
        with self._condition:
            if not self._has_slot() and self._live and self._waiting:
                self._replace(self._waiting.leave_out(1))
            if not self._has_slot():
                self._condition.wait_for(self._has_slot, timeout_s)
            return self._ring.take() if self._has_slot() else None

    def unused_reserve(self) -> range:
        """Slots of the reserve, once an outage is over and none of them is in use; empty until the next one is over."""
        with self._condition:
            return range(0) if self._waiting.catching_up else self._ring.unused_reserve()

    def put(self, frame: PendingFrame, now_s: float) -> int | None:
        """Takes a frame whose slot is completely written.

        Args:
            frame: In a slot from `take_slot`.
            now_s: Monotonic time.

        Returns:
            Its sequence number if it needs no worker (see `accepted_to`), otherwise None.
        """
        with self._condition:
            if self._next_seq < self._accepted_to:
                seq = self._number(frame)
                self._in_flight[seq].accepted = True
                return seq
            self._replace(self._waiting.add(frame, now_s))
            return None

    def drop(self, reason: str) -> None:
        """Counts a decoded frame that found no slot.

        Args:
            reason: Key of `dropped`.
        """
        with self._condition:
            self.dropped[reason] += 1

    def lease(self, worker: str, incarnation: int, most: int, now_s: float) -> list[tuple[int, PendingFrame]]:
        """Leases up to `most` frames to a worker, lowest number first; of a live source only the newest one, unless
        frames are caught up.

        Args:
            worker: Name of the process.
            incarnation: Of the worker.
            most: Frames that it has room for.
            now_s: Monotonic time.

        Returns:
            Sequence number and frame of each lease.
        """
        with self._condition:
            most = 1 if self._live and not self._waiting.catching_up else most
            seqs, self._again = self._again[:most], self._again[most:]
            if (room := min(most - len(seqs), self._slots - len(self._in_flight))) > 0:
                taken, left_out = self._waiting.take(room, now_s)
                self._replace(left_out)
                seqs += [self._number(frame) for frame in taken]
            result: list[tuple[int, PendingFrame]] = []
            for seq in seqs:
                entry = self._in_flight[seq]
                entry.worker, entry.incarnation, entry.leased_s = worker, incarnation, now_s
                result.append((seq, entry.frame))
            return result

    def worker_seen(
        self, worker: str, incarnation: int, killers: Collection[int] | None = None
    ) -> WorkerRestart | None:
        """Notes which incarnation of a worker is alive; the frames of an earlier one are leased again.

        Args:
            worker: Name of the process.
            incarnation: Rises with each restart.
            killers: Frames that may have killed the earlier one; None: any of those leased to it.

        Returns:
            What happened to those frames if the worker was restarted, otherwise None.
        """
        with self._condition:
            before = self._incarnations.get(worker, incarnation)
            self._incarnations[worker] = max(before, incarnation)
            if incarnation <= before:
                return None
            restart = WorkerRestart()
            for seq, entry in self._in_flight.items():
                if entry.leased and entry.worker == worker and entry.incarnation < incarnation:
                    entry.deaths += killers is None or seq in killers
                    again = self._lease_again(seq, entry)
                    (restart.again if again else restart.quarantined).append(seq)
            return restart

    def is_suspect(self, seq: int) -> bool:
        """Whether a worker died with a frame, which the next one should work on by itself.

        Args:
            seq: Sequence number.
        """
        with self._condition:
            return (entry := self._in_flight.get(seq)) is not None and entry.deaths > 0

    def undelivered(self, seqs: list[int]) -> None:
        """Takes back leases that did not reach their worker.

        Args:
            seqs: Sequence numbers; those no longer leased are ignored.
        """
        with self._condition:
            for seq in seqs:
                if (entry := self._in_flight.get(seq)) is not None and entry.leased:
                    self._lease_again(seq, entry)

    def lease_all_again(self) -> list[int]:
        """Leases all frames again: `track` was restarted, and instances on their way to it are lost."""
        with self._condition:
            leased = [seq for seq, entry in self._in_flight.items() if entry.leased]
            for seq in leased:
                self._lease_again(seq, self._in_flight[seq])
            return leased

    def expire_leases(self, now_s: float, timeout_s: float) -> list[int]:
        """Ends leases older than `timeout_s`, so that other workers get the frames; the first answer counts.

        An expired lease is not counted as a death of the worker: a slow model on a busy machine, or one being compiled,
        may take that long. A worker that hangs is detected and killed by the supervisor.

        Args:
            now_s: Monotonic time.
            timeout_s: Largest age of a lease, seconds.

        Returns:
            Sequence numbers of the expired leases.
        """
        with self._condition:
            late = [s for s, e in self._in_flight.items() if e.leased and now_s - e.leased_s > timeout_s]
            for seq in late:
                self._lease_again(seq, self._in_flight[seq])
            return late

    def quarantined(self) -> list[tuple[int, PendingFrame]]:
        """Quarantined frames that `track` has not accepted yet: sequence number and frame."""
        with self._condition:
            held = [(seq, self._in_flight[seq]) for seq in self._quarantined if seq in self._in_flight]
            return [(seq, entry.frame) for seq, entry in held if not entry.accepted]

    def accepted(self, to_seq: int) -> None:
        """Ends the leases of all frames that `track` has accepted.

        Args:
            to_seq: Last accepted frame, inclusive.
        """
        with self._condition:
            self._accepted_to = max(self._accepted_to, to_seq + 1)
            for seq, entry in self._in_flight.items():
                if seq <= to_seq:
                    entry.accepted = True
            self._again = [seq for seq in self._again if seq > to_seq]
            self._quarantined = [seq for seq in self._quarantined if seq > to_seq]

    def released(self, to_seq: int) -> None:
        """Frees the slots of accepted frames whose pixels `sink` no longer needs.

        Args:
            to_seq: Last released frame, inclusive.
        """
        with self._condition:
            for seq in [seq for seq, entry in self._in_flight.items() if seq <= to_seq and entry.accepted]:
                self._ring.give_back(self._in_flight.pop(seq).frame.slot)
            self._released_to = max(self._released_to, to_seq + 1)
            self._condition.notify_all()

    def rings(self) -> list[Ring]:
        """Rings of all frames that are waiting or in flight."""
        with self._condition:
            in_flight = [one.frame for one in self._in_flight.values()]
            return [frame.ring for frame in (*self._waiting.frames(), *in_flight)]

    @property
    def next_seq(self) -> int:
        """Sequence number of the next frame, which is how many have been numbered."""
        with self._condition:
            return self._next_seq

    @property
    def plausible_to(self) -> int:
        """Highest position that another stage can have: frames numbered here or known to be accepted, and those that an
        earlier incarnation may have had in flight."""
        with self._condition:
            return max(self._next_seq, self._accepted_to) + self._slots

    @property
    def released_to(self) -> int:
        """First frame that `sink` has not released."""
        with self._condition:
            return self._released_to

    @property
    def idle(self) -> bool:
        """Whether no frame is waiting or in flight."""
        with self._condition:
            return not self._waiting and not self._in_flight

    @property
    def waiting(self) -> int:
        """Frames that no worker has."""
        with self._condition:
            return len(self._waiting) + len(self._again)

    @property
    def leasable(self) -> int:
        """Those of them that could be leased now: no more than `slots` are in flight."""
        with self._condition:
            room = self._slots - len(self._in_flight)
            return min(len(self._waiting), room) + len(self._again)

    @property
    def used(self) -> int:
        """Slots that are not free."""
        with self._condition:
            return self._ring.used

    def _number(self, frame: PendingFrame) -> int:
        seq = self._next_seq
        self._next_seq += 1
        self._in_flight[seq] = InFlight(frame)
        return seq

    def _lease_again(self, seq: int, entry: InFlight) -> bool:
        """Whether another worker may have the frame; if not, it is quarantined."""
        entry.worker = ""
        if entry.deaths >= MAX_WORKER_DEATHS:
            self.dropped[QUARANTINED] += 1
            self._quarantined.append(seq)
            return False
        self._again = sorted([*self._again, seq])
        return True

    def _has_slot(self) -> bool:
        """Whether a slot can be written: one of the reserve only during an outage."""
        return self._ring.any_free(reserve=self._waiting.catching_up)

    def _replace(self, frames: list[PendingFrame]) -> None:
        for frame in frames:
            self.dropped[REPLACED] += 1
            self._ring.give_back(frame.slot)
