"""Counting the past again: the same lines give the same counts, other lines give theirs, without a model."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from pipeline.geometry.mask_paste import paste_mask
from pipeline.geometry.rle import decode
from pipeline.records.log import LogWriter, read_log
from tests.running import counts, scene, tallycam


def test_the_log_of_a_run_gives_the_counts_of_the_run(tmp_path: Path) -> None:
    config = scene(tmp_path, 150)
    out = tmp_path / "out"
    assert tallycam("run", config, "--out", out, "--set", "output.video.codec=none")[0] == 0
    (tmp_path / "clip.mp4").unlink()
    (tmp_path / "made.log").unlink()
    code, shown, err = tallycam(
        "recount", out / "log" / "gate.log", config, "--json", tmp_path / "again.json"
    )
    assert code == 0, err
    assert "middle" in shown
    again = json.loads((tmp_path / "again.json").read_text())["streams"]["gate"]
    calm = counts(out)
    same = ("unique", "uncertain", "doubtful", "lines", "zones")
    assert {key: again[key] for key in same} == {key: calm[key] for key in same}


def test_a_new_line_counts_the_past(tmp_path: Path) -> None:
    config = scene(tmp_path, 150)
    moved = "streams.gate.lines={new: {points: [[0.6, 1.0], [0.6, 0.0]], directions: [east, west]}}"
    code, shown, err = tallycam("recount", tmp_path / "made.log", config, "--set", moved)
    assert code == 0, err
    assert "line new" in shown
    assert "east" in shown


def test_it_draws_where_objects_went(tmp_path: Path) -> None:
    config = scene(tmp_path, 60)
    code, _, err = tallycam("recount", tmp_path / "made.log", config, "--heatmap", tmp_path / "went.png")
    assert code == 0, err
    assert (tmp_path / "went.png").read_bytes().startswith(b"\x89PNG")


def test_a_higher_score_leaves_weak_instances_out(tmp_path: Path) -> None:
    config = scene(tmp_path, 60)
    again = tmp_path / "again.json"
    arguments = ("recount", tmp_path / "made.log", config, "--json", again)
    assert tallycam(*arguments)[0] == 0
    assert json.loads(again.read_text())["streams"]["gate"]["unique"]["person"] > 0
    assert tallycam(*arguments, "--set", "model.score=0.95")[0] == 0
    assert sum(json.loads(again.read_text())["streams"]["gate"]["unique"].values()) == 0


def part_of(tmp_path: Path, *arguments: str, start: str = "unknown", **stream: object) -> dict[str, Any]:
    """The counts of a part of a log of 150 frames at 25 frames per second."""
    (tmp_path / "made.log").unlink(missing_ok=True)
    config = scene(tmp_path, 150, start=start, **stream)
    again = tmp_path / "again.json"
    code, _, err = tallycam("recount", tmp_path / "made.log", config, *arguments, "--json", again)
    assert code == 0, err
    result: dict[str, Any] = json.loads(again.read_text())["streams"]["gate"]
    return result


def crossings(counts: dict[str, Any]) -> int:
    return sum(counts["lines"]["middle"]["person"].values())


def test_a_part_by_media_time_is_counted_as_if_nothing_else_were_there(tmp_path: Path) -> None:
    whole = part_of(tmp_path)
    parts = [part_of(tmp_path, "--to", "3"), part_of(tmp_path, "--from", "3")]
    assert [one["frames"]["processed"] for one in parts] == [75, 75]
    assert 0 < crossings(parts[0]) < crossings(whole)
    assert part_of(tmp_path, "--from", "1", "--to", "2.5")["frames"]["processed"] == 38, (
        "with 1.00, without 2.50"
    )


def test_a_part_by_the_clock_is_that_of_the_recording(tmp_path: Path) -> None:
    start = "2026-03-29T01:59:59+01:00"
    hour = ("--from", "2026-03-29T03:00", "--to", "2026-03-29T01:00:02Z", "--set", "time_zone=Europe/Berlin")
    assert part_of(tmp_path, *hour, start=start)["frames"]["processed"] == 50


def test_a_part_by_the_clock_is_that_of_the_camera(tmp_path: Path) -> None:
    config = scene(tmp_path, 2, source="rtsp://camera.invalid/1")
    began_s = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
    header, records = read_log(tmp_path / "made.log")
    (first, _) = records
    with LogWriter(tmp_path / "camera.log", header) as log:
        for seq in range(100):
            log.append(
                msgspec.structs.replace(first, seq=seq, index=seq, pts_s=seq / 10, wall_s=began_s + 60 * seq)
            )
    again = tmp_path / "again.json"
    span = ("--from", "2026-03-29T01:30:00Z", "--to", "2026-03-29T02:00:00Z")
    code, _, err = tallycam("recount", tmp_path / "camera.log", config, *span, "--json", again)
    assert code == 0, err
    assert json.loads(again.read_text())["streams"]["gate"]["frames"]["processed"] == 30


@pytest.mark.parametrize(("arguments", "says"), [
    (("--from", "2026-03-29T01:00"), "--from: when the recording was made is not known; give seconds of media time"),
    (("--to", "soon"), "--to: got 'soon', expected seconds of media time, such as 90, or a time such as"),
    (("--from", "-1"), "--from: got '-1', expected seconds of media time"),
    (("--from", "nan"), "--from: got 'nan', expected seconds of media time"),
    (("--from", "3", "--to", "3"), "--to: 3 is not after --from 3"),
    (("--from", "30"), "made.log has no frames between 30 and its end"),
])  # fmt: skip
def test_a_part_that_cannot_be_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    config = scene(tmp_path, 50, start="unknown")
    code, _, err = tallycam("recount", tmp_path / "made.log", config, *arguments)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_a_file_that_is_no_log_is_one_line(tmp_path: Path) -> None:
    config = scene(tmp_path, 2)
    code, _, err = tallycam("recount", config, config)
    assert code == 2
    assert "is not an instances log" in err
    assert len(err.strip().splitlines()) == 1


# -- masks ------------------------------------------------------------------------------------------------


def masks_of(log: Path) -> dict[int, list[np.ndarray]]:
    """Frame -> the masks of its instances, (H, W) bool each."""
    _, records = read_log(log)
    return {
        one.index: [
            paste_mask(mask, box, one.width, one.height)
            for mask, box in zip(one.masks, one.boxes_px, strict=True)
        ]
        for one in records
    }


def test_the_masks_of_a_run_are_those_of_its_log_with_the_numbers_of_its_objects(tmp_path: Path) -> None:
    config, log = scene(tmp_path, 60), tmp_path / "made.log"
    code, _, err = tallycam("recount", log, config, "--masks", tmp_path / "out" / "masks.json")
    assert code == 0, err
    document = json.loads((tmp_path / "out" / "masks.json").read_text())
    assert [one["frame_index"] for one in document["images"]] == list(range(60))
    logged, numbers = masks_of(log), set()
    frame_of = {one["id"]: one["frame_index"] for one in document["images"]}
    for one in document["annotations"]:
        height, width = one["segmentation"]["size"]
        mask = decode(one["segmentation"]["counts"], height, width)
        assert any(np.array_equal(mask, other) for other in logged[frame_of[one["image_id"]]])
        assert one["area"] == mask.sum() > 0
        numbers.add(one["track_id"])
    json_file = tmp_path / "counts.json"
    assert tallycam("recount", log, config, "--json", json_file)[0] == 0
    unique = sum(json.loads(json_file.read_text())["streams"]["gate"]["unique"].values())
    assert len(numbers) == unique > 2
    assert [name["name"] for name in document["categories"]] == list(read_log(log)[0].classes)


def test_masks_as_pictures_hold_the_numbers_of_the_objects(tmp_path: Path) -> None:
    config, log, folder = scene(tmp_path, 40), tmp_path / "made.log", tmp_path / "masks"
    code, _, err = tallycam("recount", log, config, "--masks", folder, "--from", "0.4")
    assert code == 0, err
    pictures = sorted(folder.glob("*.png"))
    assert [path.stem for path in pictures] == [f"{index:09d}" for index in range(10, 40)]
    last = cv2.imread(str(pictures[-1]), cv2.IMREAD_UNCHANGED)
    assert last.dtype == np.uint16
    painted = np.any(masks_of(log)[39], axis=0)
    assert last.any() and not last[~painted].any()
    rows = (folder / "objects.csv").read_text().splitlines()
    assert rows[0] == "object,class" and {int(row.split(",")[0]) for row in rows[1:]} >= set(
        np.unique(last)
    ) - {0}
    code, _, err = tallycam("recount", log, config, "--masks", folder)
    assert code == 2 and "is not empty; give a new folder with --masks" in err
