"""Sizes of frames as people say them."""

from __future__ import annotations

from pipeline.errors import ConfigError

NAMED = {
    "360p": (640, 360),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
}


def parse_frame_size(text: str, where: str) -> tuple[int, int]:
    """Width and height in pixels.

    Args:
        text: `1080p`, `4k` or `1920x1080`.
        where: Name of the option, for the error message.

    Raises:
        ConfigError: It is no size, or an odd one.
    """
    if text.lower() in NAMED:
        return NAMED[text.lower()]
    sides = text.lower().split("x")
    if len(sides) == 2 and all(side.isdecimal() and 64 <= int(side) <= 7680 for side in sides):
        width, height = map(int, sides)
        if width % 2 == 0 and height % 2 == 0:
            return width, height
    raise ConfigError(
        f"{where}: got {text}, expected {', '.join(NAMED)}, or width x height in even pixels, e.g. 1920x1080"
    )
