"""The best view of each object, cut out of the video."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.sinks.cutouts import GONE_S, Cutouts, view_quality
from pipeline.sinks.sink import SinkContext
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from tests.running import counts, scene, tallycam

WIDTH, HEIGHT = 161, 91
Box = tuple[float, float, float, float]


def sink(out: Path) -> Cutouts:
    return Cutouts(None, SinkContext("cutouts", "gate", 0, 0, out, "run", ("person", "traffic light")))


def frame(pts_s: float, *seen: tuple[int, Box, float], class_id: int = 0) -> FrameTracks:
    """A frame with objects: number, box and score of each."""
    mask = np.zeros((28, 28), np.uint8)
    mask[:, 7:21] = 255
    count = len(seen)
    return FrameTracks(
        stream="gate",
        epoch=0,
        seq=round(25 * pts_s),
        index=0,
        pts_s=pts_s,
        wall_s=0.0,
        ids=np.array([one[0] for one in seen], np.int64),
        boxes_px=np.array([one[1] for one in seen], np.float32).reshape(count, 4),
        scores=np.array([one[2] for one in seen], np.float32),
        class_ids=np.full(count, class_id, np.int16),
        masks=np.stack([mask] * count) if count else np.zeros((0, 28, 28), np.uint8),
        feet_px=np.zeros((count, 2), np.float32),
    )


def picture(red: int) -> Planes:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = red
    return Planes.from_rgb(image)


def red_of(path: Path) -> int:
    """Mean of the red channel within the object."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image.shape[2] == 4
    inside = image[..., 3] == 255
    return int(image[..., 2][inside].mean())


SMALL, LARGE = (40.0, 20.0, 60.0, 50.0), (41.0, 11.0, 81.0, 71.0)


def test_the_largest_whole_view_is_kept(tmp_path: Path) -> None:
    views = sink(tmp_path)
    views.write_frame(picture(60), frame(0.0, (7, SMALL, 0.9)))
    views.write_frame(picture(120), frame(0.1, (7, LARGE, 0.9)))
    views.write_frame(picture(180), frame(0.2, (7, (100.0, 10.0, 161.0, 91.0), 0.9)))  # cut by the border
    views.write_frame(picture(240), frame(0.3, (7, SMALL, 0.9)))
    assert not (tmp_path / "cutouts").exists(), "nothing is written while the object is in sight"
    views.close()
    (path,) = (tmp_path / "cutouts" / "gate").iterdir()
    assert path.name == "000007-person.png"
    assert red_of(path) == pytest.approx(120, abs=6)
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image.shape == (60, 40, 4)
    assert not image[:, :8, 3].any() and image[:, 12:28, 3].all(), "transparent around the mask"


def test_a_view_is_written_when_its_object_has_gone_and_replaced_by_a_better_one(tmp_path: Path) -> None:
    views = sink(tmp_path)
    path = tmp_path / "cutouts" / "gate" / "000001-person.png"
    views.write_frame(picture(60), frame(0.0, (1, SMALL, 0.9)))
    views.write_frame(picture(60), frame(GONE_S + 0.1))
    assert red_of(path) == pytest.approx(60, abs=6)
    assert not views.wants(frame(5.0)), "no object is left"
    views.write_frame(picture(200), frame(5.0, (1, SMALL, 0.9)))
    views.write_frame(picture(200), frame(8.0))
    assert red_of(path) == pytest.approx(60, abs=6), "it is no better"
    views.write_frame(picture(200), frame(9.0, (1, LARGE, 0.9)))
    views.close()
    assert red_of(path) == pytest.approx(200, abs=6)


def test_an_object_that_is_taken_for_another_class_later_has_one_file(tmp_path: Path) -> None:
    views = sink(tmp_path)
    views.write_frame(picture(60), frame(0.0, (1, SMALL, 0.9)))
    views.write_frame(picture(60), frame(3.0))
    views.write_frame(picture(60), frame(4.0, (1, LARGE, 0.9), class_id=1))
    views.close()
    assert [path.name for path in (tmp_path / "cutouts" / "gate").iterdir()] == ["000001-traffic_light.png"]


def test_a_sure_view_is_better_than_a_doubtful_one_and_a_whole_one_than_a_part() -> None:
    mask = np.full((28, 28), 255, np.uint8)

    def quality(box: Box, score: float) -> float:
        return view_quality(np.array(box, np.float32), mask, score, WIDTH, HEIGHT)

    assert quality(SMALL, 0.9) > quality(SMALL, 0.6)
    assert quality(LARGE, 0.6) > quality((0.0, 11.0, 40.0, 71.0), 0.9)
    assert quality(SMALL, 0.5) == pytest.approx(20 * 30 * 0.5)


def test_a_run_writes_a_view_of_each_object_and_the_next_one_in_the_folder_replaces_them(
    tmp_path: Path,
) -> None:
    config, out = scene(tmp_path, 60), tmp_path / "out"
    code, _, err = tallycam("run", config, "--out", out, "--cutouts", "--set", "output.video.codec=none")
    assert code == 0, err
    paths = list((out / "cutouts" / "gate").glob("*.png"))
    assert len(paths) == sum(counts(out)["unique"].values()) > 2
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape[2] == 4 and image[..., 3].any()
    code, _, err = tallycam("run", config, "--out", out, "--overwrite", "--set", "output.video.codec=none")
    assert code == 0, err
    assert not (out / "cutouts" / "gate").exists()
