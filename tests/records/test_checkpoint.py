"""Checkpoints, and going on from them: exactly where the state was, whatever is damaged."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.records.checkpoint import (
    CheckpointError,
    Position,
    SectionKey,
    digest,
    encode_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from pipeline.records.log import log_files
from pipeline.records.log_file import LogFile
from pipeline.records.recovery import recover
from pipeline.records.segmented_log import SegmentedLog, SegmentLimits
from pipeline.records.state import State, StateError, attributes, set_attributes
from pipeline.transport.messages import Instances
from tests.records.logs import HEADER, found

KEY = SectionKey(1, digest({"hold_s": 0.7}, ["person", "car"]))
LINES = SectionKey(3, digest({"door": [[0, 0], [1, 1]]}))
WANTED = {"tracking": KEY, "counting": LINES}


class Tracking:
    """Stands for a tracker: what it holds depends on every frame so far."""

    NAMES = ("_means", "_recent", "_votes", "_frames")

    def __init__(self) -> None:
        self._means = np.zeros((0, 4))
        self._recent: deque[tuple[int, float]] = deque(maxlen=5)
        self._votes: Counter[int] = Counter()
        self._frames = 0
        self.last: Position | None = None

    def update(self, instances: Instances) -> None:
        self._means = np.concatenate([self._means * 0.9, instances.boxes_px])[-7:]
        self._recent.append((instances.seq, float(instances.scores.sum())))
        for class_id, score in zip(instances.class_ids.tolist(), instances.scores, strict=True):
            self._votes[class_id] += score
        self._frames += 1
        self.last = Position.of(instances)

    def state(self) -> State:
        return attributes(self, self.NAMES)

    def restore(self, state: State) -> None:
        set_attributes(self, self.NAMES, state)

    def checkpoint(self) -> bytes | None:
        if self.last is None:
            return None
        sections = {"tracking": (KEY, self.state()), "counting": (LINES, {"in": self._frames})}
        return encode_checkpoint("gate", "r1", self.last, sections)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log" / "gate"


@pytest.fixture
def latest(folder: Path) -> Path:
    return folder / "latest.checkpoint"


def track(
    folder: Path, tracking: Tracking, start: int, stop: int, each: Callable[[int], None] = lambda _: None
) -> None:
    with SegmentedLog(folder, HEADER, start, SegmentLimits(media_s=1.0)) as log:
        for seq in range(start, stop):
            log.append(found(seq), tracking.checkpoint)
            tracking.update(found(seq))
            each(seq)


def go_on(folder: Path, latest: Path, told: list[str]) -> tuple[Tracking, int]:
    """The state after a restart, and how many frames were replayed."""
    recovery = recover(folder, latest, "gate", WANTED, ["tracking"], told.append)
    tracking = Tracking()
    if recovery.checkpoint is not None:
        tracking.restore(dict(recovery.checkpoint.states["tracking"]))
        tracking.last = recovery.checkpoint.header.position
    replayed = 0
    for record in recovery.records:
        tracking.update(record)
        replayed += 1
    return tracking, replayed


def test_a_segment_replayed_from_its_checkpoint_gives_the_next_one_bit_for_bit(folder: Path) -> None:
    track(folder, Tracking(), 0, 80)
    files = [LogFile(path) for path in log_files(folder)]
    assert [file.checkpoint is None for file in files] == [True, False, False, False]
    for file, following in pairwise(files[1:]):
        assert file.checkpoint is not None
        checkpoint = read_checkpoint(file.checkpoint, "gate", WANTED)
        tracking = Tracking()
        tracking.restore(dict(checkpoint.states["tracking"]))
        for record in file.records():
            tracking.update(record)
        assert tracking.checkpoint() == following.checkpoint
    for file in files:
        file.close()


def test_a_restart_goes_on_from_the_newest_checkpoint(folder: Path, latest: Path) -> None:
    tracking = Tracking()

    def each(seq: int) -> None:
        if seq % 10 == 3:
            write_checkpoint(latest, tracking.checkpoint() or b"")

    track(folder, tracking, 0, 70, each)
    told: list[str] = []
    again, replayed = go_on(folder, latest, told)
    assert (again.checkpoint(), replayed, told) == (tracking.checkpoint(), 6, [])


@pytest.mark.parametrize(
    "content", [b"", b"TALLYCKP", b"nonsense", b"TALLYCKP\x09", b"TALLYCKP\x01" + bytes(99)]
)
def test_a_checkpoint_that_cannot_be_read_falls_back_to_the_one_of_the_segment(
    folder: Path, latest: Path, content: bytes
) -> None:
    tracking = Tracking()
    track(folder, tracking, 0, 70)
    latest.write_bytes(content)
    told: list[str] = []
    again, replayed = go_on(folder, latest, told)
    assert (again.checkpoint(), replayed) == (tracking.checkpoint(), 20)
    assert len(told) == 1
    assert "latest.checkpoint: " in told[0]
    assert "going back to an earlier one" in told[0]


def test_damaged_checkpoints_of_segments_cost_the_replay_of_one_more_each(folder: Path, latest: Path) -> None:
    tracking = Tracking()
    track(folder, tracking, 0, 80)
    for number, replayed in [(3, 30), (2, 55), (1, 80)]:
        path = log_files(folder)[number]
        data = path.read_bytes()
        at = data.index(b"TALLYCKP") + 12
        path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        told: list[str] = []
        again, count = go_on(folder, latest, told)
        assert (again.checkpoint(), count) == (tracking.checkpoint(), replayed)
        assert told


def test_every_byte_of_a_checkpoint_is_watched(folder: Path, latest: Path) -> None:
    tracking = Tracking()
    for seq in range(8):
        tracking.update(found(seq))
    data = tracking.checkpoint() or b""
    for at in range(0, len(data), 7):
        broken = bytearray(data)
        broken[at] ^= 0x10
        try:
            checkpoint = read_checkpoint(bytes(broken), "gate", {"tracking": KEY})
            again = Tracking()
            again.restore(dict(checkpoint.states["tracking"]))
            same = all(np.array_equal(value, tracking.state()[name]) for name, value in again.state().items())
        except (CheckpointError, KeyError):
            continue
        assert same  # the damage is in a section that was not asked for


def test_a_checkpoint_of_another_stream_or_version_or_configuration_is_not_used(latest: Path) -> None:
    tracking = Tracking()
    tracking.update(found(0))
    latest.parent.mkdir(parents=True)
    write_checkpoint(latest, tracking.checkpoint() or b"")
    with pytest.raises(CheckpointError, match="is of stream 'gate', not 'yard'"):
        read_checkpoint(latest, "yard", WANTED)
    other = {"tracking": SectionKey(2, KEY.digest), "counting": SectionKey(3, digest("moved")), "new": KEY}
    checkpoint = read_checkpoint(latest, "gate", other)
    assert not checkpoint.states
    assert checkpoint.unusable == {
        "tracking": "is of state version 1, this Tallycam has 2",
        "counting": "is of another configuration",
        "new": "is not there",
    }


def test_a_moved_line_does_not_cost_the_state_of_the_tracker(folder: Path, latest: Path) -> None:
    track(folder, Tracking(), 0, 30)
    told: list[str] = []
    moved = WANTED | {"counting": SectionKey(3, digest("moved"))}
    recovery = recover(folder, latest, "gate", moved, ["tracking"], told.append)
    assert recovery.checkpoint is not None
    assert set(recovery.checkpoint.states) == {"tracking"}
    assert recovery.first_seq == 25
    assert not told


def test_a_log_whose_beginning_was_deleted_goes_on(folder: Path, latest: Path) -> None:
    tracking = Tracking()
    track(folder, tracking, 0, 80)
    for path in log_files(folder)[:3]:
        path.unlink()
    again, replayed = go_on(folder, latest, [])
    assert (again.checkpoint(), replayed) == (tracking.checkpoint(), 5)


def test_a_checkpoint_newer_than_the_log_is_used(folder: Path, latest: Path) -> None:
    tracking = Tracking()
    track(folder, tracking, 0, 30)
    write_checkpoint(latest, tracking.checkpoint() or b"")
    path = log_files(folder)[-1]
    path.write_bytes(path.read_bytes()[:-3000])  # a power cut took the end of the log
    again, replayed = go_on(folder, latest, [])
    assert (again.checkpoint(), replayed) == (tracking.checkpoint(), 0)
    track(folder, again, 30, 33)
    assert go_on(folder, folder / "none", [])[0].checkpoint() == again.checkpoint()


def test_damage_in_the_log_is_told_and_counting_goes_on(folder: Path, latest: Path) -> None:
    tracking = Tracking()
    track(folder, tracking, 0, 60)
    path = log_files(folder)[-1]
    data = bytearray(path.read_bytes())
    data[-3 * len(data) // 10] ^= 0xFF
    path.write_bytes(data)
    told: list[str] = []
    again, replayed = go_on(folder, latest, told)
    assert again.last == tracking.last
    assert replayed == 9
    assert len(told) == 1


def test_there_may_be_nothing_yet(folder: Path, latest: Path) -> None:
    told: list[str] = []
    again, replayed = go_on(folder, latest, told)
    assert (again.checkpoint(), replayed, told) == (None, 0, [])
    folder.mkdir(parents=True)
    assert go_on(folder, latest, told)[1] == 0
    assert not told


def test_equal_parts_have_equal_digests() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest("a", "b") != digest("ab")


def test_a_state_that_cannot_be_encoded_is_told() -> None:
    tracking = Tracking()
    tracking.update(found(0))
    tracking._recent.append(object())  # type: ignore[arg-type]
    with pytest.raises(StateError, match="no place in a state"):
        tracking.checkpoint()
