"""The annotated video: real timestamps, sizes, and what is left of it when its process or its disk fails."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.config.schema import StreamConfig, VideoConfig
from pipeline.errors import OutputError
from pipeline.transport.planes import planes_bytes
from pipeline.video.convert import copy_planes, planes_of
from pipeline.video.sources.source_registry import open_source
from pipeline.video.video_parts import concat_parts, part_path
from pipeline.video.writer import VideoWriter
from tests.running import scene, summary, tallycam
from tests.video.media import drawn, number_of, write_video

ROOT = Path(__file__).parents[2]


def played(path: Path) -> list[tuple[float, int]]:
    """(time, number drawn) of every frame."""
    with av.open(str(path)) as container:
        return [(round(frame.time, 4), number_of(planes_of(frame))) for frame in container.decode(video=0)]


def write(path: Path, times_s: list[float], first: int = 0, **settings: Any) -> Path:
    fps = settings.pop("source_fps", 25.0)
    with VideoWriter(path, 160, 120, fps, VideoConfig(**settings)) as writer:
        for number, time_s in enumerate(times_s):
            writer.write(drawn(first + number), time_s)
    return path


def test_frames_keep_their_real_times_from_zero_on(tmp_path: Path) -> None:
    times_s = [7.0, 7.04, 7.08, 7.5, 7.51, 9.0, 9.04, 13.0]
    path = write(tmp_path / "out.mp4", times_s)
    assert played(path) == [(pytest.approx(t - 7.0, abs=1e-3), n) for n, t in enumerate(times_s)]
    assert not part_path(path).exists()


def test_times_that_do_not_rise_are_moved_on(tmp_path: Path) -> None:
    rows = played(write(tmp_path / "out.mp4", [0.0, 0.04, 0.04, 0.03, 0.12]))
    assert [number for _, number in rows] == [0, 1, 2, 3, 4]
    assert all(before < after for (before, _), (after, _) in itertools.pairwise(rows))


@pytest.mark.parametrize(("width", "height"), [(160, 120), (150, 90), (151, 91)])
def test_a_frame_is_drawn_and_encoded_where_it_lies(tmp_path: Path, width: int, height: int) -> None:
    pixels = np.zeros(planes_bytes(width, height), np.uint8)
    with VideoWriter(tmp_path / "out.mp4", width, height, 25, VideoConfig()) as writer:
        for number in range(12):
            frame, planes = writer.frame_on(pixels)
            assert (planes.width, planes.height) == (width, height)
            copy_planes(drawn(number, width, height), planes)
            writer.encode(frame, number / 25)
            pixels[:] = 255  # the slot is another frame's at once, while the encoder still looks ahead
    assert [number for _, number in played(tmp_path / "out.mp4")] == list(range(12))


@pytest.mark.parametrize(("width", "height"), [(161, 121), (160, 121), (161, 120)])
def test_an_odd_edge_is_cut_away(tmp_path: Path, width: int, height: int) -> None:
    with VideoWriter(tmp_path / "out.mp4", width, height, 25, VideoConfig(crf=10)) as writer:
        source = drawn(9, width, height)
        writer.write(source, 0.0)
    with av.open(str(tmp_path / "out.mp4")) as container:
        planes = planes_of(next(container.decode(video=0)))
        assert (planes.width, planes.height) == (160, 120)
        assert np.abs(planes.y.astype(int) - source.y[:120, :160]).mean() < 3


def test_size_and_fps_of_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", [i / 25 for i in range(50)], size=(321, 241), fps=5)
    rows = played(path)
    assert len(rows) == 10
    assert [round(b[0] - a[0], 3) for a, b in itertools.pairwise(rows)] == [0.2] * 9
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 240)


def test_hevc(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", [i / 25 for i in range(5)], codec="hevc", preset="ultrafast")
    assert [number for _, number in played(path)] == [0, 1, 2, 3, 4]
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def is_black(path: Path) -> list[bool]:
    with av.open(str(path)) as container:
        return [int(planes_of(frame).y.max()) < 30 for frame in container.decode(video=0)]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("before", [1, 2, 3, 50])
@pytest.mark.parametrize("gap_s", [5 * HOUR_S, 10 * HOUR_S, 30 * DAY_S])
def test_the_video_goes_on_behind_an_absence_of_hours_or_weeks(
    tmp_path: Path, codec: str, before: int, gap_s: float
) -> None:
    """FFmpeg's MP4 muxer fails on any gap over 6 h 37 min."""
    times_s = [i / 25 for i in range(before)]
    times_s += [times_s[-1] + gap_s + i / 25 for i in range(30)]
    path = write(tmp_path / "out.mp4", times_s, codec=codec, preset="ultrafast")
    rows, black = played(path), is_black(path)
    shown = [row for row, dark in zip(rows, black, strict=True) if not dark]
    assert [number for _, number in shown] == list(range(before + 30))
    assert [time_s for time_s, _ in shown] == pytest.approx(times_s, abs=2e-3)
    inserted = [time_s for (time_s, _), dark in zip(rows, black, strict=True) if dark]
    assert inserted[0] == pytest.approx(times_s[before - 1] + 1.0)
    assert len(inserted) == pytest.approx(gap_s / HOUR_S, abs=1)


