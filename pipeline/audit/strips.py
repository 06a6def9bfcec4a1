"""Where each counted object was before, at and after its event: the run's log counted again.

Tracker and counters are a pure function of the log and the configuration, so the ids are those of the events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.marks import AuditError
from pipeline.config.schema import Config
from pipeline.counting.counter import StreamCounter
from pipeline.counting.totals import TrackRow
from pipeline.geometry.boxes import box_iou
from pipeline.geometry.points import Xy
from pipeline.records.log import read_log
from pipeline.transport.messages import Instances

Box = tuple[float, float, float, float]
AROUND_S = 2.5
"""How far before and after an event its object is looked for."""
APART_S = 0.7
"""Time between two pictures, unless the object is fast..."""
APART_SIZE = 1.2
"""...and has moved so many of its own sizes before."""
MOST_FRAMES = 300
"""Frames on either side of an event that are looked at."""
SAME = 0.5
"""Overlap from which on a box of the event and a box of the log are one."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        index: number of the frame in the source.
        box_px: of the object, pixels of the frame; None where it was not seen.
        mask: (28, 28) uint8 over the box; None where there is none.
    """

    seq: int
    index: int
    epoch: int
    pts_s: float
    box_px: Box | None
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """An event in pictures.

    Attributes:
        event: its row in the database.
        shots: before, at, after.
        path: (seconds from the event, bottom centre of the box) of the object around the event.
        frame: width and height that the boxes are in.
    """

    event: Mapping[str, Any]
    shots: tuple[Shot, Shot, Shot]
    path: tuple[tuple[float, Xy], ...]
    frame: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of the log, without its instances."""

    seq: int
    index: int
    epoch: int
    pts_s: float
    size: tuple[int, int]


@dataclass(slots=True)
class _Window:
    """What is kept of the frames around some events."""

    frames: dict[int, Frame] = field(default_factory=dict)
    """seq -> frame; seq and time rise."""
    tracks: dict[int, dict[int, Box]] = field(default_factory=dict)
    """Track -> seq -> box."""


def strips(log: Path, config: Config, stream: str, events: Sequence[Mapping[str, Any]]) -> list[Strip]:
    """The events of one stream in pictures, in their order.

    Raises:
        AuditError: the log does not hold the frame of an event.
        RecordError: the log cannot be read or is damaged.
    """
    window = _replay(log, config, stream, sorted(event["pts_s"] for event in events))
    for event in events:
        if int(event["seq"]) not in window.frames:
            raise AuditError(
                f"{log}: lacks frame {event['seq']} of the event {event['key']}; is it of this run?"
            )
    found = [_strip(window, event) for event in events]
    masks = _masks(log, {(shot.seq, shot.box_px) for one in found for shot in one.shots if shot.box_px})
    return [_with_masks(one, masks) for one in found]


def _replay(log: Path, config: Config, stream: str, times_s: list[float]) -> _Window:
    """Counts the log again and keeps what is near one of the times."""
    header, records = read_log(log)
    unsmoothed = config.tracker.model_copy(update={"smooth_s": 0.0})  # rows hold the boxes of the instances
    counter = StreamCounter(header.stream, config.streams[stream], unsmoothed, header.classes)
    window = _Window()
    seqs: dict[int, int] = {}
    for record in records:
        if _near(times_s, record.pts_s, AROUND_S + 1.0):
            size = (record.width, record.height)
            window.frames[record.seq] = Frame(record.seq, record.index, record.epoch, record.pts_s, size)
            seqs[record.index] = record.seq
        _keep(window, seqs, counter.update(record).rows)
    counter.finish()
    _keep(window, seqs, counter.last_rows())
    joined: dict[int, dict[int, Box]] = {}
    final = counter.final_ids()
    for track, boxes in window.tracks.items():
        joined.setdefault(final.get(track, track), {}).update(boxes)
    for track, last in final.items():
        if last in joined:
            joined[track] = joined[last]
    window.tracks = joined
    return window


def _keep(window: _Window, seqs: Mapping[int, int], rows: Sequence[TrackRow]) -> None:
    for row in rows:
        if (seq := seqs.get(row.index)) is not None:
            window.tracks.setdefault(row.track, {})[seq] = row.box_px


def _near(times_s: list[float], pts_s: float, most_s: float) -> bool:
    place = bisect_left(times_s, pts_s)
    return any(abs(time_s - pts_s) <= most_s for time_s in times_s[max(0, place - 1) : place + 1])


