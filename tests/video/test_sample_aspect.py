"""Anamorphic video, whose pixels are not square: its shape on the screen is kept up to the annotated video."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.audit.frames import source_frames, video_frames
from pipeline.audit.strips import Shot, Strip
from pipeline.config.schema import StreamConfig, VideoConfig
from pipeline.video.convert import square_pixels
from pipeline.video.heatmap import read_background, save_background
from pipeline.video.sources.source_registry import open_source
from pipeline.video.video_parts import concat_parts
from pipeline.video.writer import VideoWriter
from pipeline.web.live_page import encode_jpeg
from tests.running import scene, tallycam
from tests.video.media import drawn, write_video

WIDE = Fraction(16, 11)
"""Pixels of PAL video that is displayed as 16:9."""


def stated(path: Path) -> tuple[int, int]:
    return open_source(StreamConfig(source=str(path)), stop=threading.Event()).info.sample_aspect


def shape(path: Path) -> Fraction:
    """Displayed width over displayed height."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return (stream.sample_aspect_ratio or 1) * Fraction(stream.width, stream.height)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
def test_a_source_states_the_shape_of_its_pixels(tmp_path: Path, name: str) -> None:
    assert stated(write_video(tmp_path / name, 3, sample_aspect=WIDE)) == (16, 11)


def test_turned_by_90_degrees_wide_pixels_are_tall_ones(tmp_path: Path) -> None:
    assert stated(write_video(tmp_path / "a.mp4", 3, sample_aspect=WIDE, rotation=90)) == (11, 16)
    assert stated(write_video(tmp_path / "b.mp4", 3, sample_aspect=WIDE, rotation=180)) == (16, 11)


@pytest.mark.parametrize("ratio", [None, Fraction(1), Fraction(1, 200)])
def test_without_a_plausible_ratio_pixels_are_square(tmp_path: Path, ratio: Fraction | None) -> None:
    assert stated(write_video(tmp_path / "a.mp4", 3, sample_aspect=ratio)) == (1, 1)


@pytest.mark.parametrize("size", [None, (320, 240), (480, 180), (100, 100)])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_written_video_has_the_shape_of_its_source(
    tmp_path: Path, size: tuple[int, int] | None, codec: str
) -> None:
    config = VideoConfig(size=size, codec=codec, preset="ultrafast")
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 160, 120, 25, config, (16, 11)) as writer:
        writer.write(drawn(1), 0.0)
    assert float(shape(path)) == pytest.approx(16 / 11 * 4 / 3, rel=0.005)
    concat_parts([path, path], tmp_path / "joined.mp4")
    assert shape(tmp_path / "joined.mp4") == shape(path)


def test_square_pixels_of_another_size_are_written_as_asked(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 160, 120, 25, VideoConfig(size=(320, 180))) as writer:
        writer.write(drawn(1), 0.0)
    assert shape(tmp_path / "out.mp4") == Fraction(16, 9)


def test_a_run_keeps_the_shape(tmp_path: Path) -> None:
    config = scene(tmp_path, 10)
    clip = write_video(tmp_path / "wide.mp4", 10, width=320, height=180, sample_aspect=WIDE)
    code, _, errors = tallycam("run", config, "--source", clip, "--out", tmp_path / "out")
    assert code == 0, errors
    assert shape(tmp_path / "out" / "gate.mp4") == shape(clip) == WIDE * Fraction(16, 9)


@pytest.mark.parametrize(("ratio", "size"), [((1, 1), (4, 6)), ((3, 2), (4, 9)), ((1, 2), (8, 6))])
def test_pictures_of_square_pixels_are_enlarged_in_one_direction(
    ratio: tuple[int, int], size: tuple[int, int]
) -> None:
    assert square_pixels(np.zeros((4, 6, 3), np.uint8), ratio).shape[:2] == size


def test_the_page_and_the_heat_map_show_the_shape_of_the_source(tmp_path: Path) -> None:
    jpeg = encode_jpeg(drawn(1), sample_aspect=(16, 11))
    page = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert page is not None and page.shape[:2] == (120, round(160 * 16 / 11))
    save_background(tmp_path / "view.jpg", drawn(1), (16, 11))
    view = read_background(tmp_path / "view.jpg")
    assert view is not None and view.shape[:2] == (120, round(160 * 16 / 11))


@pytest.mark.parametrize("ratio", [Fraction(2), Fraction(1, 2)])
def test_in_the_pictures_of_an_audit_boxes_lie_on_their_objects(tmp_path: Path, ratio: Fraction) -> None:
    path = write_video(tmp_path / "a.mp4", 3, sample_aspect=ratio)
    ((_, image),) = source_frames(StreamConfig(source=str(path)), [(1, 0.04, 0)])
    ((_, again),) = video_frames(path, [(1, 0.04, 0)])
    assert image.shape == again.shape
    shot = Shot(1, 1, 0, 0.04, (40.0, 30.0, 80.0, 60.0))
    strip = Strip({}, (shot, shot, shot), ((0.0, (60.0, 60.0)),), (160, 120))
    stretched = strip.stretched(image.shape[1] / image.shape[0])
    height, width = image.shape[:2]
    assert stretched.frame == (width, height)
    box = stretched.shots[1].box_px
    assert box is not None
    assert np.allclose(np.array(box) / (width, height, width, height), (0.25, 0.25, 0.5, 0.5))
    assert np.allclose(np.array(stretched.path[0][1]) / (width, height), (0.375, 0.5))
