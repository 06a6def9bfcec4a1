"""`Tracker`, `LineCounter` and `ZoneCounter`: by themselves they count what a stream with the same settings counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import pipeline
from pipeline.api.tracks import Tracks
from pipeline.records.event import CountEvent
from tests.running import FPS, HEIGHT, WIDTH, scene, walkers, write_log

FRAMES = 250
SIZE = (WIDTH, HEIGHT)
CLASSES = ("person", "car")


def what(event: CountEvent) -> tuple[object, ...]:
    return event.kind, event.name, event.class_name, event.direction, event.track, event.index, event.dwell_s


def behind_a_wall(index: int) -> np.ndarray:
    """The walkers, who cannot be seen for a second or so in the middle of the picture."""
    boxes = walkers(index)
    hidden = (boxes[:, 0] > 110) & (boxes[:, 2] < 210)
    return boxes[~hidden]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lines, one of them behind a wall; a third one along the border over which objects leave; a zone."""
    folder = tmp_path_factory.mktemp("scene")
    border = {"points": [[0.985, 1.0], [0.985, 0.0]], "directions": ["out", "in"], "anchor": "center"}
    path = scene(folder, FRAMES)
    data = yaml.safe_load(path.read_text())
    data["streams"]["gate"]["lines"]["border"] = border
    path.write_text(yaml.safe_dump(data))
    (folder / "made.log").unlink()
    write_log(folder / "made.log", FRAMES, boxes_of=behind_a_wall)
    return path


def counters_of(config: Path) -> dict[str, Any]:
    """The lines and the zone of the configuration, each as a counter of its own."""
    stream = yaml.safe_load(config.read_text())["streams"]["gate"]
    made: dict[str, Any] = {
        name: pipeline.LineCounter(line.pop("points"), line.pop("directions"), name=name, **line)
        for name, line in stream["lines"].items()
    }
    return made | {
        name: pipeline.ZoneCounter(zone["points"], name=name) for name, zone in stream["zones"].items()
    }


def test_by_themselves_they_count_what_a_stream_counts(config: Path) -> None:
    frames = list(pipeline.open(config=config))
    expected = sorted(what(event) for frame in frames for event in frame.events if event.kind != "unique")
    tracker, counters = pipeline.Tracker(SIZE, fps=FPS, classes=CLASSES), counters_of(config)
    every: list[Tracks] = []
    for frame in frames:
        every.append(tracker.update(frame.detections, frame.pts_s, frame.image))
        assert every[-1].ids.tolist() == frame.tracks.ids.tolist()
        assert every[-1].class_names == frame.tracks.class_names
    every.append(tracker.finish())
    assert (
        sorted(
            what(event)
            for counter in counters.values()
            for tracks in every
            for event in counter.update(tracks)
        )
        == expected
    )
    totals = frames[-1].totals
    assert {name: counters[name].counts for name in totals["lines"]} == totals["lines"]
    assert counters["square"].counts == totals["zones"]["square"]
    assert tracker.unique == totals["unique"]
    assert len(expected) > 20


def test_counters_also_take_the_tracks_of_an_open_stream(config: Path) -> None:
    line = counters_of(config)["middle"]
    frames = list(pipeline.open(config=config))
    events = [event for frame in frames for event in line.update(frame.tracks)]
    assert line.counts == frames[-1].totals["lines"]["middle"]
    assert len(events) == sum(line.counts["person"].values()) > 5


def walk(tracker: pipeline.Tracker, boxes: list[Any], **arrays: Any) -> list[Tracks]:
    """One object at each of the boxes in turn, then the end."""
    seen = [tracker.update(pipeline.from_boxes([box], **arrays)) for box in boxes]
    return [*seen, tracker.finish()]


def over_the_middle(frames: int = 30) -> list[Any]:
    """Boxes of somebody who walks from the left to the right."""
    return [(20 + 9 * number, 60, 40 + 9 * number, 120) for number in range(frames)]


def test_an_object_is_tracked_once_it_is_confirmed() -> None:
    tracker = pipeline.Tracker(SIZE, fps=FPS)
    *seen, end = walk(tracker, over_the_middle())
    assert len(seen[0]) == 0, "seen once is not enough"
    assert {number for tracks in seen for number in tracks.ids.tolist()} == {1}
    assert seen[-1].boxes_px.tolist() == [list(over_the_middle()[-1])]
    assert seen[-1].feet_px[0] == pytest.approx([291, 120], abs=1)
    assert seen[-1].class_names == ("0",), "without names classes are called by their numbers"
    assert len(end) == 0
    assert tracker.unique == {"0": 1}


