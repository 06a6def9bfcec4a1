"""The video of a stream without end: files of an hour, each finished, playable by itself, and in the index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from pipeline.config.schema import Config, VideoConfig
from pipeline.errors import OutputError
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.sinks.sink_table import frame_sinks
from pipeline.sinks.video_files import VideoFiles
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes, planes_bytes
from pipeline.video.video_index import INDEX, add_to_index, finish_parts, new_video, read_index, video_folder
from tests.running import frames_of, wait_until
from tests.sinks.test_frame_writer import tracks

HOUR_S = 1_774_749_600.0
"""2026-03-29T02:00:00Z."""
VIDEO = VideoInfo(320, 180, 25.0, (1, 1), live=True)


def frame(seq: int, wall_s: float, epoch: int = 0, pts_s: float | None = None) -> FrameTracks:
    return msgspec.structs.replace(
        tracks(seq), wall_s=wall_s, epoch=epoch, pts_s=seq / 25 if pts_s is None else pts_s
    )


def picture(value: int = 90) -> Planes:
    return Planes.view(np.full(planes_bytes(320, 180), value, np.uint8), 320, 180)


def sink(out: Path, incarnation: int = 0, **settings: Any) -> VideoFiles:
    context = SinkContext("video", "gate", 0, incarnation, out, "run", ("person",))
    made = VideoFiles(VideoConfig.model_validate({"preset": "ultrafast"} | settings), context)
    made.begin(VIDEO)
    return made


def written(subject: VideoFiles, frames: Iterable[FrameTracks]) -> None:
    for one in frames:
        if subject.wants(one):
            subject.write_frame(picture(), one)


def test_a_file_begins_with_each_hour_and_is_finished_while_the_camera_goes_on(tmp_path: Path) -> None:
    subject = sink(tmp_path)
    written(subject, (frame(seq, HOUR_S - 2 + seq / 25) for seq in range(100)))
    folder = video_folder(tmp_path, "gate")
    assert [path.name for path in folder.glob("*.mp4")] == ["gate-20260329T015958Z.mp4"]
    assert frames_of(folder / "gate-20260329T015958Z.mp4") == 50
    subject.close()
    assert not list(folder.glob("*.part"))
    first, second = read_index(folder)
    assert (first.file, first.frames, first.first_pts_s, first.last_pts_s) == (
        "gate-20260329T015958Z.mp4", 50, 0.0, 1.96,
    )  # fmt: skip
    assert (second.file, second.start, second.frames) == (
        "gate-20260329T020000Z.mp4", "2026-03-29T02:00:00.000+00:00", 50,
    )  # fmt: skip
    assert frames_of(folder / second.file) == 50
    with av.open(str(folder / second.file)) as container:
        assert next(container.decode(video=0)).time == 0.0, "time begins anew in each file"


def test_a_file_begins_when_the_camera_is_back_so_that_no_gap_is_in_one(tmp_path: Path) -> None:
    subject = sink(tmp_path)
    written(subject, (frame(seq, HOUR_S + seq / 25) for seq in range(25)))
    written(subject, (frame(25 + seq, HOUR_S + 600 + seq / 25, 1, 8 * 3600 + seq / 25) for seq in range(25)))
    subject.close()
    files = read_index(video_folder(tmp_path, "gate"))
    assert [(one.epoch, one.frames) for one in files] == [(0, 25), (1, 25)]
    assert files[1].first_pts_s == 8 * 3600
    with av.open(str(video_folder(tmp_path, "gate") / files[1].file)) as container:
        assert container.duration is not None and container.duration < 2_000_000


def test_two_files_of_one_second_have_two_names(tmp_path: Path) -> None:
    subject = sink(tmp_path)
    written(subject, (frame(seq, HOUR_S + seq / 100, epoch=seq) for seq in range(3)))
    subject.close()
    names = [one.file for one in read_index(video_folder(tmp_path, "gate"))]
    assert names == [f"gate-20260329T020000Z{end}.mp4" for end in ("", "-2", "-3")]


def test_the_frame_rate_of_the_configuration_holds_over_a_change_of_files(tmp_path: Path) -> None:
    subject = sink(tmp_path, fps=5)
    written(subject, (frame(seq, HOUR_S - 2 + seq / 25) for seq in range(100)))
    subject.close()
    assert [one.frames for one in read_index(video_folder(tmp_path, "gate"))] == [10, 10]


def test_what_a_killed_process_left_is_kept_as_far_as_it_can_be_played(tmp_path: Path) -> None:
    folder = video_folder(tmp_path, "gate")
    first = sink(tmp_path)
    written(first, (frame(seq, HOUR_S + seq / 25, pts_s=100 + seq / 25) for seq in range(200)))
    (part,) = folder.glob("*.part")
    torn = part.read_bytes()
    first.close()
    folder.joinpath("gate-20260329T020000Z.mp4").unlink()
    (folder / INDEX).unlink()
    part.write_bytes(torn)
    (folder / "gate-20260329T010000Z.mp4.part").write_bytes(b"")
    second = sink(tmp_path, incarnation=1)
    (kept,) = read_index(folder)
    assert kept.file == "gate-20260329T020000Z.mp4"
    assert kept.start == "2026-03-29T02:00:00.000+00:00"
    assert kept.first_pts_s == 100 and 100 < kept.frames <= 200 and kept.epoch == -1
    assert frames_of(folder / kept.file) == kept.frames
    assert not list(folder.glob("*.part"))
    written(second, [frame(300, HOUR_S + 1, 1)])
    second.close()
    assert len(read_index(folder)) == 2


def test_the_single_video_of_an_earlier_version_is_left_to_retention(tmp_path: Path) -> None:
    for name in ("gate.mp4", "gate.mp4.part", "gate.001.mp4", "yard.mp4"):
        (tmp_path / name).write_text(name)
    sink(tmp_path)
    left = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert left == {
        "gate.001.mp4": "gate.001.mp4", "gate.002.mp4": "gate.mp4", "gate.003.mp4": "gate.mp4.part",
        "yard.mp4": "yard.mp4",
    }  # fmt: skip


def test_the_index_forgets_files_that_retention_has_deleted(tmp_path: Path) -> None:
    subject = sink(tmp_path)
    written(subject, (frame(seq, HOUR_S + 3600 * seq) for seq in range(3)))
    folder = video_folder(tmp_path, "gate")
    (folder / read_index(folder)[0].file).unlink()
    subject.close()
    assert [one.start[11:13] for one in read_index(folder)] == ["03", "04"]
    assert len((folder / INDEX).read_text().splitlines()) == 3


@pytest.mark.parametrize("text", ["", "file,start\n", "\0\xff", "file\n../../etc/passwd\n"])
def test_an_index_that_is_damaged_is_begun_anew(tmp_path: Path, text: str) -> None:
    subject = sink(tmp_path)
    folder = video_folder(tmp_path, "gate")
    (folder / INDEX).write_text(text, encoding="latin-1")
    assert read_index(folder) == []
    written(subject, [frame(0, HOUR_S)])
    subject.close()
    (entry,) = read_index(folder)
    add_to_index(folder, [replace(entry, frames=7)])
    assert [one.frames for one in read_index(folder)] == [7]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "video").write_text("in the way")
    with pytest.raises(OutputError, match="video/gate: cannot be written"):
        sink(tmp_path)
    assert finish_parts(tmp_path / "none") == []
    assert new_video(tmp_path, "gate", HOUR_S).name == "gate-20260329T020000Z.mp4"


@pytest.mark.parametrize(("source", "settings", "files"), [
    ("rtsp://camera/a", {}, True), ("rtsp://camera/a", {"file_s": None}, False), ("street.mp4", {}, False),
    ("synthetic:1", {}, False),
])  # fmt: skip
def test_cameras_have_files_and_recordings_one(
    tmp_path: Path, source: str, settings: dict[str, Any], files: bool
) -> None:
    config = Config.model_validate(
        {"streams": {"gate": {"source": source}}, "output": {"video": settings | {"preset": "ultrafast"}}}
    )
    context = SinkContext("", "gate", 0, 0, tmp_path, "run", ("person",))
    (tmp_path / "log").mkdir()
    for one in frame_sinks(config, context, StageMetrics("sink").sink):
        one.begin(VIDEO)
        one.write_frame(picture(), frame(0, HOUR_S))
        one.close()
        wait_until(one.closed, what="the end of the thread")
    assert bool(read_index(video_folder(tmp_path, "gate"))) == files
    assert (tmp_path / "gate.mp4").exists() == (not files)


def test_a_file_whose_writer_died_before_it_stood_in_the_index_gets_into_it(tmp_path: Path) -> None:
    subject = sink(tmp_path)
    written(subject, (frame(seq, HOUR_S + seq / 25, epoch=seq // 25) for seq in range(75)))
    subject.close()
    folder = video_folder(tmp_path, "gate")
    before = read_index(folder)
    (folder / INDEX).unlink()
    add_to_index(folder, before[:1])
    sink(tmp_path, incarnation=1).close()
    after = read_index(folder)
    assert [(one.file, one.frames) for one in after] == [(one.file, one.frames) for one in before]
    assert [one.epoch for one in after] == [0, -1, -1]