def test_an_absence_of_years_is_shortened(tmp_path: Path) -> None:
    rows = played(write(tmp_path / "out.mp4", [0.0, 0.04, 900 * DAY_S, 900 * DAY_S + 0.04, 1e12], fps=25))
    times_s = [time_s for time_s, number in rows if number]
    assert times_s[-3:] == pytest.approx([31 * DAY_S + 0.04, 31 * DAY_S + 0.08, 62 * DAY_S + 0.08], abs=0.01)


def test_slow_time_lapses_keep_their_frames_and_times(tmp_path: Path) -> None:
    times_s = [5 * HOUR_S * i for i in range(8)]
    path = write(tmp_path / "out.mp4", times_s)
    shown = [row for row, dark in zip(played(path), is_black(path), strict=True) if not dark]
    assert shown == [(pytest.approx(time_s), number) for number, time_s in enumerate(times_s)]


def test_pieces_that_are_hours_apart_are_joined(tmp_path: Path) -> None:
    first = write(tmp_path / "a.mp4", [i / 25 for i in range(20)])
    second = write(tmp_path / "b.mp4", [40 * HOUR_S + i / 25 for i in range(20)], first=20)
    assert concat_parts([first, second], tmp_path / "out.mp4") == [first, second]
    rows = played(tmp_path / "out.mp4")
    assert [number for _, number in rows if number != 20] == [n for n in range(40) if n != 20]
    assert rows[-20:] == [(pytest.approx(40 * HOUR_S + i / 25, abs=2e-3), 20 + i) for i in range(20)]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_video_shorter_than_the_encoders_reordering(tmp_path: Path, codec: str, count: int) -> None:
    path = write(tmp_path / "out.mp4", [i / 25 for i in range(count)], codec=codec)
    assert [number for _, number in played(path)] == list(range(count))


def test_a_video_without_frames_leaves_nothing_behind(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 160, 120, 25, VideoConfig()):
        pass
    assert list(tmp_path.iterdir()) == []


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from pipeline.config.schema import VideoConfig
from pipeline.video.writer import VideoWriter
from tests.video.media import drawn
writer = VideoWriter(Path(sys.argv[1]), 160, 120, 25, VideoConfig())
for number in range(int(sys.argv[2]), 10**9):
    writer.write(drawn(number), number / 25)
    print(number, flush=True)