def test_crossing_before_being_confirmed_counts_when_it_is_confirmed() -> None:
    """The steps of tracks have what was seen of an object before: its boxes alone would miss this crossing."""
    line = pipeline.LineCounter([(0.2, 1.0), (0.2, 0.0)], ("right", "left"))
    tracker = pipeline.Tracker(SIZE, fps=FPS, classes=["person"], settings={"confirm_s": 0.8})
    seen = walk(tracker, over_the_middle())
    first_seen_at = next(tracks for tracks in seen if len(tracks)).boxes_px[0, 0]
    assert first_seen_at > 0.2 * WIDTH + 40
    assert [event.direction for tracks in seen for event in line.update(tracks)] == ["right"]
    assert line.counts == {"person": {"right": 1, "left": 0}}


def test_a_zone_knows_who_is_inside_and_for_how_long() -> None:
    zone = pipeline.ZoneCounter(np.array([[0.3, 0.0], [0.6, 0.0], [0.6, 1.0], [0.3, 1.0]]))
    tracker = pipeline.Tracker(SIZE, fps=FPS, classes=["person"])
    most = 0
    events: list[CountEvent] = []
    for tracks in walk(tracker, over_the_middle()):
        events += zone.update(tracks)
        most = max(most, zone.counts.get("person", {}).get("now", 0))
    assert [event.direction for event in events] == ["entry", "exit"]
    assert most == 1
    assert zone.counts["person"]["now"] == 0
    assert zone.counts["person"]["dwell_s"] == pytest.approx(0.3 * WIDTH / 9 / FPS, abs=0.15)


def test_only_wanted_classes_count() -> None:
    line = pipeline.LineCounter([(0.5, 1.0), (0.5, 0.0)], classes=["car"])
    tracker = pipeline.Tracker(SIZE, fps=FPS, classes=CLASSES)
    assert not [event for tracks in walk(tracker, over_the_middle()) for event in line.update(tracks)]
    assert line.counts == {"car": {"forward": 0, "back": 0}}


def test_boxes_that_stick_out_are_cut_at_the_frame() -> None:
    tracker = pipeline.Tracker(SIZE, fps=FPS, settings={"confirm_s": 0})
    mask = np.zeros((1, 28, 28), np.uint8)
    mask[:, :, 14:] = 255  # the right half of a box whose left half is outside
    for _ in range(10):
        tracks = tracker.update(
            pipeline.from_boxes([(-20, 60, 20, 120), (-40, 0, -10, 9)], masks=np.repeat(mask, 2, 0))
        )
    assert tracks.boxes_px.tolist() == [[0, 60, 20, 120]]
    assert (tracks.masks[0] >= 128).mean() > 0.95


def test_mistakes_of_a_program_are_told() -> None:
    tracker = pipeline.Tracker(SIZE, classes=["person"])
    box = pipeline.from_boxes([(10, 60, 20, 120)], class_ids=[3])
    with pytest.raises(ValueError, match="got class ids from 3 to 3, the tracker has names for 0 to 0"):
        tracker.update(box)
    tracker.update(pipeline.from_boxes([]), time_s=1.0)
    with pytest.raises(ValueError, match=r"time_s: got 0\.5 after 1\.0, expected a later time"):
        tracker.update(pipeline.from_boxes([]), time_s=0.5)
    with pytest.raises(ValueError, match=r"image: got shape \(5, 5, 3\), expected \(180, 320, 3\)"):
        tracker.update(pipeline.from_boxes([]), image=np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(
        pipeline.TallycamError, match="settings: unknown key `confirm`; did you mean `confirm_s`"
    ):
        pipeline.Tracker(SIZE, settings={"confirm": 1})
    with pytest.raises(pipeline.TallycamError, match="door: points"):
        pipeline.LineCounter([(0.5, 0.5)], name="door")


def test_walkers_of_the_scene_are_all_there() -> None:
    """The frame rate alone tells the time where none is given."""
    tracker = pipeline.Tracker(SIZE, fps=FPS)
    for index in range(FRAMES):
        tracker.update(pipeline.from_boxes(walkers(index)))
    assert tracker.unique["0"] > 10
