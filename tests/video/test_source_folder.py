"""A folder of recordings is one recording; a file or folder that still grows is waited for."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.folder_decoder import Recording, place
from pipeline.video.sources.kinds import find_kind
from pipeline.video.sources.source import FramePosition, Source, SourceFrame
from pipeline.video.sources.source_registry import open_source
from tests.video.media import number_of, pixels, write_video

START = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)


def opened(path: Path, stop: threading.Event | None = None, **settings: Any) -> Source:
    own = {key: settings.pop(key) for key in ("first_index", "seek_hint") if key in settings}
    config = StreamConfig(source=str(path), **settings)
    return open_source(config, stop=stop or threading.Event(), zone=UTC, **own)


def told(frames: Iterator[SourceFrame]) -> list[tuple[int, float, int, int]]:
    return [(one.index, round(one.pts_s, 3), one.epoch, number_of(pixels(one))) for one in frames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of ten frames at 10 fps: the second continues the first, the third was recorded a minute later."""
    root = tmp_path / "nvr"
    for name in ("10/gate_20260504-100000.mp4", "10/gate_20260504-100001.mkv", "11/gate_20260504-100100.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / name, 10, fps=10)
    return root


def test_files_are_one_recording_by_the_times_in_their_names(folder: Path) -> None:
    source = opened(folder)
    assert (source.info.kind, source.info.frames, source.info.duration_s) == ("recordings", 30, 61.0)
    assert told(source.frames()) == (
        [(i, i / 10, 0, i % 10) for i in range(20)] + [(20 + i, 60 + i / 10, 1, i) for i in range(10)]
    )


@pytest.mark.parametrize("first", [1, 10, 15, 20, 27])
def test_a_run_goes_on_in_the_middle_as_if_it_had_not_been_interrupted(folder: Path, first: int) -> None:
    whole = list(opened(folder).frames())
    before = whole[first - 1]
    hint = FramePosition(before.index, before.pts_s, before.epoch)
    rest = opened(folder, first_index=first, seek_hint=hint)
    assert [(one.index, one.pts_s, one.epoch) for one in rest.frames()] == [
        (one.index, one.pts_s, one.epoch) for one in whole[first:]
    ]


def test_a_file_that_cannot_be_read_is_left_out(folder: Path) -> None:
    (folder / "10/gate_20260504-100001.mkv").write_bytes(b"torn")
    source = opened(folder)
    assert [frame.epoch for frame in source.frames()] == [0] * 10 + [1] * 10
    assert source.stats.errors == 1
    assert "gate_20260504-100001.mkv" in source.stats.last_error


def test_times_decide_the_order_where_names_tell_another(tmp_path: Path) -> None:
    write_video(tmp_path / "b_20260504-100000.mp4", 10, fps=10)
    write_video(tmp_path / "a_20260504-100100.mp4", 10, fps=10, first=50)
    assert [number for _, _, _, number in told(opened(tmp_path).frames())] == [*range(10), *range(50, 60)]


def test_a_folder_without_a_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"torn")
    with pytest.raises(SourceError, match=r"a\.mp4: not a video that can be read"):
        opened(tmp_path)


def test_a_folder_with_images_is_one_of_images(folder: Path) -> None:
    (folder / "img.png").touch()
    assert find_kind(str(folder)).name == "images"


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([None, None], [(0.0, 0), (10.0, 0)]),
        ([0, 10.9], [(0.0, 0), (10.0, 0)]),
        ([0, 12], [(0.0, 0), (12.0, 1)]),
        ([0, 4], [(0.0, 0), (10.0, 1)]),
        ([0, None, 60], [(0.0, 0), (10.0, 0), (60.0, 1)]),
        ([None, 10, 60], [(0.0, 0), (10.0, 0), (20.0, 0)]),
    ],
)
def test_files_are_placed_by_their_times(
    starts: list[float | None], expected: list[tuple[float, int]]
) -> None:
    recordings = [
        Recording(Path(f"{i}.mp4"), None if start is None else START + timedelta(seconds=start))
        for i, start in enumerate(starts)
    ]
    spans = place(recordings, [10.0] * len(starts))
    assert [(span.start_s, span.epoch) for span in spans] == expected


def _parts(path: Path, count: int) -> list[bytes]:
    data = path.read_bytes()
    return [data[len(data) * i // count : len(data) * (i + 1) // count] for i in range(count)]


def test_a_file_that_grows_is_read_as_it_grows(tmp_path: Path) -> None:
    whole = tmp_path / "whole.ts"
    write_video(whole, 100, fps=25)
    growing, stop, left = tmp_path / "growing.ts", threading.Event(), _parts(whole, 8)
    growing.write_bytes(b"".join(left[:3]))
    del left[:3]
    source = opened(growing, stop, follow=True)
    assert source.info.duration_s is None
    seen: list[int] = []
    for frame in source.frames():
        seen.append(number_of(pixels(frame)))
        if len(seen) % 8 == 1 and left:
            with growing.open("ab") as file:
                file.write(left.pop(0))
        if len(seen) == 80:  # the last ones are held back by the decoder for as long as more may come
            stop.set()
    assert seen[:80] == [number_of(pixels(one)) for one in opened(whole).frames()][:80]


def test_a_folder_is_followed_into_its_next_file(folder: Path, tmp_path: Path) -> None:
    last, stop = folder / "11/gate_20260504-100100.mp4", threading.Event()
    kept = tmp_path / "kept.mp4"
    shutil.move(last, kept)
    os.utime(kept, (0, 0))  # nobody has written to it for long: it is finished
    seen = []
    for frame in opened(folder, stop, follow=True).frames():
        seen.append((frame.index, round(frame.pts_s, 3), frame.epoch))
        if frame.index == 5:
            shutil.copy2(kept, last)
        if frame.index == 29:
            stop.set()
    assert seen == [(i, i / 10, 0) for i in range(20)] + [
        (20 + i, round(60 + i / 10, 3), 1) for i in range(10)
    ]


def test_a_file_that_can_only_be_read_when_finished_says_so(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    write_video(whole, 30, fps=10)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(_parts(whole, 2)[0])
    with pytest.raises(SourceError, match="cannot be read while it is written"):
        opened(torn, follow=True)
