"""Real runs of the segmentation worker: streams of different speed, and frames in which nothing moves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from pipeline.records.log import read_log
from tests.running import FPS, HEIGHT, ROOT, WIDTH, scene, summary, tallycam, write_clip, write_log


@pytest.mark.slow
def test_a_slow_camera_does_not_hold_a_fast_file(tmp_path: Path) -> None:
    """With batches that waited for both, the file would get three frames for each one of the camera."""
    write_clip(tmp_path / "file.mp4", 400)
    write_clip(tmp_path / "camera.mp4", 100)
    write_log(tmp_path / "made.log", 400)
    config = {
        "model": {"name": f"replay:{tmp_path / 'made.log'}", "batch": 4, "max_wait_ms": 2.0},
        "streams": {
            "camera": {"source": str(tmp_path / "camera.mp4"), "realtime": True, "fps": 2},
            "file": {"source": str(tmp_path / "file.mp4")},
        },
        "output": {"video": {"codec": "none"}},
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(config))
    code, _, err = tallycam("run", path, "--out", tmp_path / "out")
    assert code == 0, err
    camera, file = (summary(tmp_path / "out", name) for name in ("camera", "file"))
    assert file["frames"]["processed"] == 400
    assert camera["frames"]["decoded"] == 8
    assert camera["frames"]["processed"] >= 6, "its own share: 2 frames a second for 4 seconds"
    logs = {name: list(read_log(tmp_path / "out" / "log" / f"{name}.log")[1]) for name in ("camera", "file")}
    last_s = logs["camera"][-1].wall_s
    meanwhile = sum(frame.wall_s < last_s for frame in logs["file"])
    assert meanwhile > 80, (
        "waiting for the camera the file would have got on by its ring and 3 a camera frame"
    )


def write_still_clip(path: Path, moving: int, still: int) -> None:
    """A bar that moves, and then does not."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(moving + still):
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            image[:, min(index, moving) * 3 :][:, :6] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.slow
def test_static_frames_are_counted_without_inference_and_count_again_from_the_log(tmp_path: Path) -> None:
    config = scene(tmp_path, 10)
    write_still_clip(tmp_path / "clip.mp4", 40, 80)
    (tmp_path / "made.log").unlink()
    write_log(tmp_path / "made.log", 41)  # then it begins again: only what is held stands still
    still = ("--set", "streams.gate.skip_static={refresh_s: 100}", "--set", "output.video.codec=none")
    code, out, err = tallycam("run", config, "--out", tmp_path / "out", *still)
    assert code == 0, err
    whole = summary(tmp_path / "out")
    frames = whole["frames"]
    assert (frames["decoded"], frames["processed"], frames["dropped"]) == (120, 120, {})
    assert 60 <= frames["static"] <= 79
    assert f"gate: {frames['static']} of 120 frames needed no inference: nothing moved" in out
    log = tmp_path / "out" / "log" / "gate.log"
    assert tallycam("recount", log, config, "--json", tmp_path / "again.json")[0] == 0
    again = json.loads((tmp_path / "again.json").read_text())["streams"]["gate"]
    assert [again[key] for key in ("unique", "lines", "zones")] == [
        whole[key] for key in ("unique", "lines", "zones")
    ]
    assert again["zones"]["square"]["person"]["now"] == 1, "who stands still is in the zone to the end"


SLOW_MODEL = """
import time
from pipeline.models.detections import Detections

class Slow:
    classes = ("person",)
    device = "cpu"
    def __init__(self, config): self.seen = open(config.options["seen"], "a")
    def warm_up(self): pass
    def segment(self, frames):
        time.sleep(0.4)
        print(len(frames), file=self.seen, flush=True)
        return [Detections.empty() for _ in frames]
"""


@pytest.mark.slow
def test_a_model_slower_than_its_leases_loses_no_frame_and_none_counts_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch takes longer than a lease lasts, as on a starved machine: every one is given out again meanwhile."""
    write_clip(tmp_path / "clip.mp4", 24)
    (tmp_path / "slow.py").write_text(SLOW_MODEL)
    (tmp_path / "sitecustomize.py").write_text(
        "import pipeline.stages.frame_server as frame_server\nframe_server.LEASE_TIMEOUT_S = 0.25\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    config = {
        "model": {"name": "slow:Slow", "workers": 2, "options": {"seen": str(tmp_path / "seen")}},
        "streams": {"gate": {"source": str(tmp_path / "clip.mp4")}},
        "output": {"video": {"codec": "none"}},
    }
    path = tmp_path / "slow.yaml"
    path.write_text(yaml.safe_dump(config))
    code, _, err = tallycam("run", path, "--out", tmp_path / "out")
    assert code == 0, err
    frames = summary(tmp_path / "out")["frames"]
    assert (frames["decoded"], frames["processed"], frames["dropped"]) == (24, 24, {})
    logged = [frame.index for frame in read_log(tmp_path / "out" / "log" / "gate.log")[1]]
    assert logged == list(range(24))
    seen = sum(map(int, (tmp_path / "seen").read_text().split()))
    assert seen > 24, "leases did run out: else this test says nothing"


BROKEN_ROW_MODEL = """
import numpy as np
from pipeline.models.detections import Detections

class BrokenRow:
    classes = ("person",)
    device = "cpu"
    def __init__(self, config): pass
    def warm_up(self): pass
    def segment(self, frames):
        boxes = np.array([[20, 20, 60, 120], [np.nan, 20, 160, 120]], np.float32)
        masks = np.full((2, 28, 28), 255, np.uint8)
        one = Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int16), masks)
        return [one for _ in frames]
"""


@pytest.mark.slow
def test_a_row_that_is_not_finite_costs_no_frame_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "clip.mp4", 24)
    (tmp_path / "broken_row.py").write_text(BROKEN_ROW_MODEL)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    config = {
        "model": {"name": "broken_row:BrokenRow"},
        "streams": {"gate": {"source": str(tmp_path / "clip.mp4")}},
        "output": {"video": {"codec": "none"}},
    }
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(config))
    code, _, err = tallycam("run", path, "--out", tmp_path / "out")
    assert code == 0, err
    counted = summary(tmp_path / "out")
    assert (counted["frames"]["processed"], counted["frames"]["dropped"]) == (24, {})
    assert counted["unique"] == {"person": 1}
    lines = (tmp_path / "out" / "log" / "run.log").read_text()
    assert "24 rows of the model's output left out for NaN or infinity" in lines


@pytest.mark.slow
def test_a_filter_tried_on_the_past(tmp_path: Path) -> None:
    config = scene(tmp_path, 100)
    again = tmp_path / "again.json"
    left = "streams.gate.filter.include=[[[0, 0], [0.4, 0], [0.4, 1], [0, 1]]]"
    assert tallycam("recount", tmp_path / "made.log", config, "--json", again, "--set", left)[0] == 0
    lines = json.loads(again.read_text())["streams"]["gate"]["lines"]
    assert lines["middle"] == {} or not any(sum(one.values()) for one in lines["middle"].values())
    assert any(sum(one.values()) for one in lines["early"].values())
    wrong = "streams.gate.filter.scores={persn: 0.3}"
    code, _, err = tallycam("recount", tmp_path / "made.log", config, "--set", wrong)
    assert code == 2
    assert (
        err == "tallycam: streams.gate.filter.scores: the model has no class 'persn'; did you mean person?\n"
    )
