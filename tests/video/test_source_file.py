"""Video files: every frame, its number and its time; entering again; start, stop, loop and pace."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.video.sources import file_decoder
from pipeline.video.sources.source import FramePosition, Source
from pipeline.video.sources.source_registry import open_source
from tests.running import counts, scene, tallycam, write_clip
from tests.video.media import number_of, picture, pixels, write_video


def opened(path: Path, *, stop: threading.Event | None = None, **settings: Any) -> Source:
    own = {
        key: settings.pop(key) for key in ("first_index", "seek_hint", "decoder_threads") if key in settings
    }
    return open_source(StreamConfig(source=str(path), **settings), stop=stop or threading.Event(), **own)


def played(path: Path, count: int = 10_000, **settings: Any) -> list[tuple[int, float, int, int]]:
    """(index, time, epoch, number drawn) of the first `count` frames."""
    rows = []
    for frame in opened(path, **settings).frames():
        rows.append((frame.index, round(frame.pts_s, 6), frame.epoch, number_of(pixels(frame))))
        if len(rows) == count:
            break
    return rows


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 frames at 25 fps with B-frames, a keyframe every 10."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", 120)


def test_every_frame_comes_once_in_order_with_its_time(clip: Path) -> None:
    source = opened(clip)
    info = source.info
    assert (info.kind, info.live, info.width, info.height) == ("file", False, 160, 120)
    assert (info.fps, info.frames, info.duration_s) == (25.0, 120, pytest.approx(4.8))
    before_s = time.time()
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(120))
    assert [frame.pts_s for frame in frames] == pytest.approx([i / 25 for i in range(120)])
    assert [number_of(pixels(frame)) for frame in frames] == list(range(120))
    assert before_s <= frames[0].wall_s <= frames[-1].wall_s <= time.time()
    assert (source.stats.decoded, source.stats.errors) == (120, 0)


def test_variable_frame_rate_keeps_the_real_times(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.05, 0.5, 0.51, 2.0, 2.4]
    path = write_video(tmp_path / "vfr.mp4", len(times_s), times_s=times_s)
    assert [row[1] for row in played(path)] == pytest.approx(times_s, abs=1e-4)


@pytest.mark.parametrize(
    "name", ["clip.mkv", "clip.avi", "clip.ts", "clip.mov", "clip.h264", "clip.mxf", "clip.asf"]
)
def test_containers_give_the_same_frames_and_times(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 30)
    rows = played(path)
    assert [row[3] for row in rows] == list(range(30))
    assert [row[1] for row in rows] == pytest.approx([i / 25 for i in range(30)], abs=0.002)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_avi_that_states_twice_the_rate_has_the_rate_of_its_frames(
    tmp_path: Path, codec: str, bframes: int
) -> None:
    """Each frame is followed by an empty packet: 50 packets a second are stated, 25 frames are there."""
    path = write_every_second_slot(tmp_path / "slots.avi", codec, bframes)
    source = opened(path)
    frames = list(source.frames())
    assert (source.info.fps, source.info.frames) == (25.0, 50)
    assert [number_of(pixels(frame)) for frame in frames] == list(range(50))
    assert [frame.pts_s for frame in frames] == pytest.approx([i / 25 for i in range(50)], abs=0.021)


def write_every_second_slot(path: Path, codec: str, bframes: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=50, options={"bf": str(bframes)})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 50)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = 2 * number, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_with_timestamps(
    path: Path, count: int, timestamps_ms: Callable[[int], int], size: tuple[int, int] = (160, 120)
) -> Path:
    """A video whose container states other timestamps than those of its frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 25
        packets = []
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number % 256, *size), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += stream.encode(frame)
        for number, packet in enumerate([*packets, *stream.encode(None)]):
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = timestamps_ms(number)
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    "timestamps_ms",
    [lambda number: number // 25 * 1000, lambda number: 0, lambda number: number // 10 * 400],
    ids=["whole seconds", "all equal", "every 0.4 s"],
)
def test_timestamps_that_repeat_are_spread_evenly(
    tmp_path: Path, timestamps_ms: Callable[[int], int], caplog: pytest.LogCaptureFixture
) -> None:
    source = opened(write_with_timestamps(tmp_path / "coarse.mkv", 100, timestamps_ms))
    assert [frame.pts_s for frame in source.frames()] == pytest.approx([i / 25 for i in range(100)])
    assert source.stats.retimed > 80 and source.stats.errors == 0
    assert len(caplog.records) == 1 and "coarse.mkv: timestamps repeat" in caplog.text


