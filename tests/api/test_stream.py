"""`pipeline.open`: the same counts as a run of processes, frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sqlalchemy import create_engine, text

import pipeline
from pipeline.demo.clip import DEMO_VIDEO
from pipeline.records.event import CountEvent
from tests.running import HEIGHT, WIDTH, scene, summary, tallycam

COLUMNS = """
    key, kind, name, class_name, direction, track, epoch, seq, frame, pts_s, score, x0, y0, x1, y1, dwell_s, speed_kmh
"""
FRAMES = 150


def rows_of(out: Path) -> list[tuple[object, ...]]:
    """What a run wrote into its database."""
    engine = create_engine(f"sqlite:///{out / 'events.db'}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(f"select {COLUMNS} from events order by key"))]
    engine.dispose()
    return found


def row_of(event: CountEvent) -> tuple[object, ...]:
    box = event.box_px
    return (
        event.key, event.kind, event.name, event.class_name, event.direction, event.track, event.epoch, event.seq,
        event.index, event.pts_s, event.score, *box, event.dwell_s, event.speed_kmh,
    )  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Walkers whose boxes are replayed, two lines, a zone, and the ground in metres."""
    ground = {
        "points": [[0.4, 0.5], [0.6, 0.5], [1.0, 1.0], [0.0, 1.0]],
        "metres": [[0, 40], [8, 40], [8, 0], [0, 0]],
    }
    return scene(tmp_path_factory.mktemp("scene"), FRAMES, ground=ground)


@pytest.mark.slow
def test_events_and_totals_are_those_of_a_run(config: Path, tmp_path: Path) -> None:
    code, _, err = tallycam("run", config, "--out", tmp_path / "out")
    assert code == 0, err
    frames = list(pipeline.open(config=config))
    events = [event for frame in frames for event in frame.events]
    assert len(frames) == FRAMES
    assert len(events) > 10
    assert sorted(map(row_of, events)) == rows_of(tmp_path / "out")
    run, totals = summary(tmp_path / "out"), frames[-1].totals
    for key in ("unique", "uncertain", "lines", "net", "zones", "speeds", "od"):
        assert totals[key] == run[key]


@pytest.mark.slow
def test_the_model_that_ships_finds_the_same_as_in_a_run(root: Path, tmp_path: Path) -> None:
    config = root / "configs" / "demo.yaml"
    data = yaml.safe_load(config.read_text(encoding="utf-8"))
    data["streams"]["street"] |= {"fps": 5, "stop_s": 4.0, "filter": {"min_height": 0.1}, "skip_static": True}
    data["output"] = {"video": {"codec": "none"}}
    path = tmp_path / "street.yaml"
    path.write_text(yaml.safe_dump(data))
    code, _, err = tallycam("run", path, "--source", DEMO_VIDEO, "--out", tmp_path / "out")
    assert code == 0, err
    with pipeline.open(DEMO_VIDEO, path) as stream:
        frames = list(stream)
    assert sorted(row_of(event) for frame in frames for event in frame.events) == rows_of(tmp_path / "out")
    assert frames[-1].totals["unique"] == summary(tmp_path / "out", "street")["unique"]


def test_a_frame_has_image_detections_tracks_events_and_totals(config: Path) -> None:
    stream = pipeline.open(config=config)
    assert (stream.name, stream.classes) == ("gate", ("person", "car"))
    assert (stream.info.width, stream.info.height, stream.info.fps) == (WIDTH, HEIGHT, 25.0)
    crossings = 0
    for frame in stream:
        assert frame.pts_s == pytest.approx(frame.index / 25)
        assert len(frame.tracks) <= len(frame.detections.scores)
        assert set(frame.tracks.class_names) <= {"person"}
        crossings += sum(event.kind == "line" for event in frame.events)
        counted = sum(
            n for line in frame.totals["lines"].values() for by in line.values() for n in by.values()
        )
        assert counted == crossings
    assert crossings > 5
    assert frame.image.shape == frame.annotated.shape == (HEIGHT, WIDTH, 3)
    assert frame.image.dtype == np.uint8
    assert not np.array_equal(frame.image, frame.annotated)
    assert frame.image is frame.image, "converted once"


def test_a_camera_that_moves_is_followed(tmp_path: Path) -> None:
    frames = list(pipeline.open(config=scene(tmp_path, 40, camera="moving")))
    assert len(frames) == 40
    assert frames[-1].totals["unique"]["person"] > 3


def test_frames_that_are_kept_keep_their_pixels(config: Path) -> None:
    with pipeline.open(config=config) as stream:
        first, second = next(stream), next(stream)
    assert not np.array_equal(first.image, second.image)


def test_leaving_early_closes_the_source(config: Path) -> None:
    with pipeline.open(config=config) as stream:
        for frame in stream:
            if frame.index == 5:
                break
    assert list(stream) == []
    assert stream.totals == frame.totals


@pytest.mark.parametrize("given", ["mapping", "config", "file"])
def test_a_configuration_comes_as_mapping_object_or_file(config: Path, given: str) -> None:
    data = yaml.safe_load(config.read_text())
    clip = data["streams"]["gate"].pop("source")
    forms: dict[str, Any] = {
        "mapping": data,
        "file": config,
        "config": pipeline.api.configuration.load_mapping(data, "elsewhere.mp4")
        if given == "config"
        else None,
    }
    with pipeline.open(clip, forms[given]) as stream:
        assert next(stream).width == WIDTH
    assert "source" not in data["streams"]["gate"], "the caller's mapping is left as it is"


def test_the_end_of_a_file_decides_what_is_still_open(config: Path) -> None:
    """An object that leaves over the border in the last frames is counted with the last frame."""
    totals = pipeline.open(config=config)
    frames = list(totals)
    assert frames[-1].totals == totals.totals
    assert totals.closing_events == ()


def test_mistakes_are_one_line_each(config: Path, tmp_path: Path) -> None:
    with pytest.raises(pipeline.TallycamError, match=r"streams\.gate\.lines\.middle: unknown key `pionts`"):
        pipeline.open("a.mp4", {"streams": {"gate": {"lines": {"middle": {"pionts": []}}}}})
    with pytest.raises(pipeline.TallycamError, match="no such file"):
        pipeline.open(tmp_path / "none.mp4")
    two = {"streams": {"a": {"source": "a.mp4"}, "b": {"source": "b.mp4"}}}
    with pytest.raises(pipeline.TallycamError, match=r"there are 2 \(a, b\); name one with stream="):
        pipeline.open(config=two)
    with pytest.raises(pipeline.TallycamError, match="got 'c', the configuration has a, b"):
        pipeline.open(config=two, stream="c")
