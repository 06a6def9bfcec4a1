"""Folders of images, cameras of this machine, and rendered scenes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.demo.scene_source import SceneOptions, parse_scene
from pipeline.errors import SourceError
from pipeline.video.sources import v4l2 as source_camera
from pipeline.video.sources.source import Source
from pipeline.video.sources.source_registry import open_source
from pipeline.video.sources.v4l2 import camera_options
from tests.video.media import number_of, picture, pixels, write_image


def opened(source: object, *, first_index: int = 0, **settings: Any) -> Source:
    config = StreamConfig(source=str(source), **settings)
    return open_source(config, stop=threading.Event(), first_index=first_index)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of four formats whose names sort naturally, not by letter."""
    suffixes = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".JPG")
    for number in range(12):
        write_image(tmp_path / f"img{number}{suffixes[number % 6]}", picture(number))
    (tmp_path / "readme.txt").write_text("not an image")
    return tmp_path


def test_images_come_in_natural_order_at_the_rate_of_the_configuration(folder: Path) -> None:
    source = opened(folder, fps=2)
    assert (source.info.kind, source.info.frames, source.info.duration_s, source.info.fps) == (
        "images",
        12,
        6.0,
        2.0,
    )
    frames = list(source.frames())
    assert [number_of(pixels(frame)) for frame in frames] == list(range(12))
    assert [frame.pts_s for frame in frames] == [i / 2 for i in range(12)]


def test_an_unreadable_image_is_counted_and_keeps_its_place(folder: Path) -> None:
    (folder / "img3.webp").write_bytes(b"not a picture")
    (folder / "img4.tiff").write_bytes(b"")
    source = opened(folder)
    assert [frame.index for frame in source.frames()] == [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]
    assert source.stats.errors == 2
    assert "img4.tiff" in source.stats.last_error


def test_other_sizes_are_fitted_into_the_first_ones_size_with_black_around(folder: Path) -> None:
    write_image(folder / "img1.jpg", picture(1, 60, 120))
    source = opened(folder)
    planes = [pixels(frame) for frame in source.frames()][1]
    assert (planes.width, planes.height) == (160, 120)
    assert planes.y[:, :40].max() <= 18 and planes.y[:, 60:100].mean() > 40
    assert source.stats.resized == 1


def test_a_folder_where_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="none of its 1 images"):
        opened(tmp_path)


def test_images_entered_again_and_looped(folder: Path) -> None:
    rows = [
        (f.index, f.pts_s, f.epoch)
        for f, _ in zip(opened(folder, loop=True).frames(), range(30), strict=False)
    ]
    again = opened(folder, loop=True, first_index=17)
    assert [(f.index, f.pts_s, f.epoch) for f, _ in zip(again.frames(), range(13), strict=False)] == rows[17:]
    assert rows[24][2] == 2
    assert [f.index for f in opened(folder, skip=3, first_index=2).frames()] == [4, 8]
    cut = [f.pts_s for f in opened(folder, start_s=0.08, stop_s=0.2).frames()]
    assert cut == pytest.approx([0.08, 0.12, 0.16])


def test_a_camera_that_is_not_there_names_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_camera, "DEVICES", tmp_path)
    with pytest.raises(SourceError, match="camera:7: .*video7 does not exist; no camera was found"):
        opened("camera:7")
    for number in (10, 2):
        (tmp_path / f"video{number}").touch()
    with pytest.raises(SourceError, match="available: video2, video10") as caught:
        opened("camera:7")
    assert caught.value.exit_code == 3


def test_a_device_that_is_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_camera, "DEVICES", tmp_path)
    (tmp_path / "video0").touch()
    with pytest.raises(SourceError, match="camera:0: cannot be opened: .*; is it in use"):
        opened("camera:0")


def test_a_camera_is_asked_for_size_and_rate() -> None:
    assert camera_options(StreamConfig(source="camera:0")) == {}
    options = camera_options(StreamConfig(source="camera:0", size=(1280, 720), fps=12.5))
    assert options == {"video_size": "1280x720", "framerate": "12.5"}


def test_scene_addresses() -> None:
    assert parse_scene("7") == SceneOptions(7)
    assert parse_scene("7?width=320&height=180&fps=10&traffic=2.5") == SceneOptions(7, 320, 180, 10.0, 2.5)
    assert parse_scene("1", (800, 450)) == SceneOptions(1, 800, 450)
    for target, said in (
        ("", "whole number"),
        ("-1", "whole number"),
        ("x", "whole number"),
        ("1?colour=red", "unknown parameter 'colour'; expected width, height, fps, traffic"),
        ("1?width=1e9", "width must be a number from 64 to 7680, got '1e9'"),
        ("1?width=100.5", "width must"),
        ("1?fps=nan", "fps must"),
        ("1?fps=", "fps must"),
    ):
        with pytest.raises(SourceError) as caught:
            parse_scene(target)
        assert said in str(caught.value)


def test_a_scene_is_endless_and_the_same_when_entered_again() -> None:
    def some(first_index: int, count: int) -> list[tuple[int, float, int]]:
        source = opened("synthetic:3?width=160&height=96&fps=10", first_index=first_index, skip=1)
        assert (source.info.kind, source.info.frames, source.info.live) == ("synthetic", None, False)
        rows = zip(source.frames(), range(count), strict=False)
        return [(f.index, f.pts_s, int(pixels(f).y.astype(np.int64).sum())) for f, _ in rows]

    whole = some(0, 6)
    assert [row[0] for row in whole] == [0, 2, 4, 6, 8, 10]
    assert some(5, 3) == whole[3:]
