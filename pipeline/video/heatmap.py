"""The heat map of a stream: time spent at each place, in colours over a frame of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StreamConfig
from pipeline.errors import OutputError
from pipeline.files import write_bytes
from pipeline.transport.planes import Plane, Planes
from pipeline.video.convert import square_pixels
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.style import DARK, MUTED, PANEL_OPACITY, WHITE, ZONE_COLOUR, OverlaySizes

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

BLUR_CELLS = 0.9
"""Standard deviation of the Gaussian smoothing, in cells of the heat."""
FAINTEST = 0.03
"""Share of the longest time at which colours begin."""
OPACITY = 0.85
MIN_WIDTH = 1000
"""Smaller frames are enlarged to at least this width in pixels."""
JPEG_QUALITY = 90


def render_heatmap(background: Image, heat: Mapping[str, Floats], stream: StreamConfig, title: str) -> Image:
    """Renders the time spent over a frame, with lines, zones and a colour scale.

    Colours are logarithmic in time, so that a path walked once is visible beside a place where many stood.

    Args:
        background: a frame of the stream, (H, W, 3) uint8 RGB.
        heat: class -> (rows, columns) object-seconds in each cell.
        stream: its lines and zones.
        title: of the legend.

    Returns:
        (H, W, 3) uint8 RGB, an integer multiple of the background's size.
    """
    scale = max(1, -(-MIN_WIDTH // background.shape[1]))
    height, width = background.shape[0] * scale, background.shape[1] * scale
    large = cv2.resize(background, (width, height), interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(cv2.cvtColor(large, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    muted = (0.55 * grey + 0.45 * large.astype(np.float32)) * 0.6
    cells = sum(heat.values(), np.zeros((1, 1)))
    longest_s = 0.0
    if cells.any():
        smooth = cv2.GaussianBlur(cells, (0, 0), BLUR_CELLS)
        peak = float(smooth.max())
        warmth = np.log1p(smooth / (peak * FAINTEST)) / np.log1p(1 / FAINTEST)
        warmth = cv2.resize(warmth.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        warmth = warmth.clip(0, 1)
        opacity = (OPACITY * np.clip((warmth - 0.12) / 0.35, 0, 1))[..., None]
        muted = muted * (1 - opacity) + _colours(warmth).astype(np.float32) * opacity
        longest_s = float(cells.max()) if peak else 0.0
    image = np.asarray(muted.round(), np.uint8)
    _draw_lines_and_zones(image, stream)
    _draw_legend(image, title, longest_s)
    return image


def save_background(path: Path, planes: Planes, sample_aspect: tuple[int, int] = (1, 1)) -> None:
    """Keeps a frame as the background of heat maps that are rendered later.

    Args:
        path: The picture; its suffix determines the format.
        planes: Of the frame.
        sample_aspect: Width and height of a displayed pixel relative to each other.

    Raises:
        OutputError: the file cannot be written.
    """
    write_image(path, square_pixels(planes.to_rgb(), sample_aspect))


def read_background(path: Path) -> Image | None:
    """Reads what `save_background` wrote.

    Args:
        path: The picture.

    Returns:
        (H, W, 3) uint8 RGB; None if there is no such file, or it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.exists() else None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def write_image(path: Path, image: Image) -> None:
    """Writes a picture.

    Args:
        path: its suffix selects PNG or JPEG.
        image: (H, W, 3) uint8 RGB.

    Raises:
        OutputError: the file cannot be written, or has another suffix.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix.lower() in (".jpg", ".jpeg") else []
    try:
        _, data = cv2.imencode(path.suffix or ".", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        raise OutputError(f"{path}: not a type of picture that is written; expected .png or .jpg") from None
    write_bytes(path, data.tobytes())


def _colours(warmth: NDArray[np.float32]) -> Image:
    """Colours of values 0..1."""
    levels = np.asarray((warmth * 255).round(), np.uint8)
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8
    )


def _draw_lines_and_zones(image: Image, stream: StreamConfig) -> None:
    height, width = image.shape[:2]
    stroke = max(1, round(OverlaySizes.for_height(height).stroke))

    def points(relative: tuple[tuple[float, float], ...]) -> NDArray[np.int32]:
        return np.asarray((np.array(relative) * (width, height)).round(), np.int32)

    for zone in stream.zones.values():
        colour = tuple(round(255 * part) for part in ZONE_COLOUR)
        cv2.polylines(image, [points(zone.points)], True, colour, stroke, cv2.LINE_AA)
    for line in stream.lines.values():
        cv2.polylines(image, [points(line.points)], False, (0, 0, 0), stroke + 2, cv2.LINE_AA)
        cv2.polylines(image, [points(line.points)], False, (255, 255, 255), stroke, cv2.LINE_AA)


def _draw_legend(image: Image, title: str, longest_s: float) -> None:
    """Draws a panel with title and colour scale into the lower left corner."""
    height = image.shape[0]
    sizes = OverlaySizes.for_height(height)
    size, pad, margin = sizes.badge, sizes.badge, sizes.margin
    low, high = "0 s", _format_duration(longest_s)
    bar = size * 9
    width = max(text_width(title, size), text_width(low, size) + bar + text_width(high, size) + 2 * size)
    canvas = Canvas(width + 2 * pad, round(size * 4.9))
    canvas.panel(0, 0, canvas.width, canvas.height, size * 0.7, DARK, PANEL_OPACITY)
    canvas.text(title, pad, pad + size, size, WHITE)
    below = pad + round(size * 2.8)
    canvas.text(low, pad, below, size, MUTED)
    left = pad + text_width(low, size) + size
    for step in range(bar):
        red, green, blue = _colours(np.array([[step / bar]], np.float32))[0, 0] / 255.0
        canvas.over(
            np.ones((size, 1), np.float32),
            (float(red), float(green), float(blue)),
            1.0,
            left + step,
            below - size,
        )
    canvas.text(high, left + bar + size, below, size, MUTED)
    colour, opacity = canvas.layers()
    top = height - margin - canvas.height
    part: Plane = image[top : top + canvas.height, margin : margin + canvas.width]
    colour, opacity = colour[: part.shape[0], : part.shape[1]], opacity[: part.shape[0], : part.shape[1]]
    if opacity.ndim == 2:
        opacity = opacity[..., None]
    part[:] = (part * (1 - opacity) + 255 * colour).round().clip(0, 255)


def _format_duration(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} min"
