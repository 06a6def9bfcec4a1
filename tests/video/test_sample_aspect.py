"""Anamorphic video, whose pixels are not square: its shape on the screen is kept up to the annotated video."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.config.schema import StreamConfig, VideoConfig
from pipeline.video.sources.registry import open_source
from pipeline.video.video_parts import concat_parts
from pipeline.video.writer import VideoWriter
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