"""


def killed_at(path: Path, first: int, last: int) -> int:
    """Writes frames from `first` in another process, killed (-9) behind `last`; the last number it has written."""
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= last:
                break
        process.kill()
        rest = process.stdout.read().split()
    return int(rest[-1]) if rest else last


def test_after_kill_9_the_video_can_be_played_and_lacks_three_seconds_at_most(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    last = killed_at(path, 0, 240)
    rows = played(part_path(path))
    assert [number for _, number in rows] == [n % 256 for n in range(len(rows))]
    assert last - len(rows) < 75
    assert not path.exists()


@pytest.mark.slow
def test_pieces_of_killed_writers_are_joined_at_their_own_times(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.mp4" for name in "abc")
    killed_at(first, 0, 120)
    count = len(played(part_path(first)))
    killed_at(second, 150, 290)
    part_path(third).touch()  # killed before its first fragment
    write(tmp_path / "d.mp4", [16.0, 16.5, 17.0], first=3)
    out = tmp_path / "joined.mp4"
    parts = [part_path(first), part_path(second), part_path(third), tmp_path / "gone.mp4", tmp_path / "d.mp4"]
    assert concat_parts(parts, out) == parts
    rows = played(out)
    times_s = [time_s for time_s, _ in rows]
    assert times_s[:count] == pytest.approx([i / 25 for i in range(count)], abs=1e-3)
    assert times_s[count] == pytest.approx(6.0, abs=1e-3)
    assert rows[count][1] == 150
    assert times_s[-3:] == pytest.approx([16.0, 16.5, 17.0], abs=1e-3)
    assert [number for _, number in rows[-3:]] == [3, 4, 5]
    assert all(before < after for before, after in itertools.pairwise(times_s))
    assert not list(tmp_path.glob("*.joining"))


def test_pieces_that_overlap_stand_behind_each_other(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{n}.mp4", [i / 25 for i in range(10)], first=n * 10) for n in range(3)]
    assert concat_parts(parts, parts[0]) == parts
    rows = played(parts[0])
    assert [number for _, number in rows] == list(range(30))
    assert all(before < after for (before, _), (after, _) in itertools.pairwise(rows))


def test_joining_nothing_leaves_the_target_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    assert concat_parts([tmp_path / "missing.mp4"], out) == []
    assert out.read_bytes() == b"old"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="out.mp4.part: cannot be written: .*--out") as caught:
        VideoWriter(tmp_path / "file" / "out.mp4", 160, 120, 25, VideoConfig())
    assert "\n" not in str(caught.value)


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from pipeline.config.schema import VideoConfig
from pipeline.errors import OutputError
from pipeline.video.writer import VideoWriter
from tests.video.media import drawn
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
writer = VideoWriter(Path(sys.argv[1]), 160, 120, 25, VideoConfig(crf=5))
told = 0
for number in range(1000):
    try:
        writer.write(drawn(number), number / 25)
    except OutputError as error:
        told += 1
        print(error)
assert writer.broken
writer.close()
print("told", told)
"""


def test_a_disk_that_fills_up_is_told_once_and_what_was_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "told 1"
    assert "out.mp4.part: cannot be written: File too large; free some space" in done.stdout
    left = open_source(StreamConfig(source=str(part_path(path))), stop=threading.Event())
    assert sum(1 for _ in left.frames()) >= 25
    assert not path.exists()


def test_a_full_device(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    part_path(path).symlink_to("/dev/full")
    writer = VideoWriter(path, 160, 120, 25, VideoConfig())

    def fill() -> None:
        for number in range(500):
            writer.write(drawn(number), number / 25)
        writer.close()

    with pytest.raises(OutputError, match="No space left on device; free some space"):
        fill()
    assert writer.broken
    writer.close()


def test_a_run_over_a_night_without_frames(tmp_path: Path) -> None:
    times_s = [i / 25 for i in range(30)] + [10 * HOUR_S + i / 25 for i in range(30)]
    clip = write_video(tmp_path / "night.mkv", 60, width=320, height=180, times_s=times_s)
    code, _, errors = tallycam(
        "run", scene(tmp_path, 60), "--source", clip, "--out", tmp_path / "out",
        "--set", "output.video.preset=ultrafast",
    )  # fmt: skip
    assert code == 0, errors
    assert summary(tmp_path / "out")["frames"]["processed"] == 60
    assert played(tmp_path / "out" / "gate.mp4")[-1][0] == pytest.approx(times_s[-1], abs=2e-3)
