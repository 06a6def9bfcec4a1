"""The state of one stream in `track`: where it goes on after whatever ended the process before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.config.schema import Config
from pipeline.counting.counter import StreamCounter
from pipeline.errors import OutputError
from pipeline.records.event import CountEvent
from pipeline.records.log_file import LogFile
from pipeline.records.segments import log_files, read_log
from pipeline.records.state import State, StateError
from pipeline.stages import stream_log
from pipeline.stages.context import StageContext
from pipeline.stages.stream_log import LATEST
from pipeline.stages.stream_state import StreamState
from pipeline.transport.messages import EndOfStream, FrameTracks, Instances
from tests.counting.counting_scenes import CLASSES
from tests.counting.test_counter_state import GROUND, LINES, ZONES, crowd

FRAMES = list(crowd(11, 300, population=5))


def config(live: bool = False, **changes: object) -> Config:
    source = {"source": "synthetic:1", "realtime": live}
    stream = source | {"lines": LINES, "zones": ZONES, "ground": GROUND} | changes
    return Config.model_validate({"model": {"name": "street"}, "streams": {"gate": stream}})


@dataclass
class Life:
    """One process after the other on the same folder."""

    out: Path
    config: Config
    clock_s: float = 0.0
    events: list[CountEvent] = field(default_factory=list)
    beats: int = 0

    def begin(self, tracks: Path | None = None) -> StreamState:
        context = StageContext("track/0", 0, 0, self.config, self.out, "r1", CLASSES, tracks)

        def write() -> None:
            self.events += state.events
            state.events.clear()

        def beat() -> None:
            self.beats += 1

        state: StreamState
        state = StreamState(context, "gate", beat=beat, write_events=lambda: write())
        return state

    def counted(self, state: StreamState, frames: list[Instances], *, keep: bool = True) -> None:
        for frame in frames:
            state.take(frame)
            self.clock_s += 0.04
            if keep:
                state.keep()
        self.events += state.events
        state.events.clear()


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    one = Life(tmp_path, config())
    monkeypatch.setattr(stream_log, "CHECKPOINT_S", 2.0)
    monkeypatch.setattr(stream_log.StreamLog.__init__, "__kwdefaults__", {
        **stream_log.StreamLog.__init__.__kwdefaults__, "clock": lambda: one.clock_s,
        "limits": stream_log.SegmentLimits(media_s=3.0),
    })  # fmt: skip
    return one


def killed(state: StreamState) -> None:
    """What a kill leaves: nothing is written any more, and the lock is gone."""
    log = state._log
    if log._writing is not None:
        log._writing.join()
    if log._log is not None and log._log._writer is not None:
        log._log._writer.close()
        os.close(log._log._lock)


def undisturbed(config: Config, tmp_path: Path) -> tuple[Life, StreamState]:
    life = Life(tmp_path / "calm", config)
    state = life.begin()
    life.counted(state, FRAMES, keep=False)
    return life, state


def rows(events: Iterable[CountEvent]) -> dict[str, CountEvent]:
    """What a database holds in the end."""
    found: dict[str, CountEvent] = {}
    for event in events:
        if event.change == "withdrawn":
            found.pop(event.key, None)
        elif event.change == "corrected" or event.key not in found:
            found[event.key] = replace(event, change="new")
    return found


@pytest.mark.parametrize("cut", [1, 49, 130, 299])
def test_a_process_that_was_killed_is_followed_by_one_that_counts_the_same(
    life: Life, tmp_path: Path, cut: int
) -> None:
    calm_life, calm = undisturbed(life.config, tmp_path)
    first = life.begin()
    life.counted(first, FRAMES[:cut])
    killed(first)
    second = life.begin()
    assert second.next_seq == cut
    life.counted(second, FRAMES[cut:])
    end = EndOfStream(stream="gate", frames=len(FRAMES), complete=True)
    second.end(end)
    calm.end(end)
    assert second.totals() == calm.totals()
    assert rows((*life.events, *second.events)) == rows((*calm_life.events, *calm.events))
    assert [frame.seq for frame in read_log(life.out / "log" / "gate")[1]] == list(range(len(FRAMES)))


def test_a_restart_reads_seconds_of_the_log_and_beats_while_it_does(life: Life) -> None:
    first = life.begin()
    life.counted(first, FRAMES)
    killed(first)
    second = life.begin()
    assert second.next_seq == len(FRAMES)
    assert 50 <= life.beats <= 110, "one to two intervals of 2 s"
    assert second.tracks[0].seq < len(FRAMES) - 50, "what a sink may still ask for is there"


def test_a_segment_replayed_from_its_checkpoint_gives_the_next_one_bit_for_bit(life: Life) -> None:
    first = life.begin()
    life.counted(first, FRAMES)
    first.close()
    files = log_files(life.out / "log" / "gate")
    assert len(files) == 4
    for before, after in pairwise(files[1:]):
        with LogFile(before) as segment, LogFile(after) as following:
            records = list(segment.records())
            expected, start = following.checkpoint, segment.checkpoint
        other = Life(life.out / before.stem, life.config)
        folder = other.out / "log" / "gate"
        folder.mkdir(parents=True)
        (folder / LATEST).write_bytes(start)
        state = other.begin()
        assert state.next_seq == records[0].seq
        for record in records:
            state.take(record)
        assert state._log._encode(state._counts.sections, state.last) == expected


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut", "foreign"])
def test_a_damaged_or_foreign_checkpoint_costs_time_only(
    life: Life, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, calm = undisturbed(life.config, tmp_path)
    first = life.begin()
    life.counted(first, FRAMES[:200])
    killed(first)
    latest = life.out / "log" / "gate" / LATEST
    data = latest.read_bytes()
    changed = {
        "garbage": data[:3000] + bytes(100) + data[3100:], "empty": b"", "cut": data[: len(data) // 2],
        "foreign": data.replace(b"gate", b"yard", 1),
    }  # fmt: skip
    latest.write_bytes(changed[damage])
    second = life.begin()
    assert second.next_seq == 200
    assert [one for one in caplog.records if "going back to an earlier one" in one.message]
    life.counted(second, FRAMES[200:])
    assert second.totals() == calm.totals()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("unusable", [["latest"], ["latest", "segments"]])
def test_a_checkpoint_that_is_whole_but_holds_something_else_costs_time_only(
    life: Life,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    unusable: list[str],
    live: bool,
) -> None:
    """As one that another version wrote, with the same names and other contents."""
    life.config = config(live)
    _, calm = undisturbed(life.config, tmp_path)
    first = life.begin()
    life.counted(first, FRAMES[:200])
    killed(first)
    restore = StreamCounter.restore
    tried = 0

    def refusing(counter: StreamCounter, states: dict[str, State]) -> None:
        nonlocal tried
        tried += 1
        restore(counter, states)
        if tried == 1 or "segments" in unusable:
            raise StateError("tracking: KeyError: 'speed'")

    monkeypatch.setattr(StreamCounter, "restore", refusing)
    second = life.begin()
    assert second.next_seq == 200
    assert [
        one for one in caplog.records if "cannot be restored (tracking: KeyError: 'speed')" in one.message
    ]
    life.counted(second, FRAMES[200:])
    ever, undisturbed_ever = second.totals().summary, calm.totals().summary
    if live and "segments" in unusable:
        lines = ever["calendar"]["ever"]["lines"]
        assert sum(sum(d.values()) for d in lines["upright"].values()) > 0
        assert life.beats < 10, "nothing is counted twice"
    else:
        assert second.totals().frames == calm.totals().frames
        assert ever == undisturbed_ever


def test_a_moved_line_makes_a_recording_count_from_its_beginning_and_a_camera_go_on(life: Life) -> None:
    moved = {"upright": LINES["upright"].model_copy(update={"points": ((0.45, 1.0), (0.45, 0.0))})}
    for live, began in ((False, True), (True, False)):
        one = Life(life.out / str(live), config(live))
        first = one.begin()
        one.counted(first, FRAMES[:250])
        first.close()
        one.config = config(live, lines=LINES | moved)
        second = one.begin()
        lines = second.totals().summary["lines"]
        assert second.next_seq == 250
        assert (one.beats > 200) == began
        count = sum(sum(directions.values()) for directions in lines["upright"].values())
        assert (count > 0) == began
        zones = second.totals().summary["zones"]["square"]
        assert sum(one["entries"] for one in zones.values()) > 0


@pytest.mark.parametrize("lost", [False, True])
def test_a_camera_with_another_tracker_begins_anew_and_its_counts_since_ever_go_on(
    life: Life, caplog: pytest.LogCaptureFixture, lost: bool
) -> None:
    life.config = config(live=True)
    first = life.begin()
    life.counted(first, FRAMES)
    first.close()
    before = first.totals().summary["calendar"]["ever"]
    life.config = config(live=True).model_copy(
        update={"tracker": life.config.tracker.model_copy(update={"confirm_s": 0.7})}
    )
    if lost:
        (life.out / "log" / "gate" / LATEST).unlink()
    second = life.begin()
    assert second.next_seq == len(FRAMES)
    if lost:
        assert 0 < life.beats <= 75, "one segment at the most"
        assert any("counts begin anew with frame" in one.message for one in caplog.records)
        return
    assert life.beats == 0 and len(caplog.records) == 1
    assert any("tracking begins anew" in one.message for one in caplog.records)
    after = second.totals().summary
    assert after["calendar"]["ever"] == before and sum(before["unique"].values()) > 0
    assert not after["unique"]
    life.counted(second, [msgspec.structs.replace(one, seq=one.seq + len(FRAMES)) for one in FRAMES])
    now = second.totals().summary
    counted = [sum(one["unique"].values()) for one in (now["calendar"]["ever"], before, now)]
    assert counted[0] == counted[1] + counted[2] > counted[1]


def test_rows_of_tracks_are_written_anew_from_the_first_frame_on(life: Life) -> None:
    path = life.out / "rows.txt"
    first = life.begin(path)
    life.counted(first, FRAMES[:200])
    killed(first)
    assert first._rows is not None
    first._rows.close()
    second = life.begin(path)
    life.counted(second, FRAMES[200:])
    second.end(EndOfStream(stream="gate", frames=len(FRAMES), complete=True))
    frames = {int(line.split(",")[0]) for line in path.read_text().splitlines()}
    assert min(frames) < 30 and max(frames) > 280


def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes writes to the log fail, or work again."""
    real = stream_log.SegmentedLog.append
    full = False

    def append(self: object, *arguments: object) -> None:
        if full:
            raise OutputError("gate.log: cannot be written: No space left on device")
        real(self, *arguments)  # type: ignore[arg-type]

    def switch(on: bool) -> None:
        nonlocal full
        full = on

    monkeypatch.setattr(stream_log.SegmentedLog, "append", append)
    return switch


