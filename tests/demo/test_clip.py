"""The clip that ships, and clips made anew."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.demo.clip import DEMO_SEED, DEMO_TRUTH, DEMO_VIDEO, write_clip
from pipeline.demo.scene.truth import scene_events
from pipeline.demo.scene.world import CLASSES, Scene
from pipeline.errors import OutputError
from pipeline.records.scene_truth import read_truth


def test_the_bundled_clip_is_what_it_promises() -> None:
    assert DEMO_VIDEO.stat().st_size < 2_000_000
    assert DEMO_TRUTH.stat().st_size < 700_000
    with av.open(str(DEMO_VIDEO)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (640, 360, 25)
        assert sum(1 for _ in container.decode(video=0)) == 750
    truth = read_truth(DEMO_TRUTH)
    assert set(truth.unique) == set(CLASSES) and sum(truth.unique.values()) >= 24
    assert truth.ignored == ()
    assert all(
        sum(per[d] for per in line.values()) > 0 for line in truth.lines.values() for d in ("right", "left")
    )
    assert truth.zones["crossing"]["person"] > 0


def test_the_bundled_truth_is_the_truth_of_its_seed() -> None:
    scene = Scene.from_seed(DEMO_SEED)
    truth = read_truth(DEMO_TRUTH)
    crossings, entries = scene_events(scene)
    assert truth.seed == DEMO_SEED
    assert truth.crossings == tuple(crossings) and truth.entries == tuple(entries)
    rendered = scene.frame(333)
    with av.open(str(DEMO_VIDEO)) as container:
        frame = next(f for i, f in enumerate(container.decode(video=0)) if i == 333)
    difference = np.abs(frame.to_ndarray(format="rgb24").astype(int) - rendered.image)
    assert difference.mean() < 6
    for mine, t in zip(truth.frames[333], rendered.instances, strict=True):
        assert mine.track_id == t.track_id and mine.box_px == pytest.approx(t.box_px, abs=2)


def test_a_new_clip_has_its_frames_and_its_truth(tmp_path: Path) -> None:
    scene = Scene.from_seed(3, width=320, height=180, duration_s=1.0)
    truth = write_clip(scene, tmp_path / "a.mp4", tmp_path / "a.json")
    assert read_truth(tmp_path / "a.json") == truth and len(truth.frames) == 25
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([i / 25 for i in range(25)], abs=1e-3)


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    scene = Scene.from_seed(3, width=320, height=180, duration_s=0.2)
    with pytest.raises(OutputError, match=r"gone/a\.mp4: cannot be written"):
        write_clip(scene, tmp_path / "gone" / "a.mp4", tmp_path / "a.json")
