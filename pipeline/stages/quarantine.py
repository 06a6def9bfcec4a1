"""Keeps frames that killed workers, as pictures with their reason: `DIR/log/quarantine/STREAM-SEQ.png` and `.json`."""

from __future__ import annotations

import logging
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.records.summary import write_json
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes
from pipeline.video.heatmap import write_image

log = logging.getLogger(__name__)

MOST = 100
"""Pictures kept of one stream; what would come after is only counted."""


def keep_frame(out: Path, ref: FrameRef, planes: Planes, why: str) -> None:
    """Keeps a frame; where that is not possible, this is logged.

    Args:
        out: Folder of the run.
        ref: The frame.
        planes: Its pixels.
        why: For its JSON, one line.
    """
    folder = out / "log" / "quarantine"
    path = folder / f"{ref.stream}-{ref.seq:09d}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if len(list(folder.glob(f"{ref.stream}-*.png"))) >= MOST:
            return
        write_image(path, planes.to_rgb())
        fields = ("stream", "epoch", "seq", "index", "pts_s", "wall_s")
        write_json(path.with_suffix(".json"), {name: getattr(ref, name) for name in fields} | {"why": why})
    except (OSError, OutputError) as error:
        log.warning("the quarantined frame %d cannot be kept: %s", ref.seq, error)
        return
    log.info("the quarantined frame %d is kept in %s", ref.seq, path)
