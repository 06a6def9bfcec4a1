"""A frame that kills workers: it is found, kept and left out, and no other frame with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import pytest
import yaml

from pipeline.stages.running_batch import RunningBatch
from pipeline.transport.messages import FrameRef
from tests.running import ROOT, summary, tallycam, write_clip

FRAMES, POISON = 60, 20

DEADLY_MODEL = """
import os, signal
from pipeline.models.detections import Detections

class Deadly:
    classes = ("person",)
    device = "cpu"
    def __init__(self, config): pass
    def warm_up(self): pass
    def segment(self, frames):
        for planes in frames:
            row = planes.y[90]
            if row[61:65].min() > 150 and row[55] < 140:
                os.kill(os.getpid(), signal.SIGKILL)
        return [Detections.empty() for _ in frames]
"""
"""Dies when the bar of the clip is at the place where it is in frame `POISON`, and only there."""


@pytest.mark.slow
def test_a_frame_that_kills_workers_is_kept_and_its_neighbours_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gate", "yard"):
        write_clip(tmp_path / f"{name}.mp4", FRAMES if name == "gate" else POISON)
    (tmp_path / "deadly.py").write_text(DEADLY_MODEL)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    config = {
        "model": {"name": "deadly:Deadly", "batch": 8},
        "streams": {name: {"source": str(tmp_path / f"{name}.mp4")} for name in ("gate", "yard")},
        "output": {"video": {"codec": "none"}},
    }
    path, out = tmp_path / "deadly.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(config))
    code, _, err = tallycam("run", path, "--out", out)
    assert code == 0, err
    assert summary(out)["frames"] == {
        "decoded": FRAMES, "processed": FRAMES - 1, "dropped": {"quarantined": 1}
    }  # fmt: skip
    assert summary(out, "yard")["frames"] == {"decoded": POISON, "processed": POISON, "dropped": {}}
    kept = sorted(one.name for one in (out / "log" / "quarantine").iterdir())
    assert kept == [f"gate-{POISON:09d}.json", f"gate-{POISON:09d}.png"]
    said = json.loads((out / "log" / "quarantine" / kept[0]).read_text())
    assert said["index"] == POISON and "workers died with it" in said["why"]
    picture = cv2.imread(str(out / "log" / "quarantine" / kept[1]))
    assert picture.shape == (180, 320, 3) and picture[90, 62].min() > 150 > picture[90, 50].max()


def ref(stream: str, seq: int) -> FrameRef:
    return FrameRef(
        stream=stream, epoch=0, seq=seq, index=seq, pts_s=0, wall_s=0, slot=0, ring="", width=1, height=1
    )


def test_the_next_worker_knows_what_the_last_one_was_working_on(tmp_path: Path) -> None:
    first = RunningBatch(tmp_path / "running")
    assert first.killers is None, "nobody was there before"
    first.begin([ref("gate", 1), ref("yard", 7)])
    first.begin([ref("gate", 2)])
    second = RunningBatch(tmp_path / "running")
    assert second.killers == {"gate": (1, 2), "yard": (7,)}
    second.begin([ref("gate", 3)])
    second.finish()
    assert RunningBatch(tmp_path / "running").killers == {}, "it died between two batches"
    for one in (first, second):
        one.close()


def test_without_such_a_file_all_leased_frames_are_suspects(tmp_path: Path) -> None:
    (tmp_path / "running").write_bytes(b"\xff\xff\xff\x7f garbage")
    assert RunningBatch(tmp_path / "running").killers is None
    nowhere = RunningBatch(tmp_path / "none" / "running")
    nowhere.begin([ref("gate", 1)])
    nowhere.finish()
    assert nowhere.killers is None
