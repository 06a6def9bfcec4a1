"""Computes the exact truth of a scene: the objects in each frame, and what a perfect counter would count.

Terms are those of the counters:

- **unique**: an object that was clearly visible: at least a quarter of it, and 60 pixels, for half a second in total.
  Scenes are planned so that every object is; any other is listed in `ignored`.
- **line crossing**: the object's foot point moves from one side of the line to the other between two frames, through
  the segment. `directions[0]` is from left to right, as seen on the screen from the first point towards the second.
- **zone entry**: the foot point moves from outside of the polygon to inside. An object that is inside when it is first
  seen has not entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.actors import Actor, foot_points
from pipeline.demo.scene.pinhole import Floats
from pipeline.demo.scene.world import Rendered, Scene
from pipeline.geometry.rle import encode
from pipeline.records.scene_truth import (
    SceneLayout,
    SceneLine,
    SceneTruth,
    SceneZone,
    TrueCrossing,
    TrueEntry,
    TrueInstance,
)

CLEAR_VISIBLE = 0.25
CLEAR_AREA_PX = 60
CLEAR_S = 0.5


def side(line: SceneLine, points_rel: Floats) -> Floats:
    """On which side of a line points are.

    Args:
        line: the counting line.
        points_rel: (N, 2) relative coordinates.

    Returns:
        (N,) positive on the right-hand side, negative on the left.
    """
    (ax, ay), (bx, by) = line.points
    crossed: Floats = (bx - ax) * (points_rel[:, 1] - ay) - (by - ay) * (points_rel[:, 0] - ax)
    return crossed


def line_crossings(line: SceneLine, path_rel: Floats) -> list[tuple[int, str]]:
    """Crossings of one path.

    Args:
        line: the counting line.
        path_rel: (N, 2) foot points of consecutive frames, relative coordinates.

    Returns:
        For each crossing the index of the first point on the other side, and the direction.
    """
    signs = side(line, path_rel)
    a, b = np.array(line.points[0]), np.array(line.points[1])
    found: list[tuple[int, str]] = []
    last: int | None = None  # the latest point that was not exactly on the line
    for i, value in enumerate(signs):
        if value == 0.0:
            continue
        if last is not None and (value > 0) != (signs[last] > 0):
            share = signs[last] / (signs[last] - value)
            hit = path_rel[last] + share * (path_rel[i] - path_rel[last])
            along = float((hit - a) @ (b - a) / ((b - a) @ (b - a)))
            if 0.0 <= along <= 1.0:
                found.append((i, line.directions[0] if value > 0 else line.directions[1]))
        last = i
    return found


def inside(zone: SceneZone, points_rel: Floats) -> NDArray[np.bool_]:
    """Which points (N, 2), in relative coordinates, are inside a zone by the even-odd rule: (N,).

    Args:
        zone: With its polygon.
        points_rel: Fractions of the frame.
    """
    result = np.zeros(len(points_rel), bool)
    x, y = points_rel[:, 0], points_rel[:, 1]
    corners = zone.polygon
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        if ay == by:
            continue
        spans = (ay > y) != (by > y)
        result ^= spans & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return result


def scene_events(scene: Scene) -> tuple[list[TrueCrossing], list[TrueEntry]]:
    """Line crossings and zone entries of a finite scene, computed from the exact paths without rendering.

    Args:
        scene: The scene.
    """
    times = np.arange(scene.frame_count) / scene.fps
    crossings: list[TrueCrossing] = []
    entries: list[TrueEntry] = []
    size = np.array([scene.width, scene.height], np.float64)
    for actor in scene.actors():
        alive = np.flatnonzero((times >= actor.times_s[0]) & (times <= actor.times_s[-1]))
        if not len(alive):
            continue
        path = foot_points(actor, scene.camera, times[alive]) / size
        crossings += _actor_crossings(scene.layout, actor, path, int(alive[0]))
        for zone in scene.layout.zones:
            if actor.class_name in zone.classes:
                within = inside(zone, path)
                entered = np.flatnonzero(within[1:] & ~within[:-1]) + 1 + int(alive[0])
                entries += [TrueEntry(zone.name, actor.track_id, actor.class_name, int(i)) for i in entered]
    crossings.sort(key=lambda c: (c.frame, c.track_id))
    entries.sort(key=lambda e: (e.frame, e.track_id))
    return crossings, entries


def _actor_crossings(layout: SceneLayout, actor: Actor, path_rel: Floats, first: int) -> list[TrueCrossing]:
    return [
        TrueCrossing(line.name, actor.track_id, actor.class_name, direction, first + i)
        for line in layout.lines
        if actor.class_name in line.classes
        for i, direction in line_crossings(line, path_rel)
    ]


def frame_truth(rendered: Rendered) -> tuple[TrueInstance, ...]:
    """The instances of one rendered frame with their masks.

    Args:
        rendered: The frame.
    """
    found: list[TrueInstance] = []
    for t in rendered.instances:
        x0, y0, x1, y1 = (int(edge) for edge in t.box_px)
        foot = (round(t.foot_px[0], 1), round(t.foot_px[1], 1))
        counts = encode(rendered.mask(t.label))
        found.append(
            TrueInstance(t.track_id, t.class_name, (x0, y0, x1, y1), round(t.visible, 2), foot, counts)
        )
    return tuple(found)


class TruthBuilder:
    """Accumulates the truth of a scene while its frames are rendered."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._frames: list[tuple[TrueInstance, ...]] = []
        self._clear: dict[int, int] = {}
        self._class: dict[int, str] = {}

    def add(self, rendered: Rendered) -> None:
        """Adds the next frame.

        Args:
            rendered: The frame.
        """
        self._frames.append(frame_truth(rendered))
        for t in rendered.instances:
            self._class[t.track_id] = t.class_name
            clear = t.visible >= CLEAR_VISIBLE and t.area_px >= CLEAR_AREA_PX
            self._clear[t.track_id] = self._clear.get(t.track_id, 0) + int(clear)

    def finish(self) -> SceneTruth:
        """The truth of all frames added."""
        scene = self._scene
        need = CLEAR_S * scene.fps
        counted = {track for track, frames in self._clear.items() if frames >= need}
        unique: dict[str, int] = {}
        for track in sorted(counted):
            unique[self._class[track]] = unique.get(self._class[track], 0) + 1
        crossings, entries = scene_events(scene)
        lines = {
            line.name: {name: dict.fromkeys(line.directions, 0) for name in line.classes}
            for line in scene.layout.lines
        }
        zones = {zone.name: dict.fromkeys(zone.classes, 0) for zone in scene.layout.zones}
        for c in crossings:
            lines[c.line][c.class_name][c.direction] += 1
        for e in entries:
            zones[e.zone][e.class_name] += 1
        return SceneTruth(
            scene.seed, scene.width, scene.height, scene.fps, scene.layout, unique, lines, zones, tuple(crossings),
            tuple(entries), tuple(sorted(set(self._clear) - counted)), tuple(self._frames),
        )  # fmt: skip


def scene_truth(scene: Scene, each: Callable[[Rendered], None] | None = None) -> SceneTruth:
    """Renders a finite scene and returns its truth.

    Args:
        scene: the scene.
        each: called with every frame, e.g. to encode it.
    """
    builder = TruthBuilder(scene)
    for rendered in _frames(scene):
        builder.add(rendered)
        if each is not None:
            each(rendered)
    return builder.finish()


def _frames(scene: Scene) -> Iterable[Rendered]:
    return (scene.frame(i) for i in range(scene.frame_count))
