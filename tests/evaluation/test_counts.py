"""`tallycam evaluate counts`: events of a run against true ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.demo.clip import DEMO_TRUTH
from pipeline.evaluation.count_truth import read_count_truth
from pipeline.evaluation.counts import CountScores, score_counts
from pipeline.evaluation.counts_report import counts_report
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.report_page import evaluation_page
from pipeline.records.event import CountEvent
from pipeline.records.events import EventStore
from pipeline.records.summary import StreamSummary, build, write_json
from tests.in_process import Command

FPS = 25


def crossing(
    time_s: float, direction: str = "in", name: str = "door", class_name: str = "person"
) -> CountEvent:
    frame = round(time_s * FPS)
    return CountEvent("gate", "line", name, class_name, direction, frame, 0, frame, frame, time_s, 1e9 + time_s,
                      0.9, (0.0, 0.0, 10.0, 20.0))  # fmt: skip


def entry(time_s: float, direction: str = "entry") -> CountEvent:
    frame = round(time_s * FPS)
    return CountEvent("gate", "zone", "hall", "person", direction, frame, 0, frame, frame, time_s, 1e9 + time_s,
                      0.9, (0.0, 0.0, 10.0, 20.0))  # fmt: skip


def run_folder(folder: Path, *events: CountEvent, unique: dict[str, int] | None = None) -> Path:
    """What a run leaves."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "run.json", {"run": "r1", "lives": 1, "started_s": 0.0})
    summary = StreamSummary(
        decoded=500, processed=500, counts={"unique": unique or {}}, extra={"media_s": 20.0}
    )
    write_json(folder / "summary.json", build({"gate": summary}))
    with EventStore(f"sqlite:///{folder / 'events.db'}", "r1") as store:
        store.write(events)
    return folder


def table(folder: Path, *rows: str, header: str = "time_s,line,class,direction") -> Path:
    path = folder / "truth.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def scored(truth: Path, folder: Path) -> CountScores:
    return score_counts(read_count_truth(truth), folder)


def test_each_crossing_is_right_missed_or_not_there(tmp_path: Path) -> None:
    truth = table(tmp_path, "2.0, door, person, in", "5.0, door, person, out", "9.0, door, car, in")
    folder = run_folder(tmp_path, crossing(2.3), crossing(5.0, "in"), crossing(9.2, class_name="car"))
    lines = scored(truth, folder).lines
    assert (lines.hits, len(lines.true), len(lines.counted)) == (2, 3, 3)
    assert lines.f1 == pytest.approx(200 * 2 / 6)
    out = lines.only(lambda event: event.direction == "out")
    assert (out.hits, len(out.true), len(out.counted), out.f1) == (0, 1, 0, 0)


def test_a_crossing_counted_too_late_is_missed(tmp_path: Path) -> None:
    truth = table(tmp_path, "2.0,door,person,in")
    assert scored(truth, run_folder(tmp_path, crossing(3.5))).lines.hits == 0


def test_a_line_that_the_truth_does_not_tell_of_is_left_out_and_said(tmp_path: Path) -> None:
    truth = table(tmp_path, "2.0,door,person,in")
    scores = scored(truth, run_folder(tmp_path, crossing(2.0), crossing(3.0, name="back")))
    assert (scores.lines.f1, scores.left_out) == (100, ("back",))
    assert "back" in counts_report(scores, "x").notes[0]


def test_zones_and_unique_objects_come_from_the_same_table(tmp_path: Path) -> None:
    truth = table(
        tmp_path, "zone,4.0,hall,person,entry", "zone,6.0,hall,person,exit", "unique,,,person,", "unique,,,person,",
        header="kind,time_s,line,class,direction",
    )  # fmt: skip
    folder = run_folder(
        tmp_path, entry(4.1), entry(6.5, "exit"), entry(9, "entry"), unique={"person": 3, "car": 1}
    )
    scores = scored(truth, folder)
    assert (scores.zones.hits, len(scores.zones.counted)) == (2, 3)
    assert scores.unique == {"car": (1, 0), "person": (3, 2)}
    assert scores.unique_error == 100


def test_json_tells_the_same_as_csv(tmp_path: Path) -> None:
    records = [{"time_s": 2.0, "line": "door", "class": "person", "direction": "in"}]
    (tmp_path / "t.json").write_text(json.dumps({"events": records, "unique": {"person": 1}}))
    truth = read_count_truth(tmp_path / "t.json")
    assert truth.events == read_count_truth(table(tmp_path, "2.0,door,person,in")).events
    assert truth.unique == {"person": 1}


def test_the_truth_of_the_bundled_clip_is_read_and_events_are_told_by_frames(tmp_path: Path) -> None:
    truth = read_count_truth(DEMO_TRUTH)
    assert (truth.fps, truth.end_s, len(truth.events)) == (25.0, 30.0, 23)
    first = next(event for event in truth.events if event.kind == "line")
    event = crossing(first.time_s, first.direction, first.name, first.class_name)
    late = CountEvent(**{name: getattr(event, name) for name in CountEvent.__slots__} | {"pts_s": 25.0})
    scores = scored(DEMO_TRUTH, run_folder(tmp_path, late, unique=dict(truth.unique or {})))
    assert (scores.lines.hits, scores.unique_error) == (1, 0)


def test_exits_are_no_mistake_where_the_truth_tells_entries_alone(tmp_path: Path) -> None:
    truth = read_count_truth(DEMO_TRUTH)
    zone = next(iter(truth.zones))
    left = CountEvent("gate", "zone", zone, "person", "exit", 1, 0, 9, 9, 0.4, 1e9, 0.9, (0.0, 0.0, 1.0, 1.0))
    assert scored(DEMO_TRUTH, run_folder(tmp_path, left)).zones.counted == ()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("soon,door,person,in", "record 1: time_s: got 'soon'"),
        ("2.0,,person,in", "record 1: line"),
        ("nan,door,person,in", "record 1: time_s"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        read_count_truth(table(tmp_path, row))


def test_the_page_shows_missed_and_false_events(tmp_path: Path) -> None:
    truth = table(tmp_path, "2.0,door,person,in", "5.0,door,person,out")
    report = counts_report(scored(truth, run_folder(tmp_path, crossing(2.1), crossing(12.0))), "x")
    page = evaluation_page(report)
    for mark in ('class="mark hit"', 'class="mark miss"', 'class="mark extra"'):
        assert page.count(mark) >= 2  # in the legend and in the plot
    assert [(one["what"], one["time_s"]) for one in report.data["wrong"]] == [
        ("missed", 5.0),
        ("false", 12.0),
    ]


def test_the_command_writes_beside_the_run(tmp_path: Path, command: Command) -> None:
    truth = table(tmp_path, "2.0,door,person,in")
    folder = run_folder(tmp_path / "out", crossing(2.1), unique={"person": 1})
    code, out, err = command("evaluate", "counts", "--truth", truth, "--run", folder)
    assert code == 0, err
    assert "line crossings, F1 100.0 %" in out
    assert json.loads((folder / "evaluation.json").read_text())["lines"]["f1"] == 100
    assert (folder / "evaluation.html").is_file()


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, command: Command) -> None:
    code, _, err = command("evaluate", "counts", "--truth", DEMO_TRUTH, "--run", tmp_path)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "expected a finished run" in err
