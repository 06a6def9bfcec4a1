"""Two batches in flight where the device works beside us, one after the other where it does not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import Config
from pipeline.models.detections import Detections
from pipeline.stages import rings
from pipeline.stages import segment as segment_stage
from pipeline.stages.context import StageContext
from pipeline.stages.inference import Inference
from pipeline.transport.messages import Ask, FrameRef, Instances, Leases, Report
from pipeline.transport.planes import Planes


def frame(number: int) -> Planes:
    luma, half = np.full((48, 64), number, np.uint8), np.full((24, 32), 128, np.uint8)
    return Planes(luma, half, half)


def ref(stream: str, seq: int, ring: str = "first") -> FrameRef:
    return FrameRef(
        stream=stream, epoch=0, seq=seq, index=seq, pts_s=seq / 8, wall_s=0.0, slot=seq, ring=ring, width=64, height=48
    )  # fmt: skip


def one(number: int) -> Detections:
    box = np.array([[number, 0, number + 20, 40]], np.float32)
    return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int16), np.full((1, 28, 28), 255, np.uint8))


class Device:
    """A model whose device computes what was begun first while `appearances` askings whether it is busy go by."""

    classes = ("person",)
    device = "made up"

    def __init__(self, ahead: int, appearances: int = 3) -> None:
        self.ahead, self.appearances = ahead, appearances
        self.order: list[str] = []
        self._begun: deque[list[int]] = deque()
        self._left = appearances

    @property
    def busy(self) -> bool:
        self._left -= 1
        return self._left > 0

    def warm_up(self) -> None:
        self.order.append("warm up")

    def begin(self, frames: Sequence[Planes]) -> None:
        numbers = [int(one.y[0, 0]) for one in frames]
        self.order.append(f"begin {numbers}")
        self._begun.append(numbers)

    def finish(self) -> list[Detections]:
        numbers = self._begun.popleft()
        self.order.append(f"finish {numbers}")
        self._left = self.appearances
        return [one(number) for number in numbers]

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        self.begin(frames)
        return self.finish()


def config(streams: int = 1, batch: int = 2, **settings: Any) -> Config:
    parts = {f"s{n}": {"source": "x"} | settings for n in range(streams)}
    return Config.model_validate({"streams": parts, "model": {"batch": batch}})


def test_what_goes_with_the_frames_is_kept_in_order_through_two_batches() -> None:
    subject = Inference(Device(ahead=1), config())
    assert subject.ahead == 1
    subject.begin([ref("s0", 0), ref("s0", 1)], [frame(0), frame(1)])
    assert not subject.full
    subject.begin([ref("s0", 2)], [frame(2)])
    assert subject.full
    assert [seen.detections.boxes_px[0, 0] for seen in subject.finish()] == [0, 1]
    assert [seen.detections.boxes_px[0, 0] for seen in subject.finish()] == [2]
    assert subject.begun == 0


@pytest.mark.parametrize("device", [Device(ahead=0), Device(ahead=1)])
def test_each_batch_is_finished_before_the_next_where_that_is_wanted(device: Device) -> None:
    """On a CPU, and where what the model found decides whether it has to see the next frame."""
    subject = Inference(device, config(skip_static=True) if device.ahead else config())
    assert subject.ahead == 0
    subject.begin([ref("s0", 0)], [frame(0)])
    assert subject.full and not subject.busy
    assert len(subject.finish()) == 1


# -- the worker's loop ------------------------------------------------------------------------------------


class World:
    """Decoders, tracking and the supervisor of a worker, all made up: no sockets, no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: object, streams: int, frames: int) -> None:
        self.left = {n: deque(range(frames)) for n in range(streams)}
        self.sent: list[tuple[str, int]] = []
        self.states: list[str] = []
        self.before: Callable[[], None] = lambda: None
        self.ring_of: Callable[[int], str] = lambda seq: "first"
        self.idle = 0
        self.now_s = 100.0
        world = self

        class Decoder:
            def __init__(self, stream: int) -> None:
                self.stream, self.answers = stream, deque[Leases]()

            def send(self, ask: Ask) -> None:
                queue = world.left[self.stream]
                seqs = [queue.popleft() for _ in range(min(ask.frames, len(queue)))]
                if seqs:
                    refs = tuple(ref(f"s{self.stream}", seq, world.ring_of(seq)) for seq in seqs)
                    self.answers.append(Leases(frames=refs))

            def receive_all(self) -> list[Leases]:
                answers, self.answers = list(self.answers), deque()
                return answers

        class Track:
            def send(self, *messages: Instances) -> None:
                world.sent += [(message.stream, int(message.boxes_px[0, 0])) for message in messages]

        class Heartbeat:
            streams_changed = False

            def __init__(self, *_: object) -> None: ...

            def beat(self, report: Callable[[], Report], now_s: float) -> bool:
                world.before()
                report()
                return world.idle < 20

            def preparing(self, report: Callable[[], Report]) -> None:
                world.states.append(f"preparing {report().texts['device']}".strip())

            def slow(self, report: Callable[[], Report]) -> None:
                world.states.append("slow")

            def ready(self) -> None:
                world.states.append("ready")

            def orphaned_and_idle(self, idle: bool, now_s: float) -> bool:
                return False

            def done(self, report: Report) -> None:
                world.states.append(f"done {report.frames_out}")

        class Poller:
            def __init__(self, peers: object) -> None: ...

            def wait(self, timeout_s: float) -> None:
                world.now_s += timeout_s
                world.idle = 0 if any(world.left.values()) else world.idle + 1

        class Ring:
            opened: dict[str, Ring] = {}  # noqa: RUF012
            closed: list[str] = []  # noqa: RUF012

            def __init__(self, path: str) -> None:
                self.path = path

            @classmethod
            def attach(cls, path: str) -> Ring:
                cls.opened[path] = cls(path)
                return cls.opened[path]

            def holds(self, slot: int, epoch: int, seq: int) -> bool:
                assert self.path not in self.closed, "a ring was closed while a frame of it was in flight"
                return True

            def planes(self, slot: int) -> Planes:
                return frame(slot)

            def close(self) -> None:
                self.closed.append(self.path)

        self.rings = Ring
        made = iter([Decoder(n) for n in range(streams)])
        peers: Callable[[str, str], object] = lambda end, _: next(made) if "stream" in end else Track()  # noqa: E731
        monkeypatch.setattr(segment_stage, "now", lambda: world.now_s)
        monkeypatch.setattr(segment_stage, "DealerSocket", peers)
        monkeypatch.setattr(segment_stage, "Heartbeat", Heartbeat)
        monkeypatch.setattr(segment_stage, "Poller", Poller)
        monkeypatch.setattr(rings, "Ring", Ring)
        monkeypatch.setattr(segment_stage.registry, "load", lambda config: model)

    def run(self, config: Config) -> None:
        class Ends:
            folder = Path("/nowhere")

            def stream(self, index: int) -> str:
                return f"stream {index}"

            def track(self, index: int) -> str:
                return f"track {index}"

        place = StageContext("segment/0", 0, 0, config, Path(), "run", ("person",))
        segment_stage.SegmentStage(place).run(Ends())  # type: ignore[arg-type]


