"""`tallycam data refine`: outlines out of boxes, where colours allow."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.curation.refinement import outline_in_box
from pipeline.datasets.dataset import Box
from pipeline.datasets.formats import read_dataset
from pipeline.datasets.instance_masks import full_mask


def ellipse(
    width: int, height: int, box: Box, *, grey: int = 200
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture with noise and an ellipse that fills a box, and its mask."""
    x0, y0, x1, y1 = box
    y, x = np.mgrid[:height, :width] + 0.5
    inside = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1
    noise = np.random.default_rng(0).integers(-12, 13, (height, width, 3))
    picture = np.where(inside[..., None], (grey, 60, 40), (70, 90, 110)) + noise
    return np.clip(picture, 0, 255).astype(np.uint8), inside


def found_in(picture: NDArray[np.uint8], box: Box) -> NDArray[np.bool_]:
    (x, y), region = outline_in_box(picture, box)
    whole = np.zeros(picture.shape[:2], np.bool_)
    whole[y : y + region.shape[0], x : x + region.shape[1]] = region
    return whole


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((160, 120), (40.0, 30.0, 110.0, 90.0)),
        ((160, 120), (0.0, 10.0, 70.0, 120.0)),  # at the border of the picture
        ((1600, 1200), (200.0, 300.0, 1300.0, 900.0)),  # divided at a smaller scale
    ],
)
def test_an_object_of_another_colour_is_outlined(size: tuple[int, int], box: Box) -> None:
    picture, inside = ellipse(*size, box)
    found = found_in(picture, box)
    assert (found & inside).sum() / (found | inside).sum() > 0.95
    x0, y0, x1, y1 = map(int, box)
    found[y0:y1, x0:x1] = False
    assert found.sum() < 0.01 * inside.sum(), "nothing outside of the box"


def test_it_is_the_same_each_time() -> None:
    box = (40.0, 30.0, 110.0, 90.0)
    picture, _ = ellipse(160, 120, box, grey=120)
    np.testing.assert_array_equal(found_in(picture, box), found_in(picture, box))


@pytest.mark.parametrize("box", [(40.0, 30.0, 110.0, 90.0), (0.0, 0.0, 160.0, 120.0)])
def test_what_has_no_colour_of_its_own_keeps_its_box(box: Box) -> None:
    picture = np.full((120, 160, 3), 90, np.uint8)
    assert not found_in(picture, box).any()


def test_a_dataset_of_boxes_gets_outlines_and_the_rest_stays(tmp_path: Path) -> None:
    folder, out = tmp_path / "boxes", tmp_path / "refined"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    box = (40.0, 30.0, 110.0, 90.0)
    picture, inside = ellipse(160, 120, box)
    cv2.imwrite(str(folder / "images" / "one.png"), picture[:, :, ::-1])
    records = [
        {"bbox": [40, 30, 70, 60], "segmentation": []},
        {"bbox": [2, 2, 5, 5], "segmentation": []},
        {"bbox": [120, 90, 20, 20], "segmentation": [[120, 90, 140, 90, 140, 110]]},
    ]
    document = {
        "images": [{"id": 1, "file_name": "one.png", "width": 160, "height": 120}],
        "categories": [{"id": 1, "name": "pallet"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1} | one
            for number, one in enumerate(records, start=1)
        ],
    }
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(document))
    sheet = tmp_path / "sheet.png"
    done = CliRunner().invoke(app, ["data", "refine", str(folder), str(out), "--sheet", str(sheet)])
    assert done.exit_code == 0, done.output
    assert "1 refined, 1 too small" in done.output
    assert cv2.imread(str(sheet)) is not None
    (image,) = read_dataset(out).images
    refined, small, outlined = image.instances
    mask = full_mask(refined, image)
    assert (mask & inside).sum() / (mask | inside).sum() > 0.95
    assert not small.has_mask and outlined.has_mask and len(outlined.polygons[0]) == 3
