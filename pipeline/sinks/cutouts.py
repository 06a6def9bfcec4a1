"""`DIR/cutouts/STREAM/ID-CLASS.png`: the best view of each object, cut out of its frame.

The best view is the largest one that is whole and that the model is sure of. A view is written once its object has not
been seen for a while, so that an object costs one file and not one for each better view; a better view that comes later
replaces it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.files import make_folder, write_bytes
from pipeline.geometry.mask_paste import Corner, paste_mask_region
from pipeline.geometry.masks import MASK_INSIDE
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.cutout import cut_out

GONE_S = 2.0
"""An object that was not seen for so long has its view written."""
BETTER = 1.15
"""A view has to be better than the best one so far by this factor, so that an object that grows slowly is not cut out
in every frame."""
AT_EDGE = 0.2
"""What a view counts for that touches the border of the frame: it may be a part of the object."""
EDGE_PX = 2.0
REMEMBERED = 10_000
"""Objects whose best view is known after it was written."""


def cutout_folder(out: Path, stream: str) -> Path:
    """Where the views of a stream's objects are.

    Args:
        out: Folder of the run.
        stream: Name.
    """
    return out / "cutouts" / stream


@dataclass(slots=True)
class _View:
    quality: float
    seen_s: float
    class_name: str
    picture: NDArray[np.uint8] | None


class Cutouts:
    """Keeps the best view of each object that is in sight, and writes those of objects that have gone.

    Args:
        settings: None.
        context: Of the stream.
    """

    annotated = False
    silence_every_s = 0.0

    def __init__(self, settings: None, context: SinkContext) -> None:
        self._folder = cutout_folder(context.out, context.stream)
        self._classes = context.classes
        self._views: dict[int, _View] = {}
        self._written: OrderedDict[int, tuple[float, Path]] = OrderedDict()

    def begin(self, video: VideoInfo) -> None:
        """Nothing depends on the frames.

        Args:
            video: What is known of them.
        """

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether there are objects, in sight or to be written.

        Args:
            tracks: Of the frame that is due.
        """
        return bool(len(tracks.ids)) or bool(self._views)

    def ready(self) -> bool:
        """Always."""
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Takes the views of one frame.

        Args:
            planes: Its pixels.
            tracks: Its objects.

        Raises:
            OutputError: A file cannot be written.
        """
        for row, number in enumerate(tracks.ids.tolist()):
            box, mask = tracks.boxes_px[row], tracks.masks[row]
            quality = view_quality(box, mask, float(tracks.scores[row]), planes.width, planes.height)
            known = self._written.get(number, (0.0, None))[0]
            view = self._views.setdefault(number, _View(known, tracks.pts_s, "", None))
            view.seen_s = tracks.pts_s
            view.class_name = self._classes[int(tracks.class_ids[row])]
            if quality > BETTER * view.quality:
                corner, inside = paste_mask_region(mask, box, planes.width, planes.height)
                if inside.any():
                    view.quality = quality
                    view.picture = cut_out(_rgb(planes, corner, inside.shape), inside)
        for number in [one for one, view in self._views.items() if tracks.pts_s - view.seen_s > GONE_S]:
            self._write(number)

    def close(self) -> None:
        """Writes the views of all objects that are still in sight.

        Raises:
            OutputError: A file cannot be written.
        """
        for number in list(self._views):
            self._write(number)

    def closed(self) -> bool:
        """Always: nothing is buffered."""
        return True

    def _write(self, number: int) -> None:
        view = self._views.pop(number)
        if view.picture is None:
            return
        name = "".join(letter if letter.isalnum() else "_" for letter in view.class_name)
        path = self._folder / f"{number:06d}-{name}.png"
        _, png = cv2.imencode(".png", cv2.cvtColor(view.picture, cv2.COLOR_RGBA2BGRA))
        make_folder(self._folder)
        write_bytes(path, png.tobytes())
        _, earlier = self._written.pop(number, (0.0, path))
        if earlier != path:
            earlier.unlink(missing_ok=True)  # the object is taken for one of another class now
        self._written[number] = (view.quality, path)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)


def view_quality(
    box_px: NDArray[np.float32], mask: NDArray[np.uint8], score: float, width: int, height: int
) -> float:
    """How good a view of an object is: its pixels times its score, less where it touches the border of the frame.

    Args:
        box_px: (4,) x0 y0 x1 y1.
        mask: (S, S) 0..255, spread over the box.
        score: 0..1.
        width: Of the frame, pixels.
        height: Of the frame, pixels.
    """
    x0, y0, x1, y1 = (float(value) for value in box_px)
    share = np.count_nonzero(mask >= MASK_INSIDE) / mask.size
    whole = min(x0, y0) > EDGE_PX and x1 < width - EDGE_PX and y1 < height - EDGE_PX
    return (x1 - x0) * (y1 - y0) * share * score * (1.0 if whole else AT_EDGE)


def _rgb(planes: Planes, corner: Corner, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """(h, w, 3) the pixels of a region; only these are converted."""
    left, top = corner[0] // 2 * 2, corner[1] // 2 * 2
    right, bottom = corner[0] + shape[1], corner[1] + shape[0]
    half = (slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2))
    part = Planes(planes.y[top:bottom, left:right], planes.u[half], planes.v[half]).to_rgb()
    return part[corner[1] - top :, corner[0] - left :]
