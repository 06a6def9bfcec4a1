"""The panel of counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.paint import Stamp
from pipeline.video.overlay.style import DARK, PANEL_OPACITY, SOFT, WHITE, Sizes

WIDEST = re.compile(r"\d")
"""Digits: as wide as an 8, the panel keeps its width while time passes."""
ROWS = 8
"""Classes that the panel lists, at the most."""


class CountPanel:
    """The panel in the upper left corner: stream, media time, and the unique objects of each class."""

    def __init__(self, classes: Sequence[str], sizes: Sizes) -> None:
        self._classes, self._sizes = tuple(classes), sizes
        self._words: tuple[str, str, tuple[tuple[str, int], ...]] | None = None
        self._stamp: Stamp | None = None
        self._time = ""
        self._clock: Stamp | None = None

    def put(
        self, planes: Planes, stream: str, pts_s: float, unique: dict[str, int]
    ) -> tuple[int, int, int, int]:
        """Returns x, y, width, height of what it covers."""
        known = [name for name in self._classes if unique.get(name)]
        known += sorted(name for name in unique if unique[name] and name not in self._classes)
        rows = [(name, unique[name]) for name in known]
        if len(rows) > ROWS:
            rows = [
                *rows[: ROWS - 1],
                (f"{len(rows) - ROWS + 1} more classes", sum(n for _, n in rows[ROWS - 1 :])),
            ]
        time = clock(pts_s)
        words = (stream, WIDEST.sub("8", time), tuple(rows))
        if self._stamp is None or words != self._words:
            self._words, self._stamp = words, self._draw(*words)
        if self._clock is None or time != self._time:
            self._time, self._clock = time, self._hands(time)
        margin, size = self._sizes.margin, self._sizes.plate
        self._stamp.put(planes, margin, margin)
        self._clock.put(planes, margin + self._stamp.width - size - self._clock.width, margin)
        return margin, margin, self._stamp.width, self._stamp.height

    def _hands(self, time: str) -> Stamp:
        """The time alone: it changes every second, the rest of the panel seldom."""
        size = self._sizes.plate
        canvas = Canvas(text_width(time, size), 3 * size)
        canvas.text(time, canvas.width - text_width(time, size), 2 * size, size, SOFT)
        return canvas.stamp()

    def _draw(self, stream: str, time: str, rows: tuple[tuple[str, int], ...]) -> Stamp:
        size = self._sizes.plate
        pad, step = size, round(size * 2.0)
        width = text_width(stream, size) + 2 * size + text_width(time, size)
        for name, count in rows:
            width = max(width, text_width(name, size) + 2 * size + text_width(str(count), size))
        canvas = Canvas(width + 2 * pad, pad * 2 + size + (step * len(rows) + size // 2 if rows else 0))
        canvas.panel(0, 0, canvas.width, canvas.height, size * 0.7, DARK, PANEL_OPACITY)
        baseline = pad + size
        canvas.text(stream, pad, baseline, size, WHITE)
        if rows:
            rule = round(baseline + size * 0.65)
            canvas.over(
                np.ones((max(1, size // 8), canvas.width - 2 * pad), np.float32), WHITE, 0.25, pad, rule
            )
        for number, (name, count) in enumerate(rows):
            line = baseline + size // 2 + step * (number + 1)
            canvas.text(name, pad, line, size, SOFT)
            canvas.text(str(count), canvas.width - pad - text_width(str(count), size), line, size, WHITE)
        return canvas.stamp()


def clock(pts_s: float) -> str:
    """Media time as minutes and seconds, with hours where there are any."""
    whole = max(0, int(pts_s))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
