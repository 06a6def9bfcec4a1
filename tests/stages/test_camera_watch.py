"""`decode` watches the picture: metric and log line at each change, and the view is kept with the run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.stages.camera_watch import CameraWatch, reference_path
from pipeline.transport.planes import Plane
from pipeline.video.health.view import View
from tests.video.test_camera_health import scene, shifted

LINE = {"door": {"points": [[0.1, 0.5], [0.9, 0.5]]}}


def config(**changes: Any) -> StreamConfig:
    return StreamConfig.model_validate({"source": "rtsp://camera/a", "lines": LINE} | changes)


def watched(
    out: Path, pictures: Iterable[Plane], metrics: StageMetrics | None = None, **changes: Any
) -> list[str]:
    """What the watch says to each picture, two of them a second."""
    watch = CameraWatch(out, "gate", config(**changes), (metrics or StageMetrics("decode")).source("gate"))
    return [watch.update(picture, 1e5 + number / 2) for number, picture in enumerate(pictures)]


def test_a_change_is_in_metrics_and_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = StageMetrics("decode")
    good = list(islice(scene(), 30))
    black = [np.full_like(good[0], 17)] * 10
    with caplog.at_level(logging.WARNING):
        said = watched(tmp_path, [*good, *black], metrics)
    assert said[29] == "" and said[-1] == "black"
    assert [record.getMessage() for record in caplog.records] == ["camera: its picture is black"]
    text = metrics.text()
    assert 'tallycam_camera_condition{condition="black",stream="gate"} 1.0' in text
    assert 'tallycam_camera_condition{condition="frozen",stream="gate"} 0.0' in text


def test_the_view_outlives_the_process_and_ends_with_the_lines_that_were_drawn_in_it(tmp_path: Path) -> None:
    assert set(watched(tmp_path, islice(scene(), 30))) == {""}
    path = reference_path(tmp_path, "gate", config())
    assert path.is_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert watched(tmp_path, map(shifted, islice(scene(), 30)))[-1] == "moved"

    moved_line = {"door": {"points": [[0.2, 0.5], [0.8, 0.5]]}}
    assert watched(tmp_path, map(shifted, islice(scene(), 30)), lines=moved_line)[-1] == ""
    assert [one.name for one in path.parent.iterdir()] == [
        reference_path(tmp_path, "gate", config(lines=moved_line)).name
    ]


def test_a_view_that_cannot_be_kept_or_read_is_learnt_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = reference_path(tmp_path, "gate", config())
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no picture")
    assert set(watched(tmp_path, islice(scene(), 30))) == {""}
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert set(watched(tmp_path / "file", islice(scene(), 30))) == {""}
    assert "the view of the camera cannot be kept" in caplog.text


def test_a_fault_of_the_watch_itself_costs_the_watch_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "of", classmethod(lambda *_: 1 / 0))
    assert watched(tmp_path, islice(scene(), 10)) == [""] * 10
    assert [record.getMessage() for record in caplog.records] == [
        "camera: its picture is not watched any more"
    ]
