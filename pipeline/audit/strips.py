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

from pipeline.config import Config
from pipeline.counting.counter import StreamCounter
from pipeline.counting.geometry import Xy, overlaps
from pipeline.counting.step import TrackRow
from pipeline.messages import Instances
from pipeline.records.log import read_log

Box = tuple[float, float, float, float]
AROUND_S = 2.5
"""How far before and after an event its object is looked for."""
APART_S = 0.7
"""Time between two pictures, unless the object is fast..."""
APART_SIZE = 1.2
"""...and has moved so many of its own sizes before."""
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


@dataclass(slots=True)
class _Window:
    """What is kept of the frames around some events."""

    frames: list[tuple[float, int, int, int]] = field(default_factory=list)
    """(pts_s, seq, index, epoch), rising."""
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """seq -> width, height."""
    tracks: dict[int, dict[int, Box]] = field(default_factory=dict)
    """Track -> seq -> box."""


def strips(log: Path, config: Config, stream: str, events: Sequence[Mapping[str, Any]]) -> list[Strip]:
    """The events of one stream in pictures, in their order.

    Raises:
        RecordError: the log cannot be read or is damaged.
    """
    window = _replay(log, config, stream, sorted(event["pts_s"] for event in events))
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
            window.frames.append((record.pts_s, record.seq, record.index, record.epoch))
            window.sizes[record.seq] = (record.width, record.height)
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
    times = {number: pts_s for pts_s, number, _, _ in window.frames}
    seen = sorted(number for number in boxes if abs(times.get(number, np.inf) - at_s) <= AROUND_S)
    before = _other(window, boxes, seq, at_s, [number for number in reversed(seen) if number < seq], -1)
    after = _other(window, boxes, seq, at_s, [number for number in seen if number > seq], 1)
    here = Shot(seq, int(event["frame"]), int(event["epoch"]), at_s, box)
    path = tuple(
        (times[number] - at_s, ((boxes[number][0] + boxes[number][2]) / 2, boxes[number][3]))
        for number in seen
    )
    return Strip(event, (before or here, here, after or here), path, window.sizes.get(seq, (0, 0)))


def _boxes(window: _Window, track: int, seq: int, box: Box) -> dict[int, Box]:
    """Where the event's object was: its own track, or whichever has its box, should ids have changed since."""
    own = window.tracks.get(track, {})
    if seq in own and _overlap(own[seq], box) >= SAME:
        return own
    others = [(_overlap(boxes[seq], box), boxes) for boxes in window.tracks.values() if seq in boxes]
    best = max(others, key=lambda one: one[0], default=(0.0, {}))
    return best[1] if best[0] >= SAME else {}


def _other(
    window: _Window, boxes: dict[int, Box], seq: int, at_s: float, seen: list[int], sign: int
) -> Shot | None:
    """The picture before (-1) or after (1): the first sighting that is far enough in place or time."""
    frames = {number: (pts_s, index, epoch) for pts_s, number, index, epoch in window.frames}
    x0, y0, x1, y1 = boxes[seq]
    far_px = APART_SIZE * max(x1 - x0, y1 - y0)
    chosen: int | None = None
    for number in seen:
        chosen = number
        other = boxes[number]
        moved = np.hypot(other[0] + other[2] - x0 - x1, other[1] + other[3] - y0 - y1) / 2
        if abs(frames[number][0] - at_s) >= APART_S or moved >= far_px:
            break
    unseen = min(
        (one for one in window.frames if (one[1] - seq) * sign > 0),
        key=lambda one: abs(one[0] - at_s - sign * APART_S),
        default=None,
    )
    if chosen is None:
        return None if unseen is None else Shot(unseen[1], unseen[2], unseen[3], unseen[0], None)
    pts_s, index, epoch = frames[chosen]
    return Shot(chosen, index, epoch, pts_s, boxes[chosen])


def _overlap(first: Box, second: Box) -> float:
    return float(overlaps(np.array([first], np.float64), np.array([second], np.float64))[0, 0])


def _masks(log: Path, wanted: set[tuple[int, Box | None]]) -> dict[tuple[int, Box], NDArray[np.uint8]]:
    """The masks of the log's instances whose boxes are wanted."""
    by_seq: dict[int, list[Box]] = {}
    for seq, box in wanted:
        if box is not None:
            by_seq.setdefault(seq, []).append(box)
    found: dict[tuple[int, Box], NDArray[np.uint8]] = {}
    for record in _only(log, by_seq):
        boxes = np.array(by_seq[record.seq], np.float64)
        overlap = overlaps(boxes, record.boxes_px.astype(np.float64))
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
