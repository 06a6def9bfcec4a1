"""Tracks from a file of detections: MOTChallenge in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.schema import TrackerConfig
from pipeline.evaluation.detection_tracks import TrackingResult, track_file
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.track_files import check_once, read_rows
from tests.in_process import Command


def walkers(frames: int = 40, score: str = "0.9") -> list[str]:
    """Rows of two people who walk towards each other on two paths."""
    return [
        line
        for n in range(1, frames + 1)
        for line in (f"{n},-1,{100 + 4 * n},100,40,100,{score}", f"{n},-1,{500 - 4 * n},300,40,100,{score}")
    ]


def tracked(folder: Path, lines: list[str], **options: object) -> tuple[TrackingResult, np.ndarray]:
    (folder / "det.txt").write_text("\n".join(lines))
    found = track_file(folder / "det.txt", folder / "out.txt", TrackerConfig(), **options)  # type: ignore[arg-type]
    rows = read_rows(folder / "out.txt")
    check_once(rows, folder / "out.txt")
    return found, rows


def test_every_box_of_two_walkers_is_a_row_of_its_own_track_in_the_order_of_frames(tmp_path: Path) -> None:
    found, rows = tracked(tmp_path, walkers())
    assert (found.frames, found.objects, found.uncertainty) == (40, 2, 0)
    assert rows[:, 0].tolist() == [n for n in range(1, 41) for _ in range(2)]
    assert rows[:, 1].tolist() == [1, 2] * 40
    assert rows[:, 2:6] == pytest.approx(
        np.array([line.split(",")[2:6] for line in walkers()], float), abs=0.02
    )


def test_the_rate_and_the_size_come_from_the_file_beside_the_sequence(tmp_path: Path) -> None:
    folder = tmp_path / "WALK" / "det"
    folder.mkdir(parents=True)
    (tmp_path / "WALK" / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\nimWidth=640\nimHeight=480\n")
    found, _ = tracked(folder, walkers())
    assert (found.sequence.fps, found.sequence.size) == (10.0, (640, 480))
    found, _ = tracked(folder, walkers(), fps=25.0, size=(800, 600))
    assert (found.sequence.fps, found.sequence.size) == (25.0, (800, 600))


def test_without_it_the_frame_holds_all_boxes(tmp_path: Path) -> None:
    found, _ = tracked(tmp_path, ["1,-1,10,20,629,459,0.9"])
    assert found.sequence.size == (640, 480)


@pytest.mark.parametrize("score", ["-1", "1", "87", "3.5"])
def test_scores_of_other_scales_do(tmp_path: Path, score: str) -> None:
    lines = walkers(score=score)
    lines[0] = lines[0].rpartition(",")[0] + (",-2" if score == "3.5" else f",{score}")
    assert tracked(tmp_path, lines)[0].objects == 2


def test_six_columns_do(tmp_path: Path) -> None:
    assert tracked(tmp_path, [line.rpartition(",")[0] for line in walkers()])[0].objects == 2


def test_no_detection_at_all_gives_an_empty_file(tmp_path: Path) -> None:
    found, rows = tracked(tmp_path, [""])
    assert (found.frames, found.objects, len(rows)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0,-1,10,10,5,5,1", "got frame 0, expected frames numbered from 1"),
        ("1e9,-1,10,10,5,5,1", "expected frames numbered from 1, 10000000 at most"),
        ("one,-1,10,10,5,5,1", "line 81: got 'one,-1,10,10,5,5,1', which is not a MOTChallenge row"),
        ("1,-1,10", "line 81: got '1,-1,10'"),
    ],
)
def test_what_is_not_a_detection_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        tracked(tmp_path, [*walkers(), line])


HOSTILE = {
    "5,-1,10,10,0,5,1": "without width or height",
    "5,-1,10,10,5,-3,1": "without width or height",
    "5,-1,nan,10,5,5,1": "with a value that is not a finite number",
    "nan,-1,10,10,5,5,1": "with a value that is not a finite number",
    "5,-1,10,10,inf,5,1": "with a value that is not a finite number",
    "5,-1,10,10,5,5,nan": "with a value that is not a finite number",
    "5,-1,10,10,1e300,5,1": "beyond 1,000,000 pixels",
    "5,-1,-1e8,10,5,5,1": "beyond 1,000,000 pixels",
}


@pytest.mark.parametrize(("line", "reason"), HOSTILE.items())
def test_a_row_that_is_no_box_is_left_out_and_counted(tmp_path: Path, line: str, reason: str) -> None:
    found, rows = tracked(tmp_path, [*walkers(), line])
    assert found.sequence.left_out == {reason: 1}
    assert (found.objects, len(rows)) == (2, 80)
    assert found.sequence.size == tracked(tmp_path, walkers())[0].sequence.size


def test_the_command_tells_how_many_rows_it_left_out(tmp_path: Path, command: Command) -> None:
    (tmp_path / "det.txt").write_text("\n".join([*walkers(), *HOSTILE]))
    code, out, err = command(
        "track", "--detections", tmp_path / "det.txt", "--tracks", tmp_path / "out.txt", "--fps", "10"
    )
    assert code == 0
    assert out.startswith("2 objects in 40 frames")
    assert err.splitlines() == [
        "4 rows with a value that is not a finite number left out",
        "2 rows without width or height left out",
        "2 rows beyond 1,000,000 pixels left out",
    ]


def test_set_changes_the_tracker_without_a_configuration(tmp_path: Path, command: Command) -> None:
    (tmp_path / "det.txt").write_text("\n".join(walkers()))
    arguments = (
        "track",
        "--detections",
        tmp_path / "det.txt",
        "--tracks",
        tmp_path / "out.txt",
        "--fps",
        "10",
    )
    code, out, _ = command(*arguments, "--set", "tracker.confirm_s=10")
    assert code == 0
    assert out.startswith("0 objects")
    code, _, err = command(*arguments, "--set", "tracker.confirm=10")
    assert code == 2
    assert "unknown key `confirm`; did you mean `confirm_s`?" in err


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--fps", "inf", "--fps: got inf, expected frames per second"),
        ("--size", "0x0", "--size: got 0x0, expected width x height"),
    ],
)
def test_a_hostile_option_is_one_line(
    tmp_path: Path, command: Command, option: str, value: str, says: str
) -> None:
    (tmp_path / "det.txt").write_text("\n".join(walkers()))
    code, _, err = command(
        "track", "--detections", tmp_path / "det.txt", "--tracks", tmp_path / "out.txt", option, value
    )
    assert code == 2
    assert says in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("info", ["frameRate=0", "frameRate=nan", "imWidth=-5\nimHeight=4", "imWidth=wide"])
def test_a_seqinfo_that_cannot_be_is_named(tmp_path: Path, info: str) -> None:
    (tmp_path / "seqinfo.ini").write_text(f"[Sequence]\n{info}\n")
    with pytest.raises(EvaluationError, match="seqinfo.ini: .*: got .*, expected a number above 0"):
        tracked(tmp_path, walkers())
