"""A folder of images as a source, in natural order of their names."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.transport.planes import Planes
from pipeline.video.convert import copy_planes, letterbox
from pipeline.video.sources.source import (
    DEFAULT_FPS,
    BaseSource,
    FrameSampler,
    SourceFrame,
    SourceInfo,
    wait_until,
)

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sorts `img2` before `img10`."""
    return [
        (0, int(part)) if part.isdigit() else (1, part)
        for part in re.split(r"([0-9]+)", name.lower())
        if part
    ]


class ImagesSource(BaseSource):
    """Images at `fps` of the configuration (25 where it has none) and their size: that of the first readable one.

    Others are scaled into it with their shape kept. An unreadable image is counted and passed over; it keeps its
    index and its time, so both follow from the place of a file in the folder.

    Raises:
        SourceError: no image in the folder, or none that can be read.
    """

    def __init__(
        self, folder: str, config: StreamConfig, *, stop: threading.Event, first_index: int = 0
    ) -> None:
        super().__init__(config, stop)
        self._first_index = first_index
        self._fps = config.fps or DEFAULT_FPS
        try:
            found = [p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        except OSError as error:
            raise SourceError(f"{folder}: the folder cannot be read: {error.strerror}") from error
        first = int(config.start_s * self._fps + 0.5)
        last = None if config.stop_s is None else int(config.stop_s * self._fps + 0.5)
        self._shift = first
        self._paths = sorted(found, key=lambda path: natural_key(path.name))[first:last]
        if not found:
            raise SourceError(f"{folder}: no images in this folder; expected {', '.join(SUFFIXES)}")
        image = next((image for path in self._paths if (image := read_image(path)) is not None), None)
        if image is None:
            raise SourceError(
                f"{folder}: none of its {len(self._paths)} images from start_s to stop_s can be read"
            )
        count = len(self._paths)
        self._info = SourceInfo(
            kind="images",
            live=config.realtime,
            width=image.shape[1],
            height=image.shape[0],
            fps=self._fps,
            duration_s=None if config.loop else count / self._fps,
            frames=None if config.loop else count,
        )

    def frames(self) -> Iterator[SourceFrame]:
        sampler = FrameSampler(None, self._config.skip)  # fps is the rate of the images itself
        index = self._first_index
        started_s = time.monotonic() - index / self._fps
        while self._config.loop or index < len(self._paths):
            if self._ended():
                return
            epoch, place = divmod(index, len(self._paths))
            pts_s = (index + self._shift) / self._fps
            if self._config.realtime:
                wait_until(started_s + index / self._fps, self._ended)
            image = read_image(self._paths[place])
            if image is None:
                self._stats.damage(f"{self._paths[place]}: cannot be read as an image")
            else:
                self._stats.decoded += 1
                reason = sampler.reason_to_skip(index, pts_s)
                if reason:
                    self._stats.skip(reason)
                else:
                    yield self._frame(index, pts_s, epoch, image)
            index += 1

    def _frame(self, index: int, pts_s: float, epoch: int, image: NDArray[np.uint8]) -> SourceFrame:
        width, height = self._info.width, self._info.height
        if image.shape[:2] != (height, width):
            self._stats.resized += 1
            image = letterbox(image, width, height)

        def copy_to(planes: Planes) -> None:
            copy_planes(Planes.from_rgb(image), planes)

        return SourceFrame(index, pts_s, time.time(), epoch, width, height, copy_to)


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8 RGB, upright; None if it cannot be read."""
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
