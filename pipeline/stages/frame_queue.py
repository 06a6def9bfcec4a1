"""Who has which frame: the slots, waiting frames and leases of one stream. Pure bookkeeping, no I/O.

A slot is free, being written, waiting, or under way; a frame under way has a sequence number and is leased
to a worker until `track` accepts it, then only held until `sink` releases it. The number is given when the
frame is first leased, so frames that a live source replaces leave no gap in it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

from pipeline.transport.messages import Camera

MAX_WORKER_DEATHS = 2
"""A frame that was leased to so many workers when they died is quarantined."""


@dataclass(frozen=True, slots=True)
class PendingFrame:
    """A frame in a slot, not yet numbered."""

    slot: int
    epoch: int
    index: int
    pts_s: float
    wall_s: float
    camera: Camera | None = None
    """As in `FrameRef`."""


@dataclass(slots=True)
class _UnderWay:
    frame: PendingFrame
    worker: str = ""
    incarnation: int = -1
    since_s: float = 0.0
    deaths: int = 0
    accepted: bool = False

    @property
    def leased(self) -> bool:
        return bool(self.worker) and not self.accepted


class FrameQueue:
    """The books of one stream. Every method may be called from the reader's thread and the serving loop.

    Args:
        slots: of the ring.
        live: a new frame takes the place of the oldest waiting one; else the reader has to wait.
        next_seq: number of the first frame that is put.
        accepted_to: frames below this number need no worker any more: only their pixels are wanted again.
    """

    def __init__(self, slots: int, *, live: bool, next_seq: int = 0, accepted_to: int = 0) -> None:
        self._live = live
        self._free = deque(range(slots))
        self._slots = slots
        self._waiting: deque[PendingFrame] = deque()
        self._under_way: dict[int, _UnderWay] = {}
        self._again: list[int] = []
        """Numbers to be leased again, lowest first."""
        self._quarantined: list[int] = []
        self._next_seq = next_seq
        self._accepted_to = accepted_to
        self._released_to = next_seq
        self._condition = threading.Condition()
        self._incarnations: dict[str, int] = {}
        self.dropped: Counter[str] = Counter()
        """Reason -> frames that were decoded and never handed on."""

    def take_slot(self, timeout_s: float) -> int | None:
        """A slot to write to. None: nothing became free in time (a live source's frame is then dropped)."""
        with self._condition:
            if not self._free and self._live and self._waiting:
                self._replace_oldest()
            if not self._free:
                self._condition.wait_for(lambda: bool(self._free), timeout_s)
            return self._free.popleft() if self._free else None

    def put(self, frame: PendingFrame) -> int | None:
        """The frame in its slot is whole. The number it got, if it needs no worker (see `accepted_to`)."""
        with self._condition:
            if self._next_seq < self._accepted_to:
                seq = self._number(frame)
                self._under_way[seq].accepted = True
                return seq
            if self._live:
                while self._waiting:
                    self._replace_oldest()
            self._waiting.append(frame)
            return None

    def drop(self, reason: str) -> None:
        """A decoded frame found no slot."""
        with self._condition:
            self.dropped[reason] += 1

    def lease(self, worker: str, incarnation: int, most: int, now_s: float) -> list[tuple[int, PendingFrame]]:
        """Up to `most` frames for a worker, lowest number first. A live source gives its newest one."""
        with self._condition:
            result: list[tuple[int, PendingFrame]] = []
            while len(result) < (1 if self._live else most) and (self._again or self._waiting):
                seq = self._again.pop(0) if self._again else self._number(self._waiting.popleft())
                entry = self._under_way[seq]
                entry.worker, entry.incarnation, entry.since_s = worker, incarnation, now_s
                result.append((seq, entry.frame))
            return result

    def seen(self, worker: str, incarnation: int) -> bool:
        """A worker shows itself. True when it was started anew: what its earlier life had is leased again."""
        with self._condition:
            before = self._incarnations.get(worker, incarnation)
            self._incarnations[worker] = max(before, incarnation)
            if incarnation <= before:
                return False
            for seq, entry in self._under_way.items():
                if entry.leased and entry.worker == worker and entry.incarnation < incarnation:
                    entry.deaths += 1
                    self._lease_again(seq, entry)
            return True

    def lost(self, seqs: list[int]) -> None:
        """Leases that did not reach their worker."""
        with self._condition:
            for seq in seqs:
                if (entry := self._under_way.get(seq)) is not None and entry.leased:
                    self._lease_again(seq, entry)

    def lease_all_again(self) -> None:
        """`track` was started anew: what was on its way to it is gone."""
        with self._condition:
            for seq, entry in self._under_way.items():
                if entry.leased:
                    self._lease_again(seq, entry)

    def overdue(self, now_s: float, timeout_s: float) -> list[int]:
        """Leases older than `timeout_s`; they are given to others. Whichever worker answers first is heard.

        They count as no death: a slow model on a busy machine, or one that is compiled, takes its time with any frame.
        A frame that makes its worker hang is noticed by the supervisor, which kills that worker.
        """
        with self._condition:
            late = [s for s, e in self._under_way.items() if e.leased and now_s - e.since_s > timeout_s]
            for seq in late:
                self._lease_again(seq, self._under_way[seq])
            return late

    def quarantined(self) -> list[tuple[int, PendingFrame]]:
        """Frames that killed `MAX_WORKER_DEATHS` workers, each told again until `track` accepts it."""
        with self._condition:
            held = [(s, self._under_way[s]) for s in self._quarantined if s in self._under_way]
            return [(seq, entry.frame) for seq, entry in held if not entry.accepted]

    def accepted(self, to_seq: int) -> None:
        """`track` has every frame up to and including `to_seq`."""
        with self._condition:
            self._accepted_to = max(self._accepted_to, to_seq + 1)
            for seq, entry in self._under_way.items():
                if seq <= to_seq:
                    entry.accepted = True
            self._again = [s for s in self._again if s > to_seq]
            self._quarantined = [s for s in self._quarantined if s > to_seq]

    def released(self, to_seq: int) -> None:
        """`sink` needs the pixels of no frame up to and including `to_seq`."""
        with self._condition:
            for seq in [s for s, e in self._under_way.items() if s <= to_seq and e.accepted]:
                self._free.append(self._under_way.pop(seq).frame.slot)
            self._released_to = max(self._released_to, to_seq + 1)
            self._condition.notify_all()

    @property
    def next_seq(self) -> int:
        """The number that the next frame will get: so many frames have one."""
        with self._condition:
            return self._next_seq

    @property
    def released_to(self) -> int:
        """First frame that is not released."""
        with self._condition:
            return self._released_to

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        with self._condition:
            return not self._waiting and not self._under_way

    @property
    def waiting(self) -> int:
        """Frames that a worker could be given at once."""
        with self._condition:
            return len(self._waiting) + len(self._again)

    @property
    def used(self) -> int:
        """Slots that are not free."""
        with self._condition:
            return self._slots - len(self._free)

    def _number(self, frame: PendingFrame) -> int:
        seq = self._next_seq
        self._next_seq += 1
        self._under_way[seq] = _UnderWay(frame)
        return seq

    def _lease_again(self, seq: int, entry: _UnderWay) -> None:
        entry.worker = ""
        if entry.deaths >= MAX_WORKER_DEATHS:
            self.dropped["quarantined"] += 1
            self._quarantined.append(seq)
        else:
            self._again = sorted([*self._again, seq])

    def _replace_oldest(self) -> None:
        self.dropped["replaced"] += 1
        self._free.append(self._waiting.popleft().slot)
