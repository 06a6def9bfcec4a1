"""The picture of where objects went: time spent at each spot, in colours over a frame of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StreamConfig
from pipeline.errors import OutputError
from pipeline.transport.planes import Plane, Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.style import DARK, PANEL_OPACITY, SOFT, WHITE, ZONE, Sizes

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

BLUR = 0.9
"""Standard deviation of the smoothing, in cells."""
FAINT = 0.03
"""Part of the most time from which on a spot is coloured."""
OPACITY = 0.85
SMALLEST = 1000
"""Pixels of the width that smaller frames are enlarged to."""
QUALITY = 90


def heatmap(view: Image, heat: Mapping[str, Floats], stream: StreamConfig, title: str) -> Image:
    """Paints the time spent over a frame, with the lines and zones, and a scale.

    Colours follow the logarithm: a path walked once is seen beside a spot where many stood.

    Args:
        view: a frame of the stream.
        heat: class -> (rows, columns): object-seconds in each cell.
        title: of the legend.
    """
    times = max(1, -(-SMALLEST // view.shape[1]))
    height, width = view.shape[0] * times, view.shape[1] * times
    large = cv2.resize(view, (width, height), interpolation=cv2.INTER_CUBIC)
    ground = cv2.cvtColor(cv2.cvtColor(large, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    ground = (0.55 * ground + 0.45 * large.astype(np.float32)) * 0.6
    cells = sum(heat.values(), np.zeros((1, 1)))
    most = 0.0
    if cells.any():
        smooth = cv2.GaussianBlur(cells, (0, 0), BLUR)
        most = float(smooth.max())
        warmth = np.log1p(smooth / (most * FAINT)) / np.log1p(1 / FAINT)
        spread = cv2.resize(warmth.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        spread = spread.clip(0, 1)
        opacity = (OPACITY * np.clip((spread - 0.12) / 0.35, 0, 1))[..., None]
        ground = ground * (1 - opacity) + _colours(spread).astype(np.float32) * opacity
    picture = np.asarray(ground.round(), np.uint8)
    _marks(picture, stream)
    per_cell = float(cells.max()) if most else 0.0
    _legend(picture, title, per_cell)
    return picture


def save_view(path: Path, planes: Planes) -> None:
    """Keeps a frame for pictures made later.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_picture(path, planes.to_rgb())


def read_view(path: Path) -> Image | None:
    """A frame that was kept, or None."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.exists() else None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def write_picture(path: Path, image: Image) -> None:
    """Writes a PNG or JPEG, by the name's ending.

    Raises:
        OutputError: the folder cannot be written, or the ending is another.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix.lower() in (".jpg", ".jpeg") else []
    try:
        _, data = cv2.imencode(path.suffix or ".", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        raise OutputError(f"{path}: pictures are .png or .jpg") from None
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _colours(share: NDArray[np.float32]) -> Image:
    levels = np.asarray((share * 255).round(), np.uint8)
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8
    )


def _marks(picture: Image, stream: StreamConfig) -> None:
    height, width = picture.shape[:2]
    wide = max(1, round(Sizes.of(height).stroke))

    def points(relative: tuple[tuple[float, float], ...]) -> NDArray[np.int32]:
        return np.asarray((np.array(relative) * (width, height)).round(), np.int32)

    for zone in stream.zones.values():
        colour = tuple(round(255 * part) for part in ZONE)
        cv2.polylines(picture, [points(zone.points)], True, colour, wide, cv2.LINE_AA)
    for line in stream.lines.values():
        cv2.polylines(picture, [points(line.points)], False, (0, 0, 0), wide + 2, cv2.LINE_AA)
        cv2.polylines(picture, [points(line.points)], False, (255, 255, 255), wide, cv2.LINE_AA)


def _legend(picture: Image, title: str, most_s: float) -> None:
    """A panel with the title and the scale, in the lower left corner."""
    height = picture.shape[0]
    sizes = Sizes.of(height)
    size, pad, margin = sizes.plate, sizes.plate, sizes.margin
    low, high = "0 s", _seconds(most_s)
    bar = size * 9
    width = max(text_width(title, size), text_width(low, size) + bar + text_width(high, size) + 2 * size)
    canvas = Canvas(width + 2 * pad, round(size * 4.9))
    canvas.panel(0, 0, canvas.width, canvas.height, size * 0.7, DARK, PANEL_OPACITY)
    canvas.text(title, pad, pad + size, size, WHITE)
    below = pad + round(size * 2.8)
    canvas.text(low, pad, below, size, SOFT)
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
    canvas.text(high, left + bar + size, below, size, SOFT)
    colour, opacity = canvas.layers()
    top = height - margin - canvas.height
    part: Plane = picture[top : top + canvas.height, margin : margin + canvas.width]
    colour, opacity = colour[: part.shape[0], : part.shape[1]], opacity[: part.shape[0], : part.shape[1]]
    if opacity.ndim == 2:
        opacity = opacity[..., None]
    part[:] = (part * (1 - opacity) + 255 * colour).round().clip(0, 255)


def _seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} min"
