"""The sink with `--show`: what is looked at, with a video and without one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import Config
from pipeline.stages.sink import Output
from pipeline.transport.messages import Instances, Tracks
from pipeline.transport.messages import Ring as RingMessage
from pipeline.transport.planes import Planes
from pipeline.transport.ring import Ring

WIDTH, HEIGHT = 320, 180


class InferredFrame:
    """A view that remembers the luma and one chroma plane of what it was shown."""

    address = "here"

    def __init__(self, watched: bool = True) -> None:
        self.watched = watched
        self.lumas: list[np.ndarray] = []
        self.chromas: list[np.ndarray] = []

    def show(self, planes: Planes) -> None:
        self.lumas.append(planes.y.copy())
        self.chromas.append(planes.u.copy())

    def close(self) -> None:
        pass


def tracks(seq: int) -> Tracks:
    """Frame `seq` with one person in the middle."""
    return Tracks(
        stream="gate", epoch=0, seq=seq, index=seq, pts_s=seq / 25, wall_s=0.0, ids=np.array([1]),
        boxes_px=np.array([[140, 60, 180, 150]], np.float32), scores=np.array([0.9], np.float32),
        class_ids=np.array([0], np.int16), masks=np.full((1, *Instances.ARRAYS["masks"][1][1:]), 255, np.uint8),
        feet_px=np.array([[160, 150]], np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("codec", ["none", "h264"])
def test_the_view_gets_the_annotated_frame(tmp_path: Path, codec: str) -> None:
    video: dict[str, Any] = {"codec": codec, "preset": "ultrafast"}
    config = Config.model_validate({"streams": {"gate": {"source": "x"}}, "output": {"video": video}})
    (tmp_path / "log").mkdir()
    place: Any = SimpleNamespace(out=tmp_path, incarnation=0, config=config, classes=("person",))
    ring = Ring.create(3, WIDTH, HEIGHT)
    where = RingMessage(
        stream="gate", path=ring.path, first_seq=0, next_seq=0, width=WIDTH, height=HEIGHT, fps=25.0
    )
    view = InferredFrame()
    output = Output(place, "gate", where, view)
    for seq in range(2):
        planes = ring.open_slot(seq)
        planes.y[:], planes.u[:], planes.v[:] = 100, 128, 128
        ring.publish(seq, 0, seq)
        assert output.wants(tracks(seq))
        output.write(ring, seq, tracks(seq))
    output.close()
    assert len(view.lumas) == 2
    assert (view.chromas[0][35:70, 75:85] != 128).any(), "the mask is drawn"
    assert (view.lumas[0][90:170, 230:300] == 100).all(), "and the rest is as it was"
    assert (tmp_path / "gate.mp4").exists() == (codec == "h264")
    if codec == "none":
        view.watched = False
        assert not output.wants(tracks(2)), "nobody looks, and there is no video: nothing is drawn"
    ring.close()