def _strip(window: _Window, event: Mapping[str, Any]) -> Strip:
    seq, at_s = int(event["seq"]), float(event["pts_s"])
    box = (float(event["x0"]), float(event["y0"]), float(event["x1"]), float(event["y1"]))
    boxes = _boxes(window, int(event["track"]), seq, box) | {seq: box}
    around = [frame for frame in _around(window, seq) if abs(frame.pts_s - at_s) <= AROUND_S]
    before = _other(boxes, seq, at_s, [frame for frame in reversed(around) if frame.seq < seq])
    after = _other(boxes, seq, at_s, [frame for frame in around if frame.seq > seq])
    here = Shot(seq, int(event["frame"]), int(event["epoch"]), at_s, box)
    path = tuple(
        (frame.pts_s - at_s, ((boxes[frame.seq][0] + boxes[frame.seq][2]) / 2, boxes[frame.seq][3]))
        for frame in around
        if frame.seq in boxes
    )
    return Strip(event, (before or here, here, after or here), path, window.frames[seq].size)


def _around(window: _Window, seq: int) -> list[Frame]:
    """The kept frames next to a frame, without a gap in their numbers, in their order."""
    found = [window.frames[seq]]
    number = seq
    while (number := number - 1) in window.frames and len(found) < MOST_FRAMES:
        found.insert(0, window.frames[number])
    number = seq
    while (number := number + 1) in window.frames and len(found) < 2 * MOST_FRAMES:
        found.append(window.frames[number])
    return found


def _boxes(window: _Window, track: int, seq: int, box: Box) -> dict[int, Box]:
    """Where the event's object was: its own track, or whichever has its box, should ids have changed since."""
    own = window.tracks.get(track, {})
    if seq in own and _overlap(own[seq], box) >= SAME:
        return own
    others = [(_overlap(boxes[seq], box), boxes) for boxes in window.tracks.values() if seq in boxes]
    best = max(others, key=lambda one: one[0], default=(0.0, {}))
    return best[1] if best[0] >= SAME else {}


def _other(boxes: dict[int, Box], seq: int, at_s: float, frames: list[Frame]) -> Shot | None:
    """The picture before or after the event: the first sighting that is far enough in place or time.

    Args:
        frames: from the event on, away from it in time.
    """
    x0, y0, x1, y1 = boxes[seq]
    far_px = APART_SIZE * max(x1 - x0, y1 - y0)
    chosen: Frame | None = None
    for frame in frames:
        if frame.seq not in boxes:
            continue
        chosen = frame
        other = boxes[frame.seq]
        moved = np.hypot(other[0] + other[2] - x0 - x1, other[1] + other[3] - y0 - y1) / 2
        if abs(frame.pts_s - at_s) >= APART_S or moved >= far_px:
            break
    if chosen is None:
        chosen = min(frames, key=lambda one: abs(abs(one.pts_s - at_s) - APART_S), default=None)
    if chosen is None:
        return None
    return Shot(chosen.seq, chosen.index, chosen.epoch, chosen.pts_s, boxes.get(chosen.seq))


def _overlap(first: Box, second: Box) -> float:
    return float(box_iou(np.array([first], np.float64), np.array([second], np.float64))[0, 0])


def _masks(log: Path, wanted: set[tuple[int, Box | None]]) -> dict[tuple[int, Box], NDArray[np.uint8]]:
    """The masks of the log's instances whose boxes are wanted."""
    by_seq: dict[int, list[Box]] = {}
    for seq, box in wanted:
        if box is not None:
            by_seq.setdefault(seq, []).append(box)
    found: dict[tuple[int, Box], NDArray[np.uint8]] = {}
    for record in _only(log, by_seq):
        boxes = np.array(by_seq[record.seq], np.float64)
        overlap = box_iou(boxes, record.boxes_px.astype(np.float64))
        for place, box in enumerate(by_seq[record.seq]):
            if overlap.shape[1] and overlap[place].max() >= SAME:
                found[record.seq, box] = record.masks[int(overlap[place].argmax())].copy()
    return found


def _only(log: Path, seqs: Mapping[int, object]) -> Iterator[Instances]:
    left = len(seqs)
    for record in read_log(log)[1]:
        if record.seq in seqs:
            yield record
            left -= 1
        if not left:
            return


def _with_masks(strip: Strip, masks: Mapping[tuple[int, Box], NDArray[np.uint8]]) -> Strip:
    first, second, third = (
        Shot(shot.seq, shot.index, shot.epoch, shot.pts_s, shot.box_px, masks.get((shot.seq, shot.box_px)))
        if shot.box_px is not None
        else shot
        for shot in strip.shots
    )
    return Strip(strip.event, (first, second, third), strip.path, strip.frame)
