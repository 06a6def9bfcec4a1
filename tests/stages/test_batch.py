"""Batches across streams: full or on time, no camera held by another, each stream its share."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.batch import ASK_AGAIN_S, Batcher
from pipeline.transport.messages import FrameRef

WAIT_S = 0.005


def frames(stream: int, count: int, first: int = 0) -> list[FrameRef]:
    return [
        FrameRef(
            stream=str(stream), epoch=0, seq=first + n, index=first + n, pts_s=0.0, wall_s=0.0, slot=0, ring="",
            width=64, height=48,
        )
        for n in range(count)
    ]  # fmt: skip


def test_a_single_file_fills_the_batch() -> None:
    batch = Batcher(1, 4, WAIT_S)
    assert batch.requests(0.0) == [(0, 4)]
    assert batch.wait_s(0.0) > 0
    batch.add(0, frames(0, 4), 0.001)
    assert batch.requests(0.001) == []
    assert batch.wait_s(0.001) == 0
    assert [ref.seq for ref in batch.take()] == [0, 1, 2, 3]


def test_a_single_camera_is_not_kept_waiting() -> None:
    batch = Batcher(1, 4, WAIT_S)
    batch.requests(0.0)
    batch.add(0, frames(0, 1), 0.03)
    assert batch.requests(0.03) == [] and batch.wait_s(0.03) == 0


def test_files_share_the_batch() -> None:
    batch = Batcher(3, 4, WAIT_S)
    assert batch.requests(0.0) == [(0, 2), (1, 1), (2, 1)]


def test_a_batch_goes_when_its_first_frame_has_waited_long_enough() -> None:
    batch = Batcher(3, 8, WAIT_S)
    batch.requests(0.0)
    batch.add(1, frames(1, 1), 1.0)
    batch.requests(1.0)
    assert abs(batch.wait_s(1.0) - WAIT_S) < 1e-9
    batch.add(2, frames(2, 1), 1.003)
    batch.requests(1.003)
    assert 0 < batch.wait_s(1.003) <= 0.0021
    assert batch.wait_s(1.0051) == 0
    assert [ref.stream for ref in batch.take()] == ["1", "2"]


def test_what_a_silent_camera_leaves_goes_to_the_others() -> None:
    """Camera 0 has nothing; file 1 fills the batch, and camera 0's asking stays."""
    batch = Batcher(2, 4, WAIT_S)
    assert batch.requests(0.0) == [(0, 2), (1, 2)]
    batch.add(1, frames(1, 2), 0.001)
    assert batch.requests(0.001) == [], "camera 0 may answer yet"
    assert batch.requests(0.0055) == [(1, 2)]
    batch.add(1, frames(1, 2, 2), 0.0056)
    assert batch.wait_s(0.0056) == 0
    assert [ref.stream for ref in batch.take()] == ["1"] * 4
    assert batch.requests(0.1) == [(1, 4)], "from now on at once"
    batch.add(0, frames(0, 1), 0.1)
    batch.add(1, frames(1, 4, 4), 0.1)
    assert [ref.stream for ref in batch.take()] == ["0", "1", "1", "1"], (
        "and its frame goes first when it comes"
    )


def test_an_asking_without_an_answer_is_said_again() -> None:
    batch = Batcher(1, 4, WAIT_S)
    batch.requests(0.0)
    assert batch.requests(ASK_AGAIN_S / 2) == []
    assert batch.requests(ASK_AGAIN_S + 0.01) == [(0, 4)]
    assert batch.requests(ASK_AGAIN_S + 0.02) == []


def test_an_answer_that_comes_twice_is_only_more_frames() -> None:
    batch = Batcher(1, 2, WAIT_S)
    batch.requests(0.0)
    batch.add(0, frames(0, 2), 0.0)
    batch.add(0, frames(0, 2, 2), 0.0)
    assert [len(batch.take()), len(batch.take()), len(batch.take())] == [2, 2, 0]


def test_more_cameras_than_places_take_turns() -> None:
    batch = Batcher(6, 2, WAIT_S)
    served: list[str] = []
    for turn in range(6):
        for stream, most in batch.requests(turn * 1.0):
            assert most == 1
            batch.add(stream, frames(stream, 1), turn * 1.0)
        served += [ref.stream for ref in batch.take()]
    assert served == ["0", "1", "2", "3", "4", "5"] * 2


def test_a_slow_model_gets_fewer_frames_at_once() -> None:
    """Of 4 seconds each, as on a starved machine: one at a time, so that no run looks stuck."""
    batch = Batcher(1, 8, WAIT_S)
    sizes = []
    for turn, second_each in enumerate([0.01, 4.0, 4.0, 1.2, 0.01, 0.01]):
        ((_, most),) = batch.requests(turn * 1.0)
        batch.add(0, frames(0, most), turn * 1.0)
        sizes.append(len(batch.take()))
        batch.measured(most, most * second_each)
    assert sizes == [8, 8, 1, 1, 4, 8]


