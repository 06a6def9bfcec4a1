"""`tallycam models`: the list of models, their weights, and how fast they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.cli.arguments import parse_numbers, parse_size
from pipeline.config.schema import ModelConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.models import catalog
from pipeline.models.bench import bench
from pipeline.models.detections import Detections
from pipeline.transport.planes import Planes


def test_the_list_tells_what_is_here_and_how_to_get_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    rows = {row.name: row for row in catalog.list_models()}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sizes = {f"rfdetr-seg-{size}" for size in ("nano", "small", "medium", "large")}
    assert (
        set(rows) == {"street", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "auto", "motion"} | sizes
    )
    assert rows["street"].classes == ("person", "bicycle", "car", "bus") and 1 < rows["street"].megabytes < 8
    away = rows["maskrcnn_resnet50_fpn_v2"]
    assert away.where == "not here: tallycam models pull maskrcnn_resnet50_fpn_v2"
    assert len(away.classes) == 80 and away.licence == "BSD-3-Clause" and away.megabytes > 100


def test_weights_that_are_no_model_or_ship_are_not_fetched() -> None:
    assert "nothing to fetch" in catalog.pull_weights("street")
    with pytest.raises(
        ModelError,
        match="got yolo, expected maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2, rfdetr-seg-nano",
    ):
        catalog.pull_weights("yolo")
    with pytest.raises(ModelError, match="motion is motion, expected a Mask R-CNN"):
        catalog.maskrcnn_weights(ModelConfig(name="motion"))


class Timed:
    """Takes 10 ms for each batch and 5 for each frame, by its own clock; has no memory for 8."""

    classes = ("person",)
    device = "cpu"

    def __init__(self) -> None:
        self.now_s = 0.0

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        if len(frames) == 8:
            raise torch.OutOfMemoryError
        self.now_s += 0.010 + 0.005 * len(frames)
        return [Detections.empty()] * len(frames)


def test_the_bench_times_runs_and_goes_on_after_a_batch_that_does_not_fit() -> None:
    model = Timed()
    frame = Planes.from_rgb(np.zeros((32, 32, 3), np.uint8))
    one, eight, four = bench(model, [frame], [1, 8, 4], 0.1, clock=lambda: model.now_s)
    assert (one.batch, one.p50_ms, one.frames_per_s) == (1, pytest.approx(15), pytest.approx(1 / 0.015))
    assert eight.trouble == "not enough memory"
    assert (four.p50_ms, four.frames_per_s) == (pytest.approx(30), pytest.approx(4 / 0.03))
    assert one.runs == 7 and four.runs == 4


def test_sizes_and_numbers_that_are_none() -> None:
    assert parse_size("1920x1080", "--size") == (1920, 1080)
    assert parse_numbers("1, 4,8", "--batches") == [1, 4, 8]
    for text in ("1920", "x", "0x5", "axb", "1920x1080x3"):
        with pytest.raises(ConfigError, match="--size: got"):
            parse_size(text, "--size")
    for text in ("", "1,", "0", "a", "1;2"):
        with pytest.raises(ConfigError, match="--batches: got"):
            parse_numbers(text, "--batches")
