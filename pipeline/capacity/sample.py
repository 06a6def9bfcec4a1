"""A clip of the bundled street in any size, and instances to be replayed over it: streams without a model."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from pipeline.demo.clip import DEMO_VIDEO
from pipeline.geometry.masks import MASK_SIZE
from pipeline.records.log import LogHeader, LogWriter
from pipeline.transport.messages import Instances

FRAMES, FPS = 100, 25
"""Of the clip, which is played again and again."""
CLASSES = ("person",)


def make_clip(path: Path, size: tuple[int, int]) -> None:
    """Writes the clip: H.264 with a key frame every two seconds, as cameras send it.

    Args:
        path: Of the file.
        size: Width and height, pixels; even.
    """
    with av.open(str(DEMO_VIDEO)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": str(2 * FPS)})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.max_b_frames = 0
        for index, image in enumerate(islice(source.decode(video=0), FRAMES)):
            frame = image.reformat(*size, format="yuv420p")
            frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, FPS), PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_log(path: Path, size: tuple[int, int], objects: int) -> None:
    """Writes instances of people who walk to and fro over the whole width.

    Args:
        path: Of the log.
        size: Width and height of the frames, pixels.
        objects: People in each frame.
    """
    width, height = size
    rows, columns = np.mgrid[:MASK_SIZE, :MASK_SIZE] / (MASK_SIZE - 1) * 2 - 1
    mask = np.where(rows**2 + columns**2 < 1, 255, 0).astype(np.uint8)
    random = np.random.default_rng(1)
    at = random.uniform(0, 1, objects)
    top_px, tall_px = height * random.uniform(0.1, 0.7, objects), height * 0.2
    header = LogHeader(stream="bench", classes=CLASSES, width=width, height=height, run="bench")
    with LogWriter(path, header) as log:
        for index in range(FRAMES):
            phase = (at + index / FRAMES) % 1
            x_px = (0.05 + 0.9 * np.abs(2 * phase - 1)) * width
            boxes = np.stack([x_px - tall_px / 5, top_px, x_px + tall_px / 5, top_px + tall_px], axis=1)
            log.append(
                Instances(
                    stream="bench",
                    epoch=0,
                    seq=index,
                    index=index,
                    pts_s=index / FPS,
                    wall_s=0.0,
                    width=width,
                    height=height,
                    boxes_px=boxes.astype(np.float32),
                    scores=np.full(objects, 0.9, np.float32),
                    class_ids=np.zeros(objects, np.int16),
                    masks=np.repeat(mask[None], objects, axis=0),
                )
            )