def test_a_camera_is_counted_while_the_log_cannot_be_written_and_nothing_is_lost_but_the_log(
    life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    life.config = config(live=True)
    _, calm = undisturbed(life.config, tmp_path)
    full = failing(monkeypatch)
    first = life.begin()
    life.counted(first, FRAMES[:60], keep=False)
    full(True)
    life.counted(first, FRAMES[60:100], keep=False)
    full(False)
    life.clock_s += stream_log.RETRY_S
    life.counted(first, FRAMES[100:200], keep=False)
    assert first._log.lost == 40
    messages = [one.message for one in caplog.records]
    assert sum("counting goes on without the log" in one for one in messages) == 1
    killed(first)
    second = life.begin()
    assert second.next_seq == 200
    life.counted(second, FRAMES[200:])
    assert second.totals() == calm.totals()
    logged = [frame.seq for frame in read_log(life.out / "log" / "gate", lambda line: None)[1]]
    assert logged == [seq for seq in range(300) if not 60 <= seq < 100]


def test_a_recording_ends_with_one_line_where_the_log_cannot_be_written(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = failing(monkeypatch)
    state = life.begin()
    life.counted(state, FRAMES[:5])
    full(True)
    with pytest.raises(OutputError, match="No space left"):
        state.take(FRAMES[5])


def test_a_sink_gets_the_tracks_of_frames_before_the_checkpoint_of_a_clean_stop(life: Life) -> None:
    first = life.begin()
    life.counted(first, FRAMES[:100])
    first.close()
    second = life.begin()
    assert life.beats == 0, "the last checkpoint is that of the last frame"
    slots = life.config.streams["gate"].slots
    sent: Iterator[FrameTracks] = iter(second.tracks_from(100 - slots, slots))
    assert [one.seq for one in sent] == list(range(100 - slots, 100))
    assert np.isfinite(second.tracks[-1].pts_s)
