"""A folder of images as a source, in natural order of the file names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SourceError
from pipeline.files import reading
from pipeline.transport.planes import Planes
from pipeline.video.convert import copy_planes, letterbox
from pipeline.video.sources.folder_files import IMAGE_SUFFIXES, image_paths
from pipeline.video.sources.frame_sampler import DEFAULT_FPS, FrameSampler
from pipeline.video.sources.source import BaseSource, SourceFrame, SourceInfo, SourceRequest, SourceStats


class ImageFolderSource(BaseSource):
    """Plays the images of a folder at the configured `fps`, 25 by default.

    The first readable image sets the frame size; images of other sizes are letterboxed into it. An unreadable image
    is counted and skipped, but keeps its index and its time: both depend only on a file's position in the folder.

    Args:
        request: `target` is the folder.

    Raises:
        SourceError: the folder holds no image, or none that can be read.
    """

    def __init__(self, request: SourceRequest) -> None:
        super().__init__(request)
        folder, config = request.target, request.config
        self._fps = config.fps or DEFAULT_FPS
        with reading(folder, SourceError):
            found = image_paths(Path(folder))
        first = int(config.start_s * self._fps + 0.5)
        last = None if config.stop_s is None else int(config.stop_s * self._fps + 0.5)
        self._start_index = first
        self._paths = found[first:last]
        if not found:
            raise SourceError(
                f"{folder}: no images or videos in this folder; expected {', '.join(IMAGE_SUFFIXES)}, or MP4, MKV or "
                "similar"
            )
        image = next((image for path in self._paths if (image := read_image(path)) is not None), None)
        if image is None:
            raise SourceError(
                f"{folder}: none of its {len(self._paths)} images from start_s to stop_s can be read"
            )
        count = len(self._paths)
        self.info = SourceInfo(
            kind=request.kind,
            live=config.realtime,
            width=image.shape[1],
            height=image.shape[0],
            fps=self._fps,
            duration_s=None if config.loop else count / self._fps,
            frames=None if config.loop else count,
        )

    def frames(self) -> Iterator[SourceFrame]:
        """Yields the images; see `Source.frames`."""
        sampler = FrameSampler(None, self.config.skip)  # `fps` is the rate of the images themselves
        index = self.request.first_index
        started_s = time.monotonic() - index / self._fps
        while self.config.loop or index < len(self._paths):
            if self.ended:
                return
            epoch, number = divmod(index, len(self._paths))
            pts_s = (index + self._start_index) / self._fps
            if self.config.realtime:
                self.wait_until(started_s + index / self._fps)
            image = read_image(self._paths[number])
            if image is None:
                self.stats.record_error(f"{self._paths[number]}: cannot be read as an image")
            else:
                self.stats.decoded += 1
                reason = sampler.reason_to_skip(index, pts_s)
                if reason:
                    self.stats.count_skipped(reason)
                else:
                    yield image_frame(image, self.info, self.stats, index, pts_s, epoch)
            index += 1


def image_frame(
    image: NDArray[np.uint8], info: SourceInfo, stats: SourceStats, index: int, pts_s: float, epoch: int
) -> SourceFrame:
    """An image as a frame, letterboxed where it has another size than the source.

    Args:
        image: (H, W, 3) uint8 RGB.
        info: Of the source.
        stats: Counts images of another size.
        index: Number of the frame.
        pts_s: Media time, seconds.
        epoch: Of the frame.
    """
    width, height = info.width, info.height
    if image.shape[:2] != (height, width):
        stats.resized += 1
        image = letterbox(image, width, height)

    def copy_to(planes: Planes) -> None:
        copy_planes(Planes.from_rgb(image), planes)

    return SourceFrame(index, pts_s, time.time(), epoch, width, height, copy_to)


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Reads an image, rotated as its EXIF orientation says.

    Args:
        path: Of the file.

    Returns:
        (H, W, 3) uint8 RGB; None if the file cannot be read.
    """
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
