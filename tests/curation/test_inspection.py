"""`tallycam data inspect`, `convert` and `split` as a user calls them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.curation.inspection import inspect, varied
from pipeline.curation.samples import TILE, sample
from pipeline.datasets.formats import read_dataset
from tests.datasets.made import dataset_of
from tests.in_process import Command, command_of

BOW_TIE = [0, 0, 30, 30, 30, 0, 0, 30]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(capsys, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A COCO dataset of three images in two splits, of which two are the same file."""
    from pipeline.datasets.conversion import write_dataset

    first, second = np.zeros((2, 60, 80), bool)
    first[5:40, 10:40] = True
    second[30:55, 35:75] = True
    dataset = dataset_of(tmp_path / "made", [[first, second], [second], [first]], ("train", "val", "val"))
    write_dataset(dataset, tmp_path / "data", "coco")
    images = tmp_path / "data" / "images"
    shutil.copy(images / "train" / "cam 0" / "frame-0000.png", images / "val" / "cam 0" / "frame-0002.png")
    return tmp_path / "data"


def test_the_page_shows_what_is_wrong_and_samples_of_every_class(
    command: Command, data: Path, tmp_path: Path
) -> None:
    labels = data / "annotations" / "instances_train.json"
    content = json.loads(labels.read_text())
    content["annotations"].append(content["annotations"][0] | {"id": 99, "segmentation": [BOW_TIE]})
    content["images"].append({"id": 5, "file_name": "train/gone.png", "width": 8, "height": 8})
    labels.write_text(json.dumps(content))
    code, out, _ = command("data", "inspect", data, "--out", tmp_path / "page", columns=240)
    assert code == 0
    for words in (
        "self-crossing polygon",
        "missing image",
        "leak between splits",
        "images[1] (id 5)",
    ):
        assert words in out
    assert re.search(r"leaks: 1 \(", out) and re.search(r"images: 3 \(", out)
    page = (tmp_path / "page" / "inspect.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4  # three samples and the pair in two splits
    assert "Images in two splits" in page and "the polygon crosses itself" in page
    sheet = cv2.imread(str(tmp_path / "page" / "samples.png"))
    assert sheet.shape[1] == 3 * (TILE[0] + 12) + 12
    found = json.loads((tmp_path / "page" / "inspect.json").read_text())
    assert found["classes"] == {"person": 4, "forklift & co": 1, "crate <b>": 0}
    assert "crate &lt;b&gt;" in page and "crate <b>" not in page


def test_a_sample_is_tinted_inside_its_masks_alone(data: Path) -> None:
    dataset = read_dataset(data)
    image = next(one for one in dataset.images if one.split == "val")
    shown = sample(dataset, image).picture.astype(int)
    bare = sample(dataset, type(image)(image.path, image.width, image.height)).picture.astype(int)
    changed = np.abs(shown - bare).sum(axis=2) > 0
    x0, y0, x1, y1 = (round(value * shown.shape[1] / image.width) for value in image.instances[0].box_px)
    assert changed[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8].mean() > 0.99
    assert not changed[y1 + 60 :].any() and not changed[:, : x0 - 60].any()


def test_rare_classes_come_first_among_the_samples(tmp_path: Path) -> None:
    mask = np.ones((20, 20), bool)
    dataset = dataset_of(tmp_path, [[mask]] * 30 + [[mask, mask]])
    assert any(len(image.instances) == 2 for image in varied(dataset)[:2])


def test_what_cannot_be_read_is_reported_and_not_fatal(data: Path) -> None:
    path = data / "images" / "val" / "cam 1" / "frame-0001.png"
    path.write_bytes(path.read_bytes()[:100])
    found = inspect(read_dataset(data))
    assert [problem.kind for problem in found.problems if problem.left_out] == []
    path.write_bytes(b"nothing")
    found = inspect(read_dataset(data))
    assert [problem.kind for problem in found.problems if problem.left_out] == ["unreadable image"]
    assert len(found.dataset.images) == 2


def test_one_class_is_converted_by_its_name(command: Command, data: Path, tmp_path: Path) -> None:
    code, out, _ = command(
        "data", "convert", data, tmp_path / "yolo", "--to", "yolo", "--classes", "Forklift & co"
    )
    assert code == 0 and "1 images with 1 objects of 1 classes, YOLO segmentation text" in out
    assert read_dataset(tmp_path / "yolo").classes == ("forklift & co",)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--to", "tfrecord"], "--to: got 'tfrecord', expected one of coco, openimages"),
        (
            ["--to", "coco", "--classes", "pallet"],
            "has no class 'pallet'; it has person, forklift & co, crate <b>",
        ),
        (["--to", "coco", "--files", "move"], "--files: got 'move', expected one of copy, link, none"),
        (["--to", "coco", "--from", "x"], "got the format 'x', expected one of"),
        (["--to", "coco", "--images", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_mistakes_are_one_line(
    command: Command, data: Path, tmp_path: Path, arguments: list[str], text: str
) -> None:
    code, _, err = command("data", "convert", data, tmp_path / "out", *arguments)
    assert code == 2 and text in err and err.count("\n") == 1


def test_a_folder_with_something_in_it_is_not_written_to(command: Command, data: Path) -> None:
    code, _, err = command("data", "convert", data, data, "--to", "coco")
    assert code == 2 and "is not empty; give a new folder" in err


def test_a_dataset_is_divided_by_camera_without_copies_of_its_images(
    command: Command, data: Path, tmp_path: Path
) -> None:
    code, out, _ = command("data", "split", data, tmp_path / "out", "--by", "camera", "--val", "0.4")
    assert code == 0
    assert "train: " in out and "of 1 by camera: cam 0" in out
    divided = read_dataset(tmp_path / "out")
    assert {image.path.split("/")[-2]: image.split for image in divided.images} == {
        "cam 0": "train",
        "cam 1": "val",
    }
    assert divided.file(divided.images[0]).stat().st_nlink == 2
    code, _, err = command("data", "split", data, tmp_path / "other", "--val", "0")
    assert code == 2 and "expected shares above 0" in err
