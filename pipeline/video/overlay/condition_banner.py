"""What is wrong with the camera, across the picture."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.stamp import Stamp
from pipeline.video.overlay.style import DARK, WARNING, WHITE, OverlaySizes

NO_SIGNAL = "no signal"
_WORDS = {
    NO_SIGNAL: "No signal",
    "black": "Picture is black",
    "covered": "Camera is covered",
    "frozen": "Picture is frozen",
    "moved": "Camera has moved",
    "blurred": "Picture is out of focus",
}


class ConditionBanner:
    """Draws a line such as `Picture is frozen since 14:03:11` at the top; `No signal` goes into the middle.

    Args:
        zone: time zone of the site; None: that of this machine.
        sizes: of drawn elements.
    """

    def __init__(self, zone: ZoneInfo | None, sizes: OverlaySizes) -> None:
        self._zone, self._sizes = zone, sizes
        self._text = ""
        self._stamp: Stamp | None = None

    def draw(self, planes: Planes, condition: str, since_s: float, left: int = 0) -> None:
        """Draws the line.

        Args:
            planes: changed in place.
            condition: as in `FrameTracks`.
            since_s: Unix time since which it is.
            left: what lies at the top left is this wide, pixels.
        """
        since = datetime.fromtimestamp(since_s, self._zone)
        text = f"{_WORDS.get(condition, f'Camera {condition}')} since {since:%H:%M:%S}"
        if self._stamp is None or text != self._text:
            self._text = text
            self._stamp = self._banner(text, planes.width, 2 if condition == NO_SIGNAL else 1)
        width, height = self._stamp.width, self._stamp.height
        x, y = (planes.width - width) // 2, (planes.height - height) // 2
        if condition != NO_SIGNAL:
            x, y = max(x, min(left + self._sizes.margin, planes.width - width)), self._sizes.margin
        self._stamp.blend(planes, x, y)

    def _banner(self, text: str, width: int, times: int) -> Stamp:
        size = self._sizes.badge * times
        while size > self._sizes.label and text_width(text, size) + 4 * size > width:
            size -= 1
        bar = max(2, size // 3)
        canvas = Canvas(text_width(text, size) + 3 * size + bar, 3 * size)
        canvas.panel(0, 0, canvas.width, canvas.height, size * 0.4, DARK, 0.85)
        canvas.panel(0, 0, bar, canvas.height, 0, WARNING, 1.0)
        canvas.text(text, bar + round(1.4 * size), 2 * size, size, WHITE)
        return canvas.stamp()
