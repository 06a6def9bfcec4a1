"""Tracks from a file of detections: MOTChallenge in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.schema import TrackerConfig
from pipeline.evaluation.detections import Outcome, track_file
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.track_files import check_once, read_rows


def walkers(frames: int = 40, score: str = "0.9") -> list[str]:
    """Rows of two people who walk towards each other on two paths."""
    return [
        line
        for n in range(1, frames + 1)
        for line in (f"{n},-1,{100 + 4 * n},100,40,100,{score}", f"{n},-1,{500 - 4 * n},300,40,100,{score}")
    ]


def tracked(folder: Path, lines: list[str], **options: object) -> tuple[Outcome, np.ndarray]:
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
        ("0,-1,10,10,5,5,1", "frames are numbered from 1"),
        ("1,-1,10,10,0,5,1", "a box of 0 x 5 pixels"),
        ("one,-1,10,10,5,5,1", "is not a MOTChallenge file"),
        ("1,-1,10", "a row of 3 numbers"),
    ],
)
def test_what_is_not_a_detection_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        tracked(tmp_path, [line])
