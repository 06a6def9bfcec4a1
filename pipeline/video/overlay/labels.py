"""Labels of objects, placed so that all can be read and that they stay in place from frame to frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.colours import object_colour
from pipeline.video.overlay.placement import OccupancyGrid, clamp_position, label_positions
from pipeline.video.overlay.stamp import Stamp
from pipeline.video.overlay.style import DARK, WHITE, OverlaySizes

MAX_LABELS = 256
"""Number of label stamps kept in memory; the least recently used are dropped first."""
STAY_S = 0.7
"""Media seconds for which a label keeps its position relative to its object while that position is free."""


@dataclass(frozen=True, slots=True)
class LabelPlacement:
    """Which of `label_positions` the label of an object has, and since when (media time)."""

    number: int
    since_s: float


class Labels:
    """The labels of one stream's objects. Remembers the placements of the previous frame only.

    Args:
        classes: the model's class names.
        sizes: of drawn elements.
    """

    def __init__(self, classes: tuple[str, ...], sizes: OverlaySizes) -> None:
        self._classes, self._size = classes, sizes.label
        self._stamps: OrderedDict[tuple[int, int], Stamp] = OrderedDict()
        self._placements: dict[int, LabelPlacement] = {}

    def __len__(self) -> int:
        return len(self._stamps)

    def draw(
        self,
        planes: Planes,
        tracks: FrameTracks,
        boxes: Sequence[Sequence[float]],
        rows: Sequence[int],
        occupied: OccupancyGrid,
    ) -> None:
        """Draws labels.

        Args:
            planes: changed in place.
            tracks: the objects of the frame.
            boxes: x0 y0 x1 y1 of each object, finite, pixels.
            rows: which objects get a label, those that choose their position first in front.
            occupied: what is covered already; the labels are added.
        """
        placements: dict[int, LabelPlacement] = {}
        for row in rows:
            x0, y0, x1, y1 = boxes[row]
            if x1 <= 0 or y1 <= 0 or x0 >= planes.width or y0 >= planes.height or x0 >= x1 or y0 >= y1:
                continue
            identity = int(tracks.ids[row])
            stamp = self._stamp(identity, int(tracks.class_ids[row]))
            width, height = stamp.width, stamp.height
            limits = max(0, planes.width - width), max(0, planes.height - height)
            positions = label_positions(x0, y0, x1, y1, width, height)
            last = self._placements.get(identity)
            order: Iterable[int] = range(len(positions))
            if last is not None and 0 <= tracks.pts_s - last.since_s < STAY_S:
                order = (last.number, *order)
            number, position = 0, clamp_position(positions[0], limits)
            for candidate in order:
                clamped = clamp_position(positions[candidate], limits)
                if occupied.is_free(*clamped, width, height):
                    number, position = candidate, clamped
                    break
            kept = last is not None and last.number == number and tracks.pts_s - last.since_s < STAY_S
            placements[identity] = last if last is not None and kept else LabelPlacement(number, tracks.pts_s)
            occupied.occupy(*position, width, height)
            stamp.blend(planes, *position)
        self._placements = placements

    def _stamp(self, identity: int, class_id: int) -> Stamp:
        key = (identity, class_id)
        stamp = self._stamps.get(key)
        if stamp is None:
            known = 0 <= class_id < len(self._classes)
            text = f"{self._classes[class_id] if known else 'object'} {identity}"
            stamp = self._stamps[key] = label_stamp(text, identity, self._size)
            if len(self._stamps) > MAX_LABELS:
                self._stamps.popitem(last=False)
        else:
            self._stamps.move_to_end(key)
        return stamp


def label_stamp(text: str, identity: int, size: int) -> Stamp:
    """`label_canvas` as a stamp.

    Args:
        text: One line.
        identity: Of the object; determines the colour.
        size: Height of its capitals, pixels.
    """
    return label_canvas(text, identity, size).stamp()


def label_canvas(text: str, identity: int, size: int) -> Canvas:
    """Draws a label: a dark pill with a dot in the object's colour and a text.

    Args:
        text: of the label.
        identity: id of the object, which determines the dot's colour.
        size: height of the capitals, pixels.
    """
    colour = object_colour(identity)
    height = round(size * 2.0)
    pad = round(size * 0.55)
    dot = round(size * 0.85)
    canvas = Canvas(pad + dot + round(size * 0.45) + text_width(text, size) + pad, height)
    canvas.panel(0, 0, canvas.width, canvas.height, size * 0.6, DARK, 0.78)
    canvas.panel(pad, (canvas.height - dot) / 2, dot, dot, dot / 2, colour, 1.0)
    canvas.text(text, pad + dot + size * 0.45, (canvas.height + size) / 2, size, WHITE)
    return canvas