def test_frames_of_the_next_batch_are_sent_while_the_device_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(ahead=1)
    world = World(monkeypatch, device, streams=1, frames=6)
    world.run(config())
    assert device.order == [
        "warm up",
        "begin [0, 1]",
        "begin [2, 3]",
        "finish [0, 1]",
        "begin [4, 5]",
        "finish [2, 3]",
        "finish [4, 5]",
    ]
    assert world.sent == [("s0", n) for n in range(6)]
    assert world.states[-1] == "done 6"


def test_where_nothing_overlaps_each_batch_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(ahead=0)
    world = World(monkeypatch, device, streams=1, frames=4)
    world.run(config())
    assert device.order == ["warm up", "begin [0, 1]", "finish [0, 1]", "begin [2, 3]", "finish [2, 3]"]
    assert world.sent == [("s0", n) for n in range(4)]


def test_a_batch_is_not_held_back_for_one_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is done before another frame is there: what it found goes on its way."""
    device = Device(ahead=1, appearances=1)
    world = World(monkeypatch, device, streams=1, frames=2)
    world.run(config())
    assert device.order == ["warm up", "begin [0, 1]", "finish [0, 1]"]
    assert world.sent == [("s0", 0), ("s0", 1)]


@pytest.mark.parametrize("ahead", [0, 1])
def test_streams_share_as_before_and_no_frame_is_lost_or_seen_twice(
    monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    world = World(monkeypatch, Device(ahead), streams=3, frames=20)
    world.run(config(streams=3, batch=4))
    assert sorted(world.sent) == sorted((f"s{stream}", seq) for stream in range(3) for seq in range(20))
    for stream in range(3):
        assert [seq for name, seq in world.sent if name == f"s{stream}"] == list(range(20))
    first = [name for name, _ in world.sent[:24]]
    assert all(6 <= first.count(f"s{stream}") <= 10 for stream in range(3))


def test_a_ring_that_is_replaced_stays_until_no_frame_of_it_is_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, Device(ahead=1), streams=1, frames=6)
    world.ring_of = lambda seq: "first" if seq < 2 else "second"
    world.run(config())
    assert world.sent == [("s0", n) for n in range(6)]
    assert world.rings.closed == ["first"]


def test_the_supervisor_is_told_before_something_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiling(Device):
        def prepares(self, frames: Sequence[Planes]) -> bool:
            return int(frames[0].y[0, 0]) == 2

    world = World(monkeypatch, Compiling(ahead=0), streams=1, frames=6)
    world.run(config())
    assert world.states[:3] == ["preparing", "preparing made up, warming up", "ready"]
    told = world.states.index("preparing made up")
    assert world.states[told - 1 : told + 2] == ["ready", "preparing made up", "ready"]
    assert world.states.count("preparing made up") == 1


def test_a_model_that_takes_seconds_begins_with_one_frame_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else four frames of four seconds each, on a machine with other work, look like a process that is stuck."""

    class Slow(Device):
        def warm_up(self) -> None:
            super().warm_up()
            world.now_s += 4

        def finish(self) -> list[Detections]:
            found = super().finish()
            world.now_s += 4 * len(found)
            return found

    device = Slow(ahead=0)
    world = World(monkeypatch, device, streams=1, frames=3)
    world.run(config(batch=4))
    assert device.order[1::2] == ["begin [0]", "begin [1]", "begin [2]"]
    assert world.states.count("slow") == 3
    told = world.states.index("slow")
    assert world.states[told : told + 2] == ["slow", "ready"]
