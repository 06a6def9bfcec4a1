"""The panel of counts in the upper left corner."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.stamp import Stamp
from pipeline.video.overlay.style import DARK, MUTED, PANEL_OPACITY, WHITE, OverlaySizes

_DIGIT = re.compile(r"\d")
MAX_ROWS = 8
"""Number of classes listed; the last row sums up the others."""


class CountPanel:
    """Draws stream name, media time, and the unique objects of each class.

    The time has a stamp of its own, since it changes every second and the rest seldom.

    Args:
        classes: the model's class names, in the order in which they are listed.
        sizes: of drawn elements.
    """

    def __init__(self, classes: Sequence[str], sizes: OverlaySizes) -> None:
        self._classes, self._sizes = tuple(classes), sizes
        self._content: tuple[str, str, tuple[tuple[str, int], ...]] | None = None
        self._panel: Stamp | None = None
        self._time = ""
        self._clock: Stamp | None = None

    def draw(
        self, planes: Planes, stream: str, pts_s: float, unique: dict[str, int]
    ) -> tuple[int, int, int, int]:
        """Draws the panel.

        Args:
            planes: changed in place.
            stream: name of the stream.
            pts_s: media time, seconds.
            unique: class -> unique objects so far.

        Returns:
            x, y, width, height of what it covers, pixels.
        """
        listed = [name for name in self._classes if unique.get(name)]
        listed += sorted(name for name in unique if unique[name] and name not in self._classes)
        rows = [(name, unique[name]) for name in listed]
        if len(rows) > MAX_ROWS:
            rows = [
                *rows[: MAX_ROWS - 1],
                (f"{len(rows) - MAX_ROWS + 1} more classes", sum(n for _, n in rows[MAX_ROWS - 1 :])),
            ]
        time = format_media_time(pts_s)
        # Reserves the width of an 8 for each digit: the panel keeps its width while time passes.
        content = (stream, _DIGIT.sub("8", time), tuple(rows))
        if self._panel is None or content != self._content:
            self._content, self._panel = content, self._draw_panel(*content)
        if self._clock is None or time != self._time:
            self._time, self._clock = time, self._draw_clock(time)
        margin, size = self._sizes.margin, self._sizes.badge
        self._panel.blend(planes, margin, margin)
        self._clock.blend(planes, margin + self._panel.width - size - self._clock.width, margin)
        return margin, margin, self._panel.width, self._panel.height

    def _draw_clock(self, time: str) -> Stamp:
        size = self._sizes.badge
        canvas = Canvas(text_width(time, size), 3 * size)
        canvas.text(time, canvas.width - text_width(time, size), 2 * size, size, MUTED)
        return canvas.stamp()

    def _draw_panel(self, stream: str, time: str, rows: tuple[tuple[str, int], ...]) -> Stamp:
        size = self._sizes.badge
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
            canvas.text(name, pad, line, size, MUTED)
            canvas.text(str(count), canvas.width - pad - text_width(str(count), size), line, size, WHITE)
        return canvas.stamp()


def format_media_time(pts_s: float) -> str:
    """Media time as `m:ss`, or `h:mm:ss` from one hour on.

    Args:
        pts_s: Media time, seconds.
    """
    whole = max(0, int(pts_s))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
