"""Frames of a live source wait while the model or tracking is away, and are caught up: only then, and not for ever."""

from pipeline.stages.frame_queue import FrameQueue
from pipeline.stages.pending_frame import PendingFrame
from pipeline.stages.reserve import reserve_slots
from pipeline.transport.ring import Ring

FPS = 25
SLOTS, RESERVE = 12, 75


class Camera:
    """A camera of 25 frames a second, its queue, and a worker. Frame i arrives at i / 25 s."""

    def __init__(self, reserve: int = RESERVE) -> None:
        self.ring = Ring.create(SLOTS + reserve, 16, 16)
        self.queue = FrameQueue(SLOTS, live=True, reserve=reserve)
        self.index = 0
        self.counted: list[int] = []

    @property
    def now_s(self) -> float:
        return self.index / FPS

    def frames(self, number: int, *, work: float) -> None:
        """Lets frames arrive. After each the worker has time for `work` requests, a part of one too."""
        for _ in range(number):
            slot = self.queue.take_slot(0.0)
            assert slot is not None
            self.index += 1
            self.queue.put(PendingFrame(self.ring, slot, 0, self.index, self.now_s, 0.0), self.now_s)
            for _ in range(int(self.index * work) - int((self.index - 1) * work)):
                self.request()

    def request(self) -> None:
        for seq, frame in self.queue.lease("segment/0", 0, 1, self.now_s):
            self.counted.append(frame.index)
            self.queue.accepted(seq)
            self.queue.released(seq)

    @property
    def age(self) -> int:
        """Frames by which the one counted last is older than the newest."""
        return self.index - self.counted[-1]


def test_frames_that_arrive_while_the_worker_is_away_are_counted_late() -> None:
    camera = Camera()
    camera.frames(50, work=1)
    camera.frames(60, work=0)
    camera.frames(100, work=2)
    assert camera.counted == list(range(1, 211))
    assert camera.queue.dropped["replaced"] == 0
    assert camera.age == 0


def test_an_outage_that_is_longer_than_the_reserve_costs_its_oldest_frames() -> None:
    camera = Camera()
    camera.frames(50, work=1)
    camera.frames(200, work=0)
    camera.frames(200, work=2)
    assert camera.queue.dropped["replaced"] == 201 - SLOTS - RESERVE, (
        "the next one was written before any was taken"
    )
    assert camera.age == 0


def test_a_model_that_cannot_catch_up_gets_the_newest_frame_again() -> None:
    camera = Camera()
    camera.frames(50, work=1)
    camera.frames(50, work=0)
    camera.frames(200, work=1)
    assert camera.age == 0, "4 s after the outage of 2 s what is counted is new"
    assert camera.queue.dropped["replaced"] > 40


def test_a_model_that_is_slower_than_the_camera_gets_the_newest_frame_and_no_queue_forms() -> None:
    camera = Camera()
    camera.frames(500, work=1 / 3)
    assert camera.queue.used <= 1
    assert camera.age <= 2


def test_a_model_that_becomes_too_slow_gets_the_newest_frame() -> None:
    camera = Camera()
    camera.frames(50, work=1)
    camera.frames(500, work=1 / 3)
    assert camera.queue.used <= 1
    assert camera.age <= 2


def test_a_burst_of_frames_is_no_outage() -> None:
    camera = Camera()
    camera.frames(50, work=1)
    camera.frames(5, work=0)
    camera.request()
    assert camera.counted[-1] == camera.index, "the newest"
    assert camera.queue.dropped["replaced"] == 4


def test_memory_of_the_reserve_is_given_back_once_after_an_outage() -> None:
    camera = Camera()
    camera.frames(50, work=1)
    assert not camera.queue.unused_reserve()
    camera.frames(60, work=0)
    assert not camera.queue.unused_reserve()
    camera.frames(100, work=2)
    assert list(camera.queue.unused_reserve()) == list(range(SLOTS, SLOTS + RESERVE))
    assert not camera.queue.unused_reserve()


def test_the_reserve_is_bounded_by_the_memory_that_there_is() -> None:
    full_hd, free = (1920, 1080), 32 * 2**30
    assert reserve_slots(4.0, 25.0, *full_hd, streams=1, available_bytes=free) == 100
    assert reserve_slots(4.0, 0.0, *full_hd, streams=1, available_bytes=free) == 120
    assert reserve_slots(4.0, 25.0, *full_hd, streams=4, available_bytes=free) == 43, "512 MB together"
    assert reserve_slots(4.0, 25.0, *full_hd, streams=1, available_bytes=2**30) == 34, "a tenth of 1 GB"
    assert reserve_slots(4.0, 25.0, *full_hd, streams=1, available_bytes=0) == 0
