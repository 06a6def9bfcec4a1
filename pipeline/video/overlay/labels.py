"""Labels of objects: where they go so that all can be read, and that they stay there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.transport.messages import Tracks
from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.paint import Stamp, object_colour
from pipeline.video.overlay.style import DARK, WHITE, Sizes, Taken

MOST_LABELS = 256
"""Label stamps kept: the ones longest unused go first."""
STAY_S = 0.7
"""Media seconds for which a label keeps its place beside the object while that place is free."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of an object's places its label took, and since when (media time)."""

    number: int
    since_s: float


class Labels:
    """The labels of one stream's objects; remembers only what the last frame showed."""

    def __init__(self, classes: tuple[str, ...], sizes: Sizes) -> None:
        self._classes, self._size = classes, sizes.label
        self._stamps: OrderedDict[tuple[int, int], Stamp] = OrderedDict()
        self._chosen: dict[int, Chosen] = {}

    def __len__(self) -> int:
        return len(self._stamps)

    def draw(
        self,
        planes: Planes,
        tracks: Tracks,
        boxes: Sequence[Sequence[float]],
        rows: Sequence[int],
        taken: Taken,
    ) -> None:
        """Draws the labels of `rows`, the first of them with the first choice. `boxes`: x0 y0 x1 y1, pixels."""
        chosen: dict[int, Chosen] = {}
        for row in rows:
            x0, y0, x1, y1 = boxes[row]
            if x1 <= 0 or y1 <= 0 or x0 >= planes.width or y0 >= planes.height or x0 >= x1 or y0 >= y1:
                continue
            identity = int(tracks.ids[row])
            stamp = self._stamp(identity, int(tracks.class_ids[row]))
            width, height = stamp.width, stamp.height
            most = max(0, planes.width - width), max(0, planes.height - height)
            places = label_places(x0, y0, x1, y1, width, height)
            last = self._chosen.get(identity)
            order: Iterable[int] = range(len(places))
            if last is not None and 0 <= tracks.pts_s - last.since_s < STAY_S:
                order = (last.number, *order)
            number, place = 0, _inside(places[0], most)
            for candidate in order:
                moved = _inside(places[candidate], most)
                if taken.free(*moved, width, height):
                    number, place = candidate, moved
                    break
            kept = last is not None and last.number == number and tracks.pts_s - last.since_s < STAY_S
            chosen[identity] = last if last is not None and kept else Chosen(number, tracks.pts_s)
            taken.take(*place, width, height)
            stamp.put(planes, *place)
        self._chosen = chosen

    def _stamp(self, identity: int, class_id: int) -> Stamp:
        key = (identity, class_id)
        stamp = self._stamps.get(key)
        if stamp is None:
            known = 0 <= class_id < len(self._classes)
            text = f"{self._classes[class_id] if known else 'object'} {identity}"
            stamp = self._stamps[key] = label(text, identity, self._size)
            if len(self._stamps) > MOST_LABELS:
                self._stamps.popitem(last=False)
        else:
            self._stamps.move_to_end(key)
        return stamp


def _inside(place: tuple[float, float], most: tuple[int, int]) -> tuple[int, int]:
    """The place, moved into the frame, whose last possible place is `most`."""
    return int(min(max(place[0], 0), most[0])), int(min(max(place[1], 0), most[1]))


def label_places(
    x0: float, y0: float, x1: float, y1: float, width: int, height: int
) -> list[tuple[float, float]]:
    """Upper left corners for a label of `width` x `height` on a box, the best first."""
    middle, above, gap = (x0 + x1 - width) / 2, y0 - height - 2, 2
    places = [(middle, above), (x0, above), (x1 - width, above), (middle, y0 + gap), (middle, y1 + gap)]
    places += [(x1 + gap, y0), (x0 - gap - width, y0)]
    for level in (1, 2):  # a crowd: stacked above, also to the sides
        row = above - level * (height + gap)
        places += [(middle, row), (x1 - width * 0.25, row), (x0 - width * 0.75, row)]
    places.append((middle, (y0 + y1 - height) / 2))
    return places


def label(text: str, identity: int, size: int) -> Stamp:
    """A dark pill with a dot of the object's colour before the text."""
    return label_canvas(text, identity, size).stamp()


def label_canvas(text: str, identity: int, size: int) -> Canvas:
    """What `label` is made of."""
    colour = object_colour(identity)
    height = round(size * 2.0)
    pad = round(size * 0.55)
    dot = round(size * 0.85)
    canvas = Canvas(pad + dot + round(size * 0.45) + text_width(text, size) + pad, height)
    canvas.panel(0, 0, canvas.width, canvas.height, size * 0.6, DARK, 0.78)
    canvas.panel(pad, (canvas.height - dot) / 2, dot, dot, dot / 2, colour, 1.0)
    canvas.text(text, pad + dot + size * 0.45, (canvas.height + size) / 2, size, WHITE)
    return canvas
