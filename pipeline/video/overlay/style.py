"""Colours and sizes that all parts of the overlay share."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.video.overlay.colours import Colour

DARK: Colour = (0.06, 0.07, 0.09)
WHITE: Colour = (1.0, 1.0, 1.0)
MUTED: Colour = (0.72, 0.76, 0.80)
HIGHLIGHT: Colour = (1.0, 0.78, 0.16)
WARNING: Colour = (0.95, 0.33, 0.24)
ZONE_COLOUR: Colour = (0.25, 0.85, 0.95)
PANEL_OPACITY = 0.72


@dataclass(frozen=True, slots=True)
class OverlaySizes:
    """Sizes of drawn elements in pixels.

    Attributes:
        label: height of the capitals in labels of objects.
        badge: height of the capitals in badges of lines and zones, and in panels.
        stroke: width of counting lines.
        outline: width of the outlines of objects.
        margin: distance of panels and badges from the frame's border and from what they belong to.
    """

    label: int
    badge: int
    stroke: float
    outline: int
    margin: int

    @classmethod
    def for_height(cls, height: int) -> OverlaySizes:
        """Sizes for frames of a given height.

        Args:
            height: Pixels.
        """
        return cls(
            label=max(7, round(height * 0.0125 + 2)),
            badge=max(7, round(height * 0.0135 + 2.5)),
            stroke=max(1.6, height / 420),
            outline=1 if height < 480 else max(2, round(height / 540)),
            margin=max(4, round(height * 0.016)),
        )
