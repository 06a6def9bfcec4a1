"""Pixel formats, ranges, sizes and rotations all become upright yuv420p of limited range."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.transport.planes import Planes
from pipeline.video.convert import Converter, planes_of
from pipeline.video.sources.source import SourceFrame
from pipeline.video.sources.source_registry import open_source
from tests.video.media import blank, number_of, picture, pixels, write_video


def frames_of(path: Path) -> list[SourceFrame]:
    return list(open_source(StreamConfig(source=str(path)), stop=threading.Event()).frames())


def expected(number: int, width: int = 160, height: int = 120) -> Planes:
    return Planes.from_rgb(picture(number, width, height))


def assert_alike(planes: Planes, wanted: Planes, tolerance: float = 3.0) -> None:
    """Mean difference of each plane, in steps of 1/256."""
    for ours, theirs in ((planes.y, wanted.y), (planes.u, wanted.u), (planes.v, wanted.v)):
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).mean() < tolerance


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("libx264", "yuv420p", "a.mp4"),
        ("libx264", "yuv422p", "a.mp4"),
        ("libx264", "yuv444p", "a.mp4"),
        ("libx264", "yuv420p10le", "a.mp4"),
        ("libx264", "yuv422p10le", "a.mp4"),
        ("libx264", "nv12", "a.mp4"),
        ("mjpeg", "yuvj420p", "a.avi"),
        ("ffv1", "yuv420p", "a.mkv"),
        ("ffv1", "bgr0", "a.mkv"),
        ("libx264rgb", "rgb24", "a.mp4"),
        ("rawvideo", "bgr24", "a.avi"),
        ("gif", "rgb8", "a.gif"),
        ("png", "rgba", "a.mov"),
    ],
)
def test_pixel_formats(tmp_path: Path, codec: str, pix_fmt: str, name: str) -> None:
    path = write_video(tmp_path / name, 5, codec=codec, pix_fmt=pix_fmt)
    frames = frames_of(path)
    assert [number_of(pixels(frame)) for frame in frames] == list(range(5))
    assert_alike(pixels(frames[3]), expected(3), 20.0 if codec == "gif" else 4.0)


def test_grey_has_no_colour_and_the_same_brightness(tmp_path: Path) -> None:
    path = write_video(tmp_path / "grey.mkv", 4, codec="ffv1", pix_fmt="gray")
    planes = pixels(frames_of(path)[2])
    assert np.abs(planes.y.astype(int) - expected(2).y).mean() < 2
    assert abs(int(planes.u.max()) - 128) <= 1 and abs(int(planes.v.min()) - 128) <= 1


def test_full_range_becomes_limited(tmp_path: Path) -> None:
    path = write_video(tmp_path / "full.mp4", 4, pix_fmt="yuvj420p", full_range=True)
    assert_alike(pixels(frames_of(path)[2]), expected(2))


def test_the_table_for_full_range_agrees_with_swscale() -> None:
    image = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    full = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p", dst_color_range=2)
    ours = blank(64, 64)
    Converter(64, 64).copy(full, ours)
    theirs = planes_of(full.reformat(format="yuv420p", src_color_range=2, dst_color_range=1))
    assert np.abs(ours.y.astype(int) - theirs.y).max() <= 1
    assert np.abs(ours.u.astype(int) - theirs.u).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(161, 121), (33, 17), (160, 119)])
def test_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    path = write_video(tmp_path / "odd.mkv", 3, width=width, height=height, codec="ffv1")
    frames = frames_of(path)
    assert (frames[0].width, frames[0].height) == (width, height)
    source = av.VideoFrame.from_ndarray(picture(2, width, height), format="rgb24").reformat(format="yuv420p")
    assert_alike(pixels(frames[2]), planes_of(source), 0.1)


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("vflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotations_and_reflections_are_applied_as_players_do(
    tmp_path: Path, rotation: int, hflip: bool, vflip: bool
) -> None:
    path = write_video(tmp_path / "turned.mp4", 3, rotation=rotation, hflip=hflip, vflip=vflip)
    frame = frames_of(path)[1]
    upright = np.rot90(picture(1), rotation // 90)  # the matrix turns counterclockwise, as np.rot90 does
    upright = upright[:: -1 if vflip else 1, :: -1 if hflip else 1]
    assert (frame.width, frame.height) == (upright.shape[1], upright.shape[0])
    assert_alike(pixels(frame), Planes.from_rgb(np.ascontiguousarray(upright)))


def test_an_angle_that_is_no_multiple_of_90_degrees_is_ignored(tmp_path: Path) -> None:
    frame = frames_of(write_video(tmp_path / "tilted.mp4", 3, rotation=30))[1]
    assert_alike(pixels(frame), expected(1))


def test_a_change_of_size_is_scaled_to_the_first_and_counted(tmp_path: Path) -> None:
    big = write_video(tmp_path / "big.ts", 20)
    small = write_video(tmp_path / "small.ts", 20, width=80, height=60, first=20)
    both = tmp_path / "both.ts"
    both.write_bytes(big.read_bytes() + small.read_bytes())
    source = open_source(StreamConfig(source=str(both)), stop=threading.Event())
    rows = [(f.width, f.height, number_of(pixels(f)), f.epoch) for f in source.frames()]
    assert {row[:2] for row in rows} == {(160, 120)}
    assert [row[2] for row in rows] == list(range(40))
    assert source.stats.resized == 20


def test_padded_rows_of_source_and_target_are_left_out() -> None:
    image = picture(5, 150, 90)  # 150 is not a multiple of the decoder's alignment
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    wide = np.full((90, 200), 7, np.uint8)
    target = Planes(wide[:, :150], np.zeros((45, 75), np.uint8), np.zeros((45, 75), np.uint8))
    Converter(150, 90).copy(frame, target)
    assert (wide[:, 150:] == 7).all()
    assert_alike(target, Planes.from_rgb(image))
