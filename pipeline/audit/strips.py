"""Where each counted object was before, at and after its event, from the log of the run.

The log is counted again: tracker and counters are a pure function of log and configuration, so the track ids are those
of the events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.marks import AuditError
from pipeline.config.schema import Config
from pipeline.counting.counter import StreamCounter
from pipeline.counting.frame_result import TrackRow
from pipeline.geometry.boxes import box_iou
from pipeline.geometry.points import Xy
from pipeline.records.log import read_log
from pipeline.transport.messages import Instances

Box = tuple[float, float, float, float]
AROUND_S = 2.5
"""How far before and after an event its object is searched, in seconds."""
APART_S = 0.7
"""Time between two pictures in seconds, unless the object has moved by `APART_SIZES` before."""
APART_SIZES = 1.2
"""Distance between two pictures, in sizes of the object."""
MAX_FRAMES = 300
"""Frames searched on either side of an event."""
SAME_SHAPE = 0.01
"""Ratio of two shapes, less one, up to which they are the same: sizes are whole pixels."""
SAME_IOU = 0.5
"""IoU from which on a box of the event and a box of the log are the same."""


@dataclass(frozen=True, slots=True)
class Shot:
    """The moment that one picture shows.

    Attributes:
        seq: number of the frame in the log.
        index: number of the frame in the source.
        epoch: incremented when the source reconnects.
        pts_s: media time of the frame in seconds.
        box_px: box of the object, x0 y0 x1 y1 in pixels of the frame; None if it was not detected there.
        mask: (28, 28) uint8 over the box; None if there is none.
    """

    seq: int
    index: int
    epoch: int
    pts_s: float
    box_px: Box | None
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """An event and the moments of its three pictures.

    Attributes:
        event: its row in the database.
        shots: before, at, after.
        path: (seconds since the event, bottom centre of the box) of the object around the event.
        frame: width and height of the frame in pixels, in which the boxes are.
    """

    event: Mapping[str, Any]
    shots: tuple[Shot, Shot, Shot]
    path: tuple[tuple[float, Xy], ...]
    frame: tuple[int, int]

    def stretched(self, aspect: float) -> Strip:
        """The same on frames of another shape.

        Args:
            aspect: Their width over their height.
        """
        ratio = aspect * self.frame[1] / self.frame[0]
        if abs(ratio - 1) < SAME_SHAPE:
            return self
        across, down = max(1.0, ratio), max(1.0, 1 / ratio)
        shots = [
            shot
            if (box := shot.box_px) is None
            else replace(shot, box_px=(box[0] * across, box[1] * down, box[2] * across, box[3] * down))
            for shot in self.shots
        ]
        return replace(
            self,
            shots=(shots[0], shots[1], shots[2]),
            path=tuple((time_s, (x * across, y * down)) for time_s, (x, y) in self.path),
            frame=(round(self.frame[0] * across), round(self.frame[1] * down)),
        )


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """A frame of the log, without its instances; see `Shot`."""

    seq: int
    index: int
    epoch: int
    pts_s: float
    size: tuple[int, int]


@dataclass(slots=True)
class _Window:
    """The frames around the events, and the tracks in them."""

    frames: dict[int, LoggedFrame] = field(default_factory=dict)
    """seq -> frame, in the order of time."""
    tracks: dict[int, dict[int, Box]] = field(default_factory=dict)
    """Track -> seq -> box."""


def strips(log: Path, config: Config, stream: str, events: Sequence[Mapping[str, Any]]) -> list[Strip]:
    """The moments to show for the events of one stream, in the order of the events.

    Args:
        log: the instances log of the stream.
        config: the configuration of the run.
        stream: name of the stream.
        events: rows of the event database.

    Raises:
        AuditError: the log does not contain the frame of an event.
        RecordError: the log cannot be read or is damaged.
    """
    window = _replay(log, config, stream, sorted(event["pts_s"] for event in events))
    for event in events:
        if int(event["seq"]) not in window.frames:
            raise AuditError(
                f"{log}: lacks frame {event['seq']} of the event {event['key']}; is it the log of this run?"
            )
    found = [_strip(window, event) for event in events]
    masks = _masks(log, {(shot.seq, shot.box_px) for one in found for shot in one.shots if shot.box_px})
    return [_with_masks(one, masks) for one in found]


def _replay(log: Path, config: Config, stream: str, times_s: list[float]) -> _Window:
    """Count the log again and keep what is near one of the times."""
    header, records = read_log(log)
    unsmoothed = config.tracker.model_copy(
        update={"smooth_s": 0.0}
    )  # so that rows have the boxes of the instances
    counter = StreamCounter(header.stream, config.streams[stream], unsmoothed, header.classes)
    window = _Window()
    seqs: dict[int, int] = {}
    for record in records:
        if _near(times_s, record.pts_s, AROUND_S + 1.0):
            size = (record.width, record.height)
            window.frames[record.seq] = LoggedFrame(
                record.seq, record.index, record.epoch, record.pts_s, size
            )
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


def _around(window: _Window, seq: int) -> list[LoggedFrame]:
    """The kept frames around a frame, without a gap in their numbers, in order."""
    found = [window.frames[seq]]
    number = seq
    while (number := number - 1) in window.frames and len(found) < MAX_FRAMES:
        found.insert(0, window.frames[number])
    number = seq
    while (number := number + 1) in window.frames and len(found) < 2 * MAX_FRAMES:
        found.append(window.frames[number])
    return found


def _boxes(window: _Window, track: int, seq: int, box: Box) -> dict[int, Box]:
    """The boxes of the event's object: those of its track, or of the one that has its box if ids have changed."""
    own = window.tracks.get(track, {})
    if seq in own and _overlap(own[seq], box) >= SAME_IOU:
        return own
    others = [(_overlap(boxes[seq], box), boxes) for boxes in window.tracks.values() if seq in boxes]
    best = max(others, key=lambda one: one[0], default=(0.0, {}))
    return best[1] if best[0] >= SAME_IOU else {}


def _other(boxes: dict[int, Box], seq: int, at_s: float, frames: list[LoggedFrame]) -> Shot | None:
    """The moment before or after the event: the nearest detection that is far enough away in space or time.

    Args:
        boxes: seq -> box of the object.
        seq: frame of the event.
        at_s: time of the event.
        frames: candidates, beginning at the event.
    """
    x0, y0, x1, y1 = boxes[seq]
    far_px = APART_SIZES * max(x1 - x0, y1 - y0)
    chosen: LoggedFrame | None = None
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
    """The masks of the instances whose boxes are wanted: (seq, box) -> mask."""
    by_seq: dict[int, list[Box]] = {}
    for seq, box in wanted:
        if box is not None:
            by_seq.setdefault(seq, []).append(box)
    found: dict[tuple[int, Box], NDArray[np.uint8]] = {}
    for record in _only(log, by_seq):
        boxes = np.array(by_seq[record.seq], np.float64)
        overlap = box_iou(boxes, record.boxes_px.astype(np.float64))
        for place, box in enumerate(by_seq[record.seq]):
            if overlap.shape[1] and overlap[place].max() >= SAME_IOU:
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
