"""A few frames spread over a recording."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import SourceError
from pipeline.video import spread_frames as spread_frames_module
from pipeline.video.spread_frames import spread_frames


@pytest.mark.parametrize(
    ("frames", "most", "taken"),
    [
        (3, 8, [0, 1, 2]),
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (9, 8, [0, 2, 4, 6, 8]),
        (20, 4, [0, 8, 16]),
        (5, 1, [0]),
    ],
)
def test_frames_are_at_equal_distances_and_never_too_many(
    tmp_path: Path, frames: int, most: int, taken: list[int]
) -> None:
    for number in range(frames):
        Image.fromarray(np.full((16, 16, 3), 10 * number, np.uint8)).save(tmp_path / f"{number:02d}.png")
    found = [round(float(one.to_rgb().mean()) / 10) for one in spread_frames(str(tmp_path), most)]
    assert found == taken


def test_what_has_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    camera = SimpleNamespace(info=SimpleNamespace(live=True), close=lambda: closed.append(True))
    monkeypatch.setattr(spread_frames_module, "open_source", lambda config, stop: camera)
    with pytest.raises(SourceError, match="rtsp://gate: is live; give a recording"):
        spread_frames("rtsp://gate", 4)
    assert closed
