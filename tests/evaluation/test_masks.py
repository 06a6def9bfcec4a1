"""`tallycam evaluate masks`: COCO's scores and matches one by one, from every kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.evaluation.mask_files import read_found_masks, read_truth_masks
from pipeline.evaluation.mask_scores import MaskScores, score_masks
from pipeline.evaluation.masks_report import masks_report
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.report_page import evaluation_page
from pipeline.geometry.rle import encode
from pipeline.records.log import LogHeader, LogWriter
from pipeline.records.scene_truth import SceneTruth, write_truth
from pipeline.transport.messages import Instances
from tests.in_process import Command

pytest.importorskip("pycocotools", reason="pycocotools is not installed: tallycam[evaluate]")

SIDE = 100


def square(x: int, y: int, side: int = 40) -> dict[str, Any]:
    """Run lengths of a square."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + side, x : x + side] = True
    return {"size": [SIDE, SIDE], "counts": encode(mask)}


def truth_file(folder: Path, *objects: dict[str, Any]) -> Path:
    """A COCO document of two images, with persons (1) and cars (2)."""
    path = folder / "truth.json"
    data = {
        "images": [
            {"id": 5, "file_name": "photos/a.jpg", "width": SIDE, "height": SIDE},
            {"id": 9, "file_name": "photos/b.jpg", "width": SIDE, "height": SIDE},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
        "annotations": [
            {"id": number, "iscrowd": 0, "category_id": 1, "image_id": 5} | one
            for number, one in enumerate(objects, start=1)
        ],
    }
    path.write_text(json.dumps(data))
    return path


def results_file(folder: Path, *masks: dict[str, Any]) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps([{"image_id": 5, "category_id": 1, "score": 0.9} | one for one in masks]))
    return path


def scored(truth: Path, found: Path, score: float = 0.5) -> MaskScores:
    true = read_truth_masks(truth)
    return score_masks(true, read_found_masks(found, true), score)


def test_masks_that_are_the_truth_are_faultless(tmp_path: Path) -> None:
    one, other = (
        {"segmentation": square(10, 10)},
        {"segmentation": square(55, 50), "image_id": 9, "category_id": 2},
    )
    scores = scored(truth_file(tmp_path, one, other), results_file(tmp_path, one, other))
    total = scores.total
    assert (total.ap, total.ap50, total.iou, total.pixel_iou) == pytest.approx((100, 100, 100, 100))
    assert (total.precision_at, total.recall_at) == (100, 100)


def test_a_shifted_mask_has_its_iou_and_an_invented_one_costs_precision(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, {"segmentation": square(10, 10)})
    found = results_file(
        tmp_path, {"segmentation": square(20, 10)}, {"segmentation": square(55, 55), "score": 0.8}
    )
    person = scored(truth, found).classes[0]
    assert person.iou == pytest.approx(60)  # 30 of 50 columns
    assert person.precision_at == 50
    assert person.recall_at == 100
    assert person.pixel_iou == pytest.approx(100 * 1200 / (2000 + 1600))


def test_weak_masks_count_for_ap_alone(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, {"segmentation": square(10, 10)})
    person = scored(truth, results_file(tmp_path, {"segmentation": square(10, 10), "score": 0.3})).classes[0]
    assert person.ap50 == pytest.approx(100)
    assert (person.found, person.hits, person.iou_all) == (0, 0, 0)


def test_crowd_is_neither_missed_nor_wrong(tmp_path: Path) -> None:
    truth = truth_file(
        tmp_path, {"segmentation": square(10, 10)}, {"segmentation": square(55, 55), "iscrowd": 1}
    )
    both = results_file(tmp_path, {"segmentation": square(10, 10)}, {"segmentation": square(55, 55)})
    person = scored(truth, both).classes[0]
    assert (person.true, person.found, person.precision_at, person.pixel_iou) == (1, 1, 100, 100)


def test_another_class_on_the_same_pixels_is_a_miss_and_a_mistake(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, {"segmentation": square(10, 10)})
    scores = scored(truth, results_file(tmp_path, {"segmentation": square(10, 10), "category_id": 2}))
    assert (scores.total.true, scores.total.found, scores.total.hits) == (1, 1, 0)


