"""`tallycam evaluate tracks`: TrackEval's scores, unique counts and crossings, equal to those of a plain scorer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.track_files import pair, read_rows
from pipeline.evaluation.track_lines import with_lines
from pipeline.evaluation.track_scores import TrackScores, score_tracks
from pipeline.evaluation.tracks_report import tracks_report
from tests.in_process import Command

pytest.importorskip("trackeval", reason="TrackEval is not installed: tallycam[evaluate]")


def rows(xs: list[float], track: int, y: float = 100.0) -> list[list[float]]:
    return [[frame, track, x - 10, y, 20, 40, 1, -1, -1, -1] for frame, x in enumerate(xs, start=1)]


def write(path: Path, *objects: list[list[float]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(f"{cell:g}" for cell in row) for one in objects for row in one) + "\n")
    return path


def scored(truth: Path, tracks: Path, lines: str = "0.5") -> TrackScores:
    sequences, _ = with_lines(pair([truth], [tracks], ["200x200"]), lines)
    return score_tracks(sequences)


RIGHT = [float(x) for x in range(20, 180, 4)]
LEFT = RIGHT[::-1]


def test_tracks_that_are_the_truth_are_faultless(tmp_path: Path) -> None:
    truth = write(tmp_path / "gt.txt", rows(RIGHT, 1), rows(LEFT, 2, 20.0))
    scores = scored(truth, write(tmp_path / "out.txt", rows(RIGHT, 7), rows(LEFT, 9, 20.0)))
    total = scores.total
    assert (total.hota, total.mota, total.idf1) == pytest.approx((100, 100, 100))
    assert (total.unique_counted, total.unique_true, total.unique_error) == (2, 2, 0)
    assert (scores.line_f1, scores.line_error) == (100, 0)
    assert [event.direction for event in scores.sequences[0].lines.counted] == ["right", "left"]  # type: ignore[union-attr]


def test_an_object_in_two_pieces_is_counted_twice_and_loses_its_identity(tmp_path: Path) -> None:
    truth = write(tmp_path / "gt.txt", rows(RIGHT, 1))
    whole = rows(RIGHT, 1)
    second = [[row[0], 2, *row[2:]] for row in whole[20:]]
    scores = scored(truth, write(tmp_path / "out.txt", whole[:20], second))
    assert scores.total.unique_error == 100
    assert scores.total.switches == 1
    assert scores.total.idf1 == pytest.approx(50)
    assert scores.line_f1 == 0  # no piece is seen on both sides
    assert scores.line_error == 100


def test_truth_that_is_marked_as_not_counting_is_left_out(tmp_path: Path) -> None:
    unmarked = rows(LEFT, 2, 20.0)
    ignored = [[*row[:6], 0, *row[7:]] for row in unmarked]
    truth = write(tmp_path / "gt.txt", rows(RIGHT, 1), ignored)
    assert scored(truth, write(tmp_path / "out.txt", rows(RIGHT, 1))).total.unique_true == 1


def test_an_empty_track_file_scores_nothing(tmp_path: Path) -> None:
    truth = write(tmp_path / "gt.txt", rows(RIGHT, 1))
    tracks = tmp_path / "out.txt"
    tracks.write_text("")
    scores = scored(truth, tracks)
    assert (scores.total.hota, scores.total.misses, scores.line_f1) == (0, len(RIGHT), 0)


def test_lines_of_a_configuration_are_crossed_on_their_own_length(tmp_path: Path) -> None:
    truth = write(tmp_path / "gt.txt", rows(RIGHT, 1))
    config = tmp_path / "lines.yaml"
    config.write_text(
        "streams: {gate: {source: x.mp4, lines: {low: {points: [[0.5, 1], [0.5, 0.6]], directions: [in, out]},"
        " high: {points: [[0.5, 0.4], [0.5, 0]]}}}}"
    )
    scores = scored(truth, truth, str(config))
    assert [(event.line, event.direction) for event in scores.lines[0].true] == [("low", "in")]


def test_without_a_size_there_are_no_lines_and_a_note_says_so(tmp_path: Path) -> None:
    truth = write(tmp_path / "gate" / "gt.txt", rows(RIGHT, 1))
    sequences, notes = with_lines(pair([truth], [truth], []), "0.5")
    assert score_tracks(sequences).lines == ()
    assert "No line crossings in gate" in notes[0]


def test_the_size_comes_from_seqinfo_and_a_moving_camera_has_no_lines(tmp_path: Path) -> None:
    truth = write(tmp_path / "gate" / "gt" / "gt.txt", rows(RIGHT, 1))
    (tmp_path / "gate" / "seqinfo.ini").write_text("[Sequence]\nimWidth=200\nimHeight=150\n")
    files = pair([truth], [truth], [])
    assert (files[0].name, files[0].size) == ("gate", (200, 150))
    assert with_lines(files, "0.5", ["gate"])[0][0][1] == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frame,id\n", "line 1: got 'frame,id', which is not a MOTChallenge row"),
        ("1,1,0,0,9,9\n\n1,2,3\n", "line 3: got '1,2,3', which is not a MOTChallenge row"),
        ("1,1,0,0,nan,9\n", "line 1: got '1,1,0,0,nan,9', which is not a MOTChallenge row"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "out.txt"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=words):
        read_rows(path)


def test_a_track_that_is_in_one_frame_twice_is_refused(tmp_path: Path) -> None:
    truth = write(tmp_path / "gt.txt", rows(RIGHT, 1))
    twice = write(tmp_path / "out.txt", rows(RIGHT, 1), rows(LEFT, 1))
    with pytest.raises(EvaluationError, match="track 1 occurs twice in frame 1"):
        scored(truth, twice)


def test_a_sequence_without_tracks_is_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / "truth" / name / "gt.txt", rows(RIGHT, 1))
    write(tmp_path / "tracks" / "one.txt", rows(RIGHT, 1))
    with pytest.raises(EvaluationError, match="two.txt: is missing"):
        pair([tmp_path / "truth"], [tmp_path / "tracks"], [])


def test_the_command_prints_tables_and_writes_json_and_a_page_without_network(
    tmp_path: Path, command: Command
) -> None:
    truth = write(tmp_path / "truth" / "gate" / "gt.txt", rows(RIGHT, 1))
    tracks = write(tmp_path / "tracks" / "gate.txt", rows(RIGHT, 1))
    code, out, err = command(
        "evaluate", "tracks", "--truth", truth.parents[1], "--tracks", tracks.parent, "--size", "200x200"
    )
    assert code == 0, err
    assert "HOTA 100.0 %" in out
    data = json.loads((tracks.parent / "evaluation.json").read_text())
    assert (data["hota"], data["line_f1"], data["lines"]["matched"]) == (pytest.approx(100), 100, 3)
    page = (tracks.parent / "evaluation.html").read_text()
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in page


def test_a_mistake_is_one_line(tmp_path: Path, command: Command) -> None:
    code, _, err = command("evaluate", "tracks", "--truth", tmp_path / "none.txt", "--tracks", tmp_path)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "cannot be read" in err


SIZES = {"KITTI-17": (1224, 370), "PETS09-S2L1": (768, 576), "TUD-Stadtmitte": (640, 480)}


@pytest.fixture(scope="module")
def public_tracks(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks of a crude tracker, which joins each detection to the nearest track of the frame before."""
    folder = tmp_path_factory.mktemp("tracks")
    for sequence in sorted((shared_data / "mot15").iterdir()):
        found = np.loadtxt(sequence / "det.txt", delimiter=",")
        lines, last, count = [], np.zeros((0, 3)), 0
        for frame in range(1, int(found[:, 0].max()) + 1):
            now = []
            for row in found[found[:, 0] == frame]:
                x, y = row[2] + row[4] / 2, row[3] + row[5]
                near = np.hypot(last[:, 1] - x, last[:, 2] - y) if len(last) else np.array([np.inf])
                if near.min() < 0.4 * row[4]:
                    track, last = last[near.argmin(), 0], np.delete(last, near.argmin(), axis=0)
                else:
                    count += 1
                    track = count
                now.append((track, x, y))
                lines.append(
                    f"{frame},{track:g},{row[2]:.2f},{row[3]:.2f},{row[4]:.2f},{row[5]:.2f},1,-1,-1,-1"
                )
            last = np.array(now).reshape(-1, 3)
        (folder / f"{sequence.name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_figures_agree_with_the_plain_scorer_on_public_sequences(
    shared_data: Path, public_tracks: Path
) -> None:
    scorer = shared_data.parent / "tools" / "mot15_eval.py"
    if not scorer.is_file():
        pytest.skip(f"{scorer} is missing")
    plain = subprocess.run(
        [sys.executable, scorer, "--truth", shared_data / "mot15", "--tracks", public_tracks],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()[-1]  # fmt: skip
    sizes = [f"{name}={width}x{height}" for name, (width, height) in SIZES.items()]
    sequences, notes = with_lines(pair([shared_data / "mot15"], [public_tracks], sizes), "0.25,0.5,0.75")
    scores = score_tracks(sequences)
    total = scores.total
    ours = (
        f"MOTA {total.mota:.1f}  IDF1 {total.idf1:.1f}  HOTA {total.hota:.1f}  switches {total.switches}  "
        f"unique-count error {total.unique_error:.1f} %  line F1 {scores.line_f1:.1f}  "
        f"line-count error {scores.line_error:.1f} %"
    )
    assert ours == plain
    assert "ETH-Sunnyday" in notes[0]
    assert len(tracks_report(scores, "public", notes).figures) == 7