@pytest.mark.parametrize("settings", [{}, {"fps": 7, "skip": 1}], ids=str)
@pytest.mark.parametrize("index", [120, 151, 199])
@pytest.mark.parametrize(
    "timestamps_ms",
    [
        lambda number: number // 25 * 1000,
        lambda number: 0,
        lambda number: number // 25 * 1000 if number < 100 else number * 40,
        lambda number: number * 40 if not 30 <= number < 70 else 1200,
        lambda number: number * 20,
    ],
    ids=["whole seconds", "all equal", "whole seconds at first", "stuck for a while", "twice as fast"],
)
def test_entered_again_at_a_known_frame_sick_timestamps_give_the_same_frames(
    tmp_path: Path, timestamps_ms: Callable[[int], int], index: int, settings: dict[str, Any]
) -> None:
    path = write_with_timestamps(tmp_path / "coarse.mkv", 220, timestamps_ms)
    whole = [(f.index, f.pts_s, f.epoch, number_of(pixels(f))) for f in opened(path, **settings).frames()]
    known = next(row for row in whole if row[0] >= index)
    hint = FramePosition(*known[:3])
    source = opened(path, first_index=known[0], seek_hint=hint, **settings)
    again = [(f.index, f.pts_s, f.epoch, number_of(pixels(f))) for f in source.frames()]
    assert again == [row for row in whole if row[0] >= known[0]]


def test_start_and_stop_time_are_exact_and_index_counts_from_the_first_frame_wanted(clip: Path) -> None:
    rows = played(clip, start_s=1.5, stop_s=2.5)
    assert [row[3] for row in rows] == list(range(38, 63))
    assert [row[0] for row in rows] == list(range(25))
    assert rows[0][1] == pytest.approx(38 / 25)


def test_fps_and_skip_choose_frames_and_count_the_others(clip: Path) -> None:
    source = opened(clip, fps=5, skip=1)
    indices = [frame.index for frame in source.frames()]
    assert all(index % 2 == 0 for index in indices)
    assert len(indices) == 24
    assert source.stats.skipped == {"skip": 60, "fps": 36}
    assert source.stats.decoded == 120


