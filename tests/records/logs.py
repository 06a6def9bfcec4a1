"""Records for logs: the same for the same number."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.geometry.masks import MASK_SIZE
from pipeline.records.log import LogHeader, LogWriter
from pipeline.transport.messages import Instances

HEADER = LogHeader(stream="gate", classes=("person", "car"), width=640, height=360, run="r1")
VERSION_1 = Path(__file__).parent / "data" / "version1.log"
"""24 frames of somebody who walks, as the first release of the format wrote them."""


def found(seq: int, count: int = 2, stream: str = "gate") -> Instances:
    """What a model found in frame `seq`."""
    rng = np.random.default_rng(seq)
    return Instances(
        stream=stream,
        epoch=0,
        seq=seq,
        index=seq * 2,
        pts_s=seq / 25,
        wall_s=1.7e9 + seq / 25,
        width=640,
        height=360,
        boxes_px=np.sort(rng.uniform(0, 300, (count, 2, 2)), axis=1).reshape(count, 4).astype(np.float32),
        scores=rng.uniform(0, 1, count).astype(np.float32),
        class_ids=rng.integers(0, 2, count).astype(np.int16),
        masks=rng.integers(0, 256, (count, MASK_SIZE, MASK_SIZE)).astype(np.uint8),
    )


def write(path: Path, count: int, start: int = 0) -> None:
    """Appends the records `start` to `count` to a log of one file."""
    with LogWriter(path, HEADER) as log:
        for seq in range(start, start + count):
            log.append(found(seq, count=seq % 3))
