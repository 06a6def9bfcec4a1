"""All lines of a stream at once: a line is asked only about objects that are near it, or new to it.

Most objects are far from most lines, on the side where they were before, and there nothing can happen: the line would
only note where they are. Which ones those are is found for all objects and lines of a frame together, with
arrays; what the lines would have noted is caught up when an object comes near, ends, or a checkpoint is taken. The
crossings are those that the lines find when each is asked about every observation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.config.schema import LineConfig
from pipeline.counting.crosser import Crosser
from pipeline.counting.crossing_detector import CrossingDetector
from pipeline.geometry.plane import Floats
from pipeline.records.state import State
from pipeline.tracking.observation import Observation

SURE_PX = 1e-3
"""How much farther than the dead band an object must be: what rounding may come to is left to the line itself."""
_COLUMNS = {"foot": slice(0, 2), "center": slice(2, 4), "mask": slice(4, 6)}
"""Where the position of each anchor stands in a row of `_positions`."""


class CrossingDetectors:
    """Detects crossings of several lines by all objects.

    Args:
        lines: name -> line, in fractions of the frame.
        frame: width and height of the frame in pixels.
    """

    def __init__(self, lines: Mapping[str, LineConfig], frame: tuple[int, int]) -> None:
        self._detectors = {name: CrossingDetector(line, frame) for name, line in lines.items()}
        self._names, self._numbered = tuple(lines), tuple(self._detectors.values())
        self._recent: dict[int, Crosser] = {}
        """What all lines know alike of an object: its last observations and its extent."""
        self._rows: dict[int, int] = {}
        """Object -> its row of `_sides`."""
        self._free: list[int] = []
        self._sides = np.zeros((0, len(lines)))
        """(rows, lines): the side on which nothing happens to an object, 1 or -1; 0: the line has to be asked."""
        self._near: dict[int, tuple[Observation, Sequence[int]]] = {}
        self._restored = False
        self._set_up(lines, frame)

    def _set_up(self, lines: Mapping[str, LineConfig], frame: tuple[int, int]) -> None:
        """Signed distances to all straight lines as one product of matrices, and what has to be exceeded likewise."""
        self._normals, self._offsets = np.zeros((6, len(lines))), np.zeros(len(lines))
        self._bands = np.zeros((3, len(lines)))
        self._bent: list[int] = []
        self._never: list[int] = []
        """Lines that are asked about every observation."""
        for number, (config, detector) in enumerate(zip(lines.values(), self._numbered, strict=True)):
            self._bands[0, number] = config.deadband
            if len(config.points) > 2:
                (self._never if config.anchor == "mask" else self._bent).append(number)
                continue
            start, normal = detector.line.straight
            self._normals[_COLUMNS[config.anchor], number] = normal
            self._offsets[number] = -start @ normal
            if config.anchor == "mask":  # anywhere in the box
                self._bands[1:, number] = np.abs(normal) / 2

    def look(self, observed: Iterable[tuple[int, Observation]]) -> None:
        """Finds out which lines have to be asked about the objects of a frame.

        Args:
            observed: objects of the frame, each with its next observation, which `observe` is then given.
        """
        self._catch_up_after_restore()
        self._near.clear()
        known = [(one, seen, self._rows[one]) for one, seen in observed if one in self._rows]
        if not known:
            return
        positions = _positions([seen for _, seen, _ in known])
        distances = positions[:, :6] @ self._normals + self._offsets
        for number in self._bent:
            detector = self._numbered[number]
            distances[:, number] = detector.line.distances(positions[:, _COLUMNS[detector.anchor]])
        beyond = self._sides[[row for *_, row in known]] * distances - positions[:, 6:] @ self._bands
        far = beyond > SURE_PX
        for (object_id, seen, _), nowhere_near, row in zip(known, far.all(axis=1).tolist(), far, strict=True):
            self._near[object_id] = seen, () if nowhere_near else np.flatnonzero(~row).tolist()

    def observe(
        self, object_id: int, observation: Observation, arriving: bool = False
    ) -> Sequence[tuple[str, str]]:
        """Takes the next observation of an object; see `CrossingDetector.observe`.

        Args:
            object_id: the object.
            observation: later than the one before of the same object.
            arriving: the object appeared in view while the stream was running.

        Returns:
            Name of each line that it has just crossed, and of the direction.
        """
        self._catch_up_after_restore()
        recent = self._recent.get(object_id)
        if recent is None:
            recent = self._recent[object_id] = Crosser(arriving=arriving)
            self._rows[object_id] = self._new_row()
        looked_at, near = self._near.pop(object_id, (None, ()))
        if looked_at is not observation:
            near = range(len(self._names))
        found = []
        for number in near:
            detector = self._numbered[number]
            self._catch_up(object_id, recent, number)
            if (direction := detector.observe(object_id, observation, arriving)) is not None:
                found.append((self._names[number], direction))
            self._settle(object_id, number)
        recent.see(observation)
        return found

    def end(self, object_id: int) -> list[tuple[str, str, Observation]]:
        """Drops the state of an object that has ended; see `CrossingDetector.end`.

        Args:
            object_id: Also one that was never observed.

        Returns:
            Name of each line over which it left the frame, of the direction, and the last observation.
        """
        self._catch_up_all(object_id)
        self._forget(object_id)
        left = ((name, detector.end(object_id)) for name, detector in self._detectors.items())
        return [(name, *crossing) for name, crossing in left if crossing is not None]

    def stitch(self, object_id: int, later: int, pts_s: float) -> list[tuple[str, str]]:
        """Merges two objects that turned out to be one; see `CrossingDetector.stitch`.

        Args:
            object_id: the older one, which is forgotten.
            later: the one that goes on, with the past of both.
            pts_s: media time of the first observation of `later`.

        Returns:
            Name of each line that was crossed during the gap, and of the direction.
        """
        for one in (object_id, later):
            self._catch_up_all(one)
        crossed = (
            (name, detector.stitch(object_id, later, pts_s)) for name, detector in self._detectors.items()
        )
        found = [(name, direction) for name, direction in crossed if direction is not None]
        if (newer := self._recent.get(later)) is not None:
            if (older := self._recent.get(object_id)) is not None:
                newer.inherit_extent(older)
                self._forget(object_id)
            for number in range(len(self._names)):
                self._settle(later, number)
        return found

    def detector(self, line: str) -> CrossingDetector:
        """One line, with all that it knows: for its state.

        Args:
            line: its name.
        """
        number = self._names.index(line)
        for object_id, recent in self._recent.items():
            self._catch_up(object_id, recent, number)
        return self._detectors[line]

    def restore(self, line: str, state: State) -> None:
        """Continues a line from its state.

        Args:
            line: its name.
            state: of `detector(line)`.

        Raises:
            StateError: it is not such a state.
        """
        self._detectors[line].restore(state)
        self._restored = True

    def _catch_up_after_restore(self) -> None:
        if not self._restored:
            return
        self._restored = False
        self._recent, self._rows, self._free = {}, {}, []
        self._sides = np.zeros((0, len(self._names)))
        for detector in self._detectors.values():
            for object_id, crosser in detector.crossers.items():
                if object_id not in self._recent:
                    self._recent[object_id] = crosser.without_line()
                    self._rows[object_id] = self._new_row()
        for object_id in self._recent:
            for number in range(len(self._names)):
                self._settle(object_id, number)

    def _catch_up(self, object_id: int, recent: Crosser, number: int) -> None:
        """Gives a line what it was not told of an object."""
        if self._sides[self._rows[object_id], number]:
            self._numbered[number].catch_up(object_id, recent)

    def _catch_up_all(self, object_id: int) -> None:
        self._catch_up_after_restore()
        if (recent := self._recent.get(object_id)) is not None:
            for number in range(len(self._names)):
                self._catch_up(object_id, recent, number)

    def _settle(self, object_id: int, number: int) -> None:
        """Notes whether a line need not be asked about an object while it stays beyond the dead band."""
        crosser = self._numbered[number].crossers.get(object_id)
        settled = 0 if crosser is None or number in self._never else crosser.settled_side
        self._sides[self._rows[object_id], number] = settled

    def _new_row(self) -> int:
        if not self._free:
            count = len(self._sides)
            self._free = list(range(count, max(8, 2 * count)))[::-1]
            self._sides = np.concatenate([self._sides, np.zeros((len(self._free), len(self._names)))])
        return self._free.pop()

    def _forget(self, object_id: int) -> None:
        self._recent.pop(object_id, None)
        if (row := self._rows.pop(object_id, None)) is not None:
            self._sides[row] = 0
            self._free.append(row)


def _positions(observed: Sequence[Observation]) -> Floats:
    """(N, 9) float64, pixels: foot, centre, centre of the box, smoothed height, width and height of the box."""
    rows = []
    for seen in observed:
        x0, y0, x1, y1 = seen.place_px
        rows.append(
            (*seen.foot, *seen.center, (x0 + x1) / 2, (y0 + y1) / 2, seen.height_px, x1 - x0, y1 - y0)
        )
    return np.array(rows, np.float64)
