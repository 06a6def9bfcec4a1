"""What is found right, wrong or not at all, image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.image_matches import best_score, confusion, match_images, worst
from pipeline.evaluation.mask_files import FoundMasks, Mask, TrueMasks
from pipeline.evaluation.worst_images import WRONG, draw
from pipeline.geometry.rle import encode
from tests.evaluation.test_masks import results_file, square, truth_file
from tests.in_process import Command

pytest.importorskip("pycocotools", reason="pycocotools is not installed: tallycam[evaluate]")

SIDE = 64


def box(image: int, name: str, x: int, y: int, score: float = 1.0, *, crowd: bool = False) -> Mask:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + 20, x : x + 20] = True
    return Mask(image, name, {"size": [SIDE, SIDE], "counts": encode(mask)}, score, crowd)


def truth(*masks: Mask, images: int = 1) -> TrueMasks:
    names = tuple(f"{number}.jpg" for number in range(images))
    return TrueMasks(names, ((SIDE, SIDE),) * images, ("cat", "dog"), masks)


def test_a_cat_that_is_taken_for_a_dog_is_confusion_not_a_miss() -> None:
    true = truth(box(0, "cat", 0, 0), box(0, "dog", 40, 0))
    found = FoundMasks((box(0, "dog", 2, 0, 0.9), box(0, "dog", 40, 40, 0.8)))
    table = confusion(match_images(true, found), true.classes)
    assert table.tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_a_mask_below_the_score_is_not_found() -> None:
    true = truth(box(0, "cat", 0, 0))
    (one,) = match_images(true, FoundMasks((box(0, "cat", 0, 0, 0.4),)), score=0.5)
    assert (len(one.pairs), len(one.missed), len(one.false)) == (0, 1, 0)


def test_an_object_is_found_once_and_a_crowd_any_number_of_times() -> None:
    true = truth(box(0, "cat", 0, 0), box(0, "dog", 40, 0, crowd=True))
    found = FoundMasks((
        box(0, "cat", 0, 0, 0.9), box(0, "cat", 1, 0, 0.8), box(0, "dog", 40, 0, 0.7), box(0, "dog", 41, 0, 0.6),
    ))  # fmt: skip
    (one,) = match_images(true, found)
    assert (len(one.pairs), len(one.missed), [mask.score for mask in one.false]) == (1, 0, [0.8])


def test_the_image_with_most_mistakes_comes_first_and_those_without_are_left_out() -> None:
    true = truth(box(0, "cat", 0, 0), box(1, "cat", 0, 0), box(2, "cat", 0, 0), images=3)
    found = FoundMasks((box(0, "cat", 0, 0, 0.9), box(2, "cat", 40, 40, 0.9)))
    assert [one.image for one in worst(match_images(true, found), 9)] == [2, 1]


def test_the_best_score_is_between_what_is_right_and_what_is_false() -> None:
    true = truth(box(0, "cat", 0, 0), box(0, "cat", 40, 0))
    found = FoundMasks((box(0, "cat", 0, 0, 0.9), box(0, "cat", 40, 0, 0.8), box(0, "cat", 40, 40, 0.52)))
    assert best_score(match_images(true, found, 0.05)) == pytest.approx(0.55)


def test_what_is_missed_is_outlined_in_red() -> None:
    true = truth(box(0, "cat", 20, 20))
    (one,) = match_images(true, FoundMasks(()))
    picture = draw(np.zeros((SIDE, SIDE, 3), np.uint8), one)
    assert np.abs(picture[39, 30].astype(int) - WRONG).max() < 30
    assert tuple(picture[30, 30]) == (0, 0, 0)


def test_the_worst_images_are_drawn_on_demand(tmp_path: Path, command: Command) -> None:
    import cv2

    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.jpg"), np.full((100, 100, 3), 90, np.uint8))
    true = truth_file(
        tmp_path, {"segmentation": square(10, 10)}, {"segmentation": square(50, 50), "image_id": 9}
    )
    found = results_file(tmp_path, {"segmentation": square(10, 10)})
    code, said, _ = command("evaluate", "masks", "--truth", true, "--found", found, "--images", tmp_path)
    assert code == 0
    assert "Confusion" in said
    assert [path.name for path in (tmp_path / "worst").iterdir()] == ["01-b.jpg"]
    assert "data:image/jpeg;base64," in (tmp_path / "evaluation.html").read_text()