def test_what_does_not_divide_evenly_goes_to_each_in_turn() -> None:
    batch = Batcher(3, 4, WAIT_S)
    served = [0, 0, 0]
    for turn in range(6):
        for stream, most in batch.requests(turn * 1.0):
            batch.add(stream, frames(stream, most), turn * 1.0)
        for ref in batch.take():
            served[int(ref.stream)] += 1
    assert served == [8, 8, 8]


@dataclass
class Made:
    """Streams that make frames at their own rate, a model that takes its time, and who got what."""

    periods_s: list[float]
    size: int
    model_s: float
    live: bool
    served: list[int] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    """For each stream, the longest that a frame waited for the model."""
    sizes: list[int] = field(default_factory=list)

    def run(self, until_s: float) -> None:
        count = len(self.periods_s)
        batch = Batcher(count, self.size, WAIT_S)
        self.served, self.waited_s = [0] * count, [0.0] * count
        made_s: list[list[float]] = [[] for _ in range(count)]
        due_s = [period * (n + 1) / count for n, period in enumerate(self.periods_s)]
        asked: dict[int, int] = {}
        held: list[tuple[int, float]] = []
        now_s = 0.0
        while now_s < until_s:
            asked |= dict(batch.requests(now_s))
            wait_s = batch.wait_s(now_s)
            if wait_s == 0:
                for ref in batch.take():
                    stream = int(ref.stream)
                    self.served[stream] += 1
                    at = next(n for n, one in enumerate(held) if one[0] == stream)
                    self.waited_s[stream] = max(self.waited_s[stream], now_s - held.pop(at)[1])
                self.sizes.append(self.served[0])
                now_s += self.model_s
            else:
                now_s += min(wait_s, 0.001)
            for stream, period in enumerate(self.periods_s):
                while due_s[stream] <= now_s:
                    made_s[stream] = [due_s[stream]] if self.live else [*made_s[stream], due_s[stream]][:12]
                    due_s[stream] += period
            for stream in [one for one in asked if made_s[one]]:
                most = 1 if self.live else asked[stream]
                given, made_s[stream] = made_s[stream][:most], made_s[stream][most:]
                held += [(stream, at_s) for at_s in given]
                batch.add(stream, frames(stream, len(given)), now_s)
                del asked[stream]


def test_a_slow_camera_beside_a_fast_one_loses_no_frame_and_waits_for_no_more_than_two_runs() -> None:
    made = Made([1 / 50, 1 / 4], size=4, model_s=0.03, live=True)
    made.run(20.0)
    assert made.served[1] >= 79
    assert made.waited_s[1] <= 2 * made.model_s + 2 * WAIT_S
    assert made.served[0] >= 500, "and the fast one runs as often as the model can"


def test_two_fast_files_get_half_each() -> None:
    made = Made([0.0005, 0.0005], size=4, model_s=0.05, live=False)
    made.run(10.0)
    assert abs(made.served[0] - made.served[1]) <= 4
    assert sum(made.served) >= 0.9 * 4 * 10 / 0.055


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([0.001, 0.01, 0.04, 0.5]), min_size=2, max_size=8),
    st.integers(1, 8),
    st.booleans(),
)
def test_nobody_starves(periods_s: list[float], size: int, live: bool) -> None:
    """Each stream gets all that it makes, or at least half of an equal share of what the model can do."""
    made = Made(periods_s, size, 0.02, live)
    made.run(3.0)
    runs = 3.0 / (0.02 + WAIT_S + 0.001)
    share = runs * min(size, len(periods_s) if live else size) / len(periods_s)
    for period, served in zip(periods_s, made.served, strict=True):
        assert served >= 0.5 * min(3.0 / period - 2, share)


def test_a_frame_that_may_have_killed_a_worker_is_a_batch_by_itself() -> None:
    batch = Batcher(2, 4, WAIT_S)
    batch.requests(0.0)
    first, suspect, last = frames(0, 3)
    batch.add(0, [first, msgspec.structs.replace(suspect, alone=True), last], 0.001)
    batch.add(1, frames(1, 1), 0.001)
    taken = [[(ref.stream, ref.seq) for ref in batch.take()] for _ in range(4)]
    assert taken == [[("0", 0)], [("0", 1)], [("0", 2), ("1", 0)], []]


def test_a_stream_that_comes_is_asked_and_one_that_goes_is_not() -> None:
    batch = Batcher(0, 4, WAIT_S)
    assert batch.requests(0.0) == []
    batch.serve([0, 1])
    assert dict(batch.requests(0.0)) == {0: 2, 1: 2}
    batch.add(0, frames(0, 2), 0.0)
    batch.serve([1, 7])
    assert [stream for stream, _ in batch.requests(0.0)] == [7]
    batch.add(0, frames(0, 1, 2), 0.0)  # too late
    batch.add(1, frames(1, 1), 0.0)
    assert [frame.stream for frame in batch.take()] == ["1"]