def test_a_loop_goes_on_in_time_with_a_new_epoch(clip: Path) -> None:
    rows = played(clip, 50, loop=True, start_s=4.0)
    assert [row[3] for row in rows[18:23]] == [118, 119, 100, 101, 102]
    assert [row[0] for row in rows] == list(range(50))
    assert [row[1] for row in rows] == pytest.approx([4.0 + i / 25 for i in range(50)])
    assert [row[2] for row in rows] == [0] * 20 + [1] * 20 + [2] * 10


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"fps": 10},
        {"skip": 2},
        {"fps": 4, "skip": 1},
        {"start_s": 1.0, "stop_s": 4.0},
        {"loop": True, "fps": 10, "start_s": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("first_index", [1, 7, 41, 73])
def test_entered_again_the_frames_are_those_of_an_uninterrupted_playing(
    clip: Path, settings: dict[str, Any], first_index: int
) -> None:
    whole = played(clip, 100, **settings)
    again = played(clip, 100, first_index=first_index, **settings)
    expected = [row for row in whole if row[0] >= first_index]
    assert again[: len(expected)] == expected


@pytest.mark.parametrize("settings", [{}, {"fps": 10}, {"fps": 7, "skip": 2, "start_s": 0.3}], ids=str)
@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts"])
def test_a_known_frame_spares_decoding_and_changes_nothing(
    tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    path = write_video(tmp_path / name, 220, gop=25)
    whole = played(path, **settings)
    known = next(row for row in whole if row[0] > 150)
    source = opened(path, first_index=160, seek_hint=FramePosition(known[0], known[1]), **settings)
    again = [(f.index, round(f.pts_s, 6), f.epoch, number_of(pixels(f))) for f in source.frames()]
    assert again == [row for row in whole if row[0] >= 160]


def test_a_known_frame_is_entered_from_the_keyframe_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "long.mp4", 220, gop=25)
    source = opened(path, first_index=160, seek_hint=FramePosition(160, 160 / 25))
    converted: list[int] = []
    real = file_decoder.decoded

    def counted(*args: Any, **kwargs: Any) -> Any:
        for frame in real(*args, **kwargs):
            converted.append(frame.pts)
            yield frame

    monkeypatch.setattr(file_decoder, "decoded", counted)
    assert [frame.index for frame in source.frames()] == list(range(160, 220))
    assert len(converted) <= 60 + 2 * 25 + 25, "two seconds and up to a keyframe more"


def test_a_known_frame_that_is_not_there_is_not_trusted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", 220)
    assert played(path, first_index=160, seek_hint=FramePosition(150, 6.011)) == played(path)[160:]


def test_counters_count_from_the_frame_where_it_was_entered(clip: Path) -> None:
    source = opened(clip, first_index=100)
    assert len(list(source.frames())) == 20
    assert source.stats.decoded == 20


def test_real_time_gives_each_frame_when_it_is_due(clip: Path) -> None:
    source = opened(clip, realtime=True, stop_s=0.6)
    assert source.info.live
    frames = list(source.frames())
    lags_s = [(f.wall_s - frames[0].wall_s) - (f.pts_s - frames[0].pts_s) for f in frames]
    assert min(lags_s) > -0.01


def test_stop_ends_the_frames(clip: Path) -> None:
    stop = threading.Event()
    source = opened(clip, loop=True, stop=stop)
    for frame in source.frames():
        if frame.index == 200:
            stop.set()
    assert frame.index <= 201


def test_close_from_another_thread_ends_a_playing_that_waits_for_its_next_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", 3, times_s=[0.0, 60.0, 120.0])
    source = opened(path, realtime=True)
    frames = source.frames()
    next(frames)
    threading.Timer(0.2, source.close).start()
    began_s = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - began_s < 2


def test_one_and_two_decoder_threads_give_the_same(clip: Path) -> None:
    assert played(clip, decoder_threads=1) == played(clip, decoder_threads=2)


def test_a_file_name_with_a_protocol_in_it_is_a_file(clip: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "concat:a|b.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(played(Path("concat:a|b.mp4"))) == 120


def test_file_urls_are_files(clip: Path) -> None:
    source = open_source(StreamConfig(source=f"file://{clip}"), stop=threading.Event())
    assert source.info.frames == 120


def test_a_run_over_whole_seconds_counts_as_one_over_true_times(tmp_path: Path) -> None:
    config = scene(tmp_path, 100)
    found = {}
    for name, timestamps_ms in (("even", lambda n: n * 40), ("coarse", lambda n: n // 25 * 1000)):
        clip = write_with_timestamps(tmp_path / f"{name}.mkv", 100, timestamps_ms, (320, 180))
        code, _, errors = tallycam(
            "run", config, "--source", clip, "--out", tmp_path / name, "--set", "output.video.codec=none"
        )
        assert code == 0, errors
        found[name] = {key: counts(tmp_path / name)[key] for key in ("unique", "lines", "processed")}
    assert found["coarse"] == found["even"]
    assert found["even"]["unique"]["person"] > 3


def test_a_frame_is_freed_when_it_is_done_with_and_not_when_the_collector_finds_it(tmp_path: Path) -> None:
    write_clip(tmp_path / "short.mp4", 100)
    source = open_source(StreamConfig(source=str(tmp_path / "short.mp4")), stop=threading.Event())
    gc.collect()
    gc.disable()
    try:
        for frame in source.frames():
            pixels(frame)
        alive = sum(type(one) is av.VideoFrame for one in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 20
