"""The frame queue of one stream: no frame is lost, none is leased twice at once, and every slot comes back."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.stages.frame_queue import FrameQueue
from pipeline.stages.lease import WorkerRestart
from pipeline.stages.pending_frame import PendingFrame
from pipeline.transport.ring import Ring

RING = Ring.create(3, 16, 16)


def fill(frame_queue: FrameQueue, index: int, now_s: float = 0.0) -> bool:
    slot = frame_queue.take_slot(0.0)
    if slot is None:
        return False
    frame_queue.put(PendingFrame(RING, slot, 0, index, index / 25, 0.0), now_s)
    return True


def seqs(leased: list[tuple[int, PendingFrame]]) -> list[int]:
    return [seq for seq, _ in leased]


def test_a_file_waits_when_no_slot_is_free() -> None:
    frame_queue = FrameQueue(3, live=False)
    assert [fill(frame_queue, i) for i in range(4)] == [True, True, True, False]
    assert not frame_queue.dropped


def test_a_live_source_replaces_its_oldest_waiting_frame_and_counts_it() -> None:
    frame_queue = FrameQueue(3, live=True)
    for index in range(10):
        assert fill(frame_queue, index)
    (leased,) = frame_queue.lease("segment/0", 0, 8, 0.0)
    assert leased[0] == 0, "frames that were replaced leave no gap in the numbers"
    assert leased[1].index == 9, "the worker gets the newest"
    assert frame_queue.dropped["replaced"] == 9


def test_a_live_source_does_not_touch_frames_that_are_leased() -> None:
    frame_queue = FrameQueue(3, live=True)
    held = []
    for index in range(3):
        assert fill(frame_queue, index)
        held += frame_queue.lease("segment/0", 0, 1, 0.0)
    assert not fill(frame_queue, 3)
    assert seqs(held) == [0, 1, 2]


def test_a_slot_is_free_again_once_the_sink_has_released_it() -> None:
    frame_queue = FrameQueue(1, live=False)
    fill(frame_queue, 0)
    frame_queue.lease("segment/0", 0, 1, 0.0)
    frame_queue.accepted(0)
    assert not fill(frame_queue, 1)
    frame_queue.released(0)
    assert fill(frame_queue, 1)


def test_frames_of_a_dead_worker_are_leased_again_lowest_first() -> None:
    frame_queue = FrameQueue(4, live=False)
    for index in range(4):
        fill(frame_queue, index)
    frame_queue.worker_seen("segment/0", 0)
    assert seqs(frame_queue.lease("segment/0", 0, 2, 0.0)) == [0, 1]
    assert frame_queue.worker_seen("segment/0", 1) == WorkerRestart(again=[0, 1])
    assert seqs(frame_queue.lease("segment/1", 0, 4, 0.0)) == [0, 1, 2, 3]


def test_a_frame_that_kills_its_worker_twice_is_quarantined_and_counted() -> None:
    frame_queue = FrameQueue(2, live=False)
    fill(frame_queue, 0)
    fill(frame_queue, 1)
    for life in range(2):
        frame_queue.worker_seen("segment/0", life)
        assert seqs(frame_queue.lease("segment/0", life, 1, 0.0)) == [0]
    assert frame_queue.worker_seen("segment/0", 2) == WorkerRestart(quarantined=[0])
    assert seqs(frame_queue.lease("segment/0", 2, 4, 0.0)) == [1]
    assert [seq for seq, _ in frame_queue.quarantined()] == [0]
    assert frame_queue.dropped["quarantined"] == 1
    frame_queue.accepted(0)
    assert frame_queue.quarantined() == []


def test_only_the_frames_that_the_model_had_are_suspects_and_they_go_alone() -> None:
    frame_queue = FrameQueue(4, live=False)
    for index in range(3):
        fill(frame_queue, index)
    frame_queue.worker_seen("segment/0", 0)
    assert seqs(frame_queue.lease("segment/0", 0, 3, 0.0)) == [0, 1, 2]
    assert frame_queue.worker_seen("segment/0", 1, killers=(1,)) == WorkerRestart(again=[0, 1, 2])
    assert [frame_queue.is_suspect(seq) for seq in range(3)] == [False, True, False]
    assert seqs(frame_queue.lease("segment/0", 1, 3, 0.0)) == [0, 1, 2]
    assert frame_queue.worker_seen("segment/0", 2, killers=(1,)) == WorkerRestart(
        again=[0, 2], quarantined=[1]
    )


def test_a_lease_that_takes_too_long_is_given_to_another() -> None:
    frame_queue = FrameQueue(2, live=False)
    fill(frame_queue, 0)
    frame_queue.lease("segment/0", 0, 1, now_s=10.0)
    assert frame_queue.expire_leases(now_s=20.0, timeout_s=60.0) == []
    assert frame_queue.expire_leases(now_s=71.0, timeout_s=60.0) == [0]
    assert seqs(frame_queue.lease("segment/1", 0, 1, 71.0)) == [0]


def test_a_frame_that_takes_long_again_and_again_is_not_given_up() -> None:
    """As with a slow model on a busy machine: nobody died."""
    frame_queue = FrameQueue(2, live=False)
    fill(frame_queue, 0)
    for turn in range(5):
        assert seqs(frame_queue.lease("segment/0", 0, 1, now_s=100.0 * turn)) == [0]
        assert frame_queue.expire_leases(now_s=100.0 * turn + 61, timeout_s=60.0) == [0]
    assert not frame_queue.dropped and frame_queue.quarantined() == []
    frame_queue.accepted(0)
    assert frame_queue.lease("segment/1", 0, 1, 900.0) == [], (
        "the answer came after all: nobody sees it again"
    )


def test_frames_that_a_dead_tracking_process_had_not_accepted_are_leased_again() -> None:
    frame_queue = FrameQueue(4, live=False)
    for index in range(3):
        fill(frame_queue, index)
    frame_queue.lease("segment/0", 0, 3, 0.0)
    frame_queue.accepted(0)
    assert frame_queue.lease_all_again() == [1, 2]
    assert seqs(frame_queue.lease("segment/0", 0, 3, 0.0)) == [1, 2]


def test_a_decoder_that_starts_again_offers_no_work_that_is_already_logged() -> None:
    frame_queue = FrameQueue(4, live=False, next_seq=10, accepted_to=12)
    slots = [frame_queue.take_slot(0.0) for _ in range(3)]
    numbers = [
        frame_queue.put(PendingFrame(RING, slot, 0, 10 + i, 0.0, 0.0), 0.0) for i, slot in enumerate(slots)
    ]
    assert numbers == [10, 11, None], "the sink wants the pixels of 10 and 11, the model only 12"
    assert seqs(frame_queue.lease("segment/0", 0, 9, 0.0)) == [12]


@pytest.mark.parametrize(("live", "reserve"), [(False, 0), (True, 0), (True, 9)])
def test_no_frame_and_no_slot_is_lost_whatever_dies(live: bool, reserve: int) -> None:
    machine = type("Machine", (QueueMachine,), {"LIVE": live, "RESERVE": reserve})
    case = machine.TestCase()
    case.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
    case.runTest()


class QueueMachine(RuleBasedStateMachine):
    """Random lives of workers, track and sink; a plain model stands beside the queue."""

    LIVE = False
    SLOTS = 4
    RESERVE = 0

    def __init__(self) -> None:
        super().__init__()
        self.frame_queue = FrameQueue(self.SLOTS, live=self.LIVE, reserve=self.RESERVE)
        self.index = 0
        self.now_s = 0.0
        self.life = {"a": 0, "b": 0}
        self.holds: dict[str, dict[int, PendingFrame]] = {"a": {}, "b": {}}
        self.arrived: set[int] = set()
        self.accepted_to = 0
        self.released_to = 0

    @rule(frames=st.integers(1, 30), together=st.booleans())
    def decode(self, frames: int, together: bool) -> None:
        for _ in range(1 if together else frames):
            self.now_s += 0.04
            if fill(self.frame_queue, self.index, self.now_s):
                self.index += 1
            if not together:
                self.lease("a", 1)
                self.finish("a")
                while self.released_to < self.accepted_to:
                    self.release()

    @rule(seconds=st.floats(0.0, 3.0))
    def time_goes_by(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(worker=st.sampled_from("ab"), most=st.integers(1, 4))
    def lease(self, worker: str, most: int) -> None:
        self.frame_queue.worker_seen(worker, self.life[worker])
        for seq, held in self.frame_queue.lease(worker, self.life[worker], most, self.now_s):
            assert not any(seq in holds for holds in self.holds.values()), "leased twice at once"
            assert seq >= self.accepted_to
            self.holds[worker][seq] = held

    @rule(worker=st.sampled_from("ab"))
    def finish(self, worker: str) -> None:
        self.arrived |= set(self.holds[worker])
        self.holds[worker].clear()
        for seq, _ in self.frame_queue.quarantined():
            self.arrived.add(seq)
        while self.accepted_to in self.arrived:
            self.accepted_to += 1
        self.frame_queue.accepted(self.accepted_to - 1)

    @rule(worker=st.sampled_from("ab"))
    def die(self, worker: str) -> None:
        self.holds[worker].clear()
        self.life[worker] += 1
        self.frame_queue.worker_seen(worker, self.life[worker])

    @rule()
    def release(self) -> None:
        if self.released_to < self.accepted_to:
            self.frame_queue.released(self.released_to)
            self.released_to += 1

    @invariant()
    def slots_are_neither_lost_nor_doubled(self) -> None:
        assert 0 <= self.frame_queue.used <= self.SLOTS + self.RESERVE
        assert sum(map(len, self.holds.values())) <= self.SLOTS
        slots = [held.slot for holds in self.holds.values() for held in holds.values()]
        assert len(set(slots)) == len(slots)

    def teardown(self) -> None:
        for _ in range(20):
            self.finish("a")
            self.lease("b", 4)
            self.finish("b")
            while self.released_to < self.accepted_to:
                self.release()
        assert self.frame_queue.idle
        assert self.frame_queue.used == 0
        assert self.accepted_to == self.frame_queue.next_seq
        assert self.frame_queue.next_seq + self.frame_queue.dropped["replaced"] == self.index
