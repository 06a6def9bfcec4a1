"""COCO documents: what is read from them, and what is said about those with faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.coco_reader import read_coco
from pipeline.datasets.image_files import read_image
from pipeline.datasets.instance_masks import full_mask
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.usable import usable

SQUARE = [10, 10, 30, 10, 30, 20, 10, 20]
"""20 x 10 pixels."""


def document(folder: Path, *annotations: dict[str, Any], **changes: Any) -> Path:
    """A COCO document with one image of 64 x 48 and the given annotations."""
    picture = folder / "images" / "a.png"
    picture.parent.mkdir(exist_ok=True)
    Image.new("RGB", (64, 48), "grey").save(picture)
    data = {
        "images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 48}],
        "categories": [{"id": 3, "name": "pallet"}, {"id": 90, "name": "crate"}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 90, **one} for n, one in enumerate(annotations, start=1)
        ],
    } | changes
    path = folder / "labels.json"
    path.write_text(json.dumps(data))
    return path


def test_polygons_run_lengths_and_boxes_are_the_same_square(tmp_path: Path) -> None:
    counts = [10 * 48 + 10, *[10, 38] * 19, 10, 48 * 64 - 10 * 48 - 10 - 19 * 48 - 10]
    path = document(
        tmp_path,
        {"segmentation": [SQUARE]},
        {"segmentation": {"size": [48, 64], "counts": counts}, "iscrowd": 1},
        {"segmentation": [], "bbox": [10, 10, 20, 10]},
    )
    dataset = read_coco(path)
    assert dataset.root == tmp_path / "images" and dataset.classes == ("pallet", "crate")
    (image,) = dataset.images
    square = np.zeros((48, 64), bool)
    square[10:20, 10:30] = True
    for instance in image.instances:
        assert instance.box_px == (10, 10, 30, 20) and instance.class_id == 1
        assert np.array_equal(full_mask(instance, image), square)
    assert [one.crowd for one in image.instances] == [False, True, False]
    assert not dataset.problems and not usable(dataset).problems
    assert read_image(dataset, image).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (
            {"segmentation": [[1, 2, 3]]},
            "got a polygon of 3 numbers, expected x and y of at least 3 vertices",
        ),
        ({"segmentation": [[5, 5, 5, 9, 5, 20]]}, "the polygon has no area"),
        ({"segmentation": [[float("nan"), 5, 9, 9, 5, 20]]}, "not a number"),
        ({"segmentation": [[100, 100, 120, 100, 120, 120]]}, "outside of the 64x48 image"),
        ({"segmentation": {"size": [10, 10], "counts": [100]}}, "a mask of 10x10 in an image of 64x48"),
        ({"segmentation": {"size": [48, 64], "counts": "zz"}}, "mask: "),
        ({"segmentation": {"size": [48, 64], "counts": [3072]}}, "the mask is empty"),
        ({"bbox": [5, 5, 0, 10]}, "the box [5, 5, 5, 15] has no area"),
        ({"bbox": [5, 5]}, "neither a segmentation nor a bbox"),
        ({"category_id": 4, "bbox": [1, 1, 5, 5]}, "there is no category with the id 4"),
        ({"image_id": 8, "bbox": [1, 1, 5, 5]}, "there is no image with the id 8"),
        ({"segmentation": "all of it"}, "Expected `array`, got `str`"),
    ],
)
def test_a_faulty_annotation_is_left_out_and_named(
    tmp_path: Path, annotation: dict[str, Any], text: str
) -> None:
    path = document(tmp_path, annotation, {"segmentation": [SQUARE]})
    dataset = read_coco(path)
    (problem,) = dataset.problems
    assert problem.where == f"{path}: annotations[0] (id 1)" and text in problem.text
    assert [len(image.instances) for image in dataset.images] == [1]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.png", "C:\\a.png", "..\\a.png", "", "a\0.png"]
)
def test_a_file_name_that_leads_out_of_the_dataset_is_refused(tmp_path: Path, name: str) -> None:
    images = [{"id": 7, "file_name": name, "width": 64, "height": 48}]
    path = document(tmp_path, {"segmentation": [SQUARE]}, images=images)
    dataset = read_coco(path)
    problem, nothing = dataset.problems
    assert problem.where == f"{path}: images[0] (id 7)" and "file name" in problem.text
    assert nothing.kind == "no images"
    assert not dataset.images


def test_images_that_are_missing_or_of_another_size_cannot_be_used(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "gone.png", "width": 64, "height": 48},
        {"id": 2, "file_name": "a.png", "width": 640, "height": 480},
    ]
    dataset = usable(read_coco(document(tmp_path, images=images)))
    assert not dataset.images
    assert [problem.kind for problem in dataset.problems] == ["missing image", "wrong size"]
    assert "has 64x48 pixels, its labels are for 640x480" in dataset.problems[1].text


def test_the_line_of_a_mistake_in_the_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"images": [],\n "categories": [,]}')
    with pytest.raises(DatasetError, match=r"labels.json:2: is not JSON: Expecting value, column 17"):
        read_coco(path)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"images": 3, "categories": [], "annotations": []}', "\xff", ""]
)
def test_what_is_no_coco_document_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match="labels.json") as error:
        read_coco(path)
    assert "\n" not in str(error.value)