def test_polygons_and_lists_of_counts_are_masks_too(tmp_path: Path) -> None:
    polygon = {"segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]]}
    first = {"size": [SIDE, SIDE], "counts": [0, 40 * SIDE, 60 * SIDE]}
    truth = truth_file(tmp_path, polygon, {"segmentation": first, "image_id": 9})
    found = results_file(tmp_path, {"segmentation": square(10, 10)}, {"segmentation": first, "image_id": 9})
    assert scored(truth, found).total.iou > 97


def test_images_of_a_document_are_found_by_their_file_names(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, {"segmentation": square(10, 10), "image_id": 9})
    document = {
        "images": [{"id": 1, "file_name": "/elsewhere/b.jpg"}, {"id": 2, "file_name": "c.jpg"}],
        "categories": [{"id": 7, "name": "person"}, {"id": 8, "name": "dog"}],
        "annotations": [
            {"image_id": 1, "category_id": 7, "segmentation": square(10, 10), "score": 0.7},
            {"image_id": 1, "category_id": 8, "segmentation": square(10, 10), "score": 0.7},
            {"image_id": 2, "category_id": 7, "segmentation": square(10, 10), "score": 0.7},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(document))
    true = read_truth_masks(truth)
    found = read_found_masks(tmp_path, true)
    assert [(mask.image, mask.class_name) for mask in found.masks] == [(1, "person")]
    assert "1 images are not in the truth" in found.notes[0]
    assert "dog" in found.notes[-1]


def test_the_tables_list_only_classes_that_occur_and_print_their_names_whole(
    tmp_path: Path, command: Command
) -> None:
    truth = truth_file(tmp_path, {"segmentation": square(10, 10)})
    data = json.loads(truth.read_text())
    names = ["skateboard rider", *(f"kind {number}" for number in range(2, 81))]
    data["categories"] = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    truth.write_text(json.dumps(data))
    found = results_file(
        tmp_path, {"segmentation": square(10, 10)}, {"segmentation": square(50, 50), "category_id": 7}
    )
    code, out, _ = command("evaluate", "masks", "--truth", truth, "--found", found, columns=80)
    assert code == 0
    assert "…" not in out
    assert "skateboard" in out.split() and "rider" in out.split()
    assert {"precision", "missed", "pixel"} <= set(out.split())
    assert "kind 7 " in out and "kind 8" not in out
    assert "78 classes without a true or found object are not listed." in out
    assert len(json.loads((tmp_path / "evaluation.json").read_text())["classes"]) == 80


def scene_and_log(folder: Path) -> tuple[Path, Path]:
    """Two frames of a rendered scene's truth, and the log of a model that saw the second and found its object."""
    counts = square(20, 20)["counts"]
    frames = tuple(((1, "person", (20, 20, 60, 60), 1.0, (40.0, 60.0), counts),) for _ in range(2))
    whole = {
        "seed": 1, "width": SIDE, "height": SIDE, "fps": 10.0, "layout": {"lines": [], "zones": []},
        "unique": {"person": 1}, "lines": {}, "zones": {}, "crossings": [], "entries": [], "ignored": [],
        "frames": frames,
    }  # fmt: skip
    truth = folder / "truth.json.gz"
    write_truth(msgspec.convert(whole, SceneTruth), truth)
    log = folder / "log" / "gate.log"
    with LogWriter(log, LogHeader(stream="gate", classes=("person",), width=SIDE, height=SIDE)) as writer:
        writer.append(
            Instances(
                stream="gate", epoch=0, seq=0, index=1, pts_s=0.1, wall_s=0.0, width=SIDE, height=SIDE,
                boxes_px=np.array([[20, 20, 60, 60]], np.float32), scores=np.array([0.9], np.float32),
                class_ids=np.zeros(1, np.int16), masks=np.full((1, 28, 28), 255, np.uint8),
            )
        )  # fmt: skip
    return truth, log


def test_a_log_in_segments_is_found_in_the_folder_of_a_run(tmp_path: Path) -> None:
    truth, log = scene_and_log(tmp_path)
    log.with_suffix("").mkdir()
    log.rename(log.with_suffix("") / "000000000000.log")
    (log.parent / "run.log").write_text("started\n")
    true = read_truth_masks(truth)
    for place in (tmp_path, log.with_suffix("")):
        assert score_masks(true, read_found_masks(place, true)).total.true == 1


def test_a_log_is_held_against_a_rendered_scene_where_it_saw_it(tmp_path: Path) -> None:
    truth, log = scene_and_log(tmp_path)
    true = read_truth_masks(truth)
    found = read_found_masks(log.parents[1], true)
    scores = score_masks(true, found)
    assert (scores.images, scores.total.true, scores.total.iou) == (1, 1, 100)
    assert "1 of 2 frames are not in the log" in found.notes[0]
    assert "score of 0.90 or more" in found.notes[1]


def test_the_page_names_classes_safely(tmp_path: Path) -> None:
    one = {"segmentation": square(10, 10)}
    scores = scored(truth_file(tmp_path, one), results_file(tmp_path, one))
    page = evaluation_page(masks_report(scores, [], "<script>alert(1)</script>"))
    assert "<script>alert" not in page
    assert "IoU by class" in page


def test_what_is_no_truth_is_one_line(tmp_path: Path, command: Command) -> None:
    (tmp_path / "t.json").write_text("{}")
    code, _, err = command("evaluate", "masks", "--truth", tmp_path / "t.json", "--found", tmp_path)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "is no truth of masks" in err


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, {"segmentation": square(10, 10)})
    found = results_file(tmp_path, {"segmentation": {"size": [50, 50], "counts": "0"}})
    with pytest.raises(EvaluationError, match="a mask of"):
        scored(truth, found)
