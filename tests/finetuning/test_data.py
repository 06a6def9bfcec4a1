"""Which images are learnt from and which are held out, and what is said of datasets that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.datasets.conversion import write_dataset
from pipeline.datasets.formats import read_dataset
from pipeline.datasets.problems import DatasetError
from pipeline.finetuning.data import read_training_data
from tests.finetuning import toys


def test_a_folder_with_two_documents_is_divided_as_they_say(tmp_path: Path) -> None:
    data = toys.data(tmp_path, train=3, val=2)
    assert [Path(image.image.path).name for image in data.train] == ["train0.png", "train1.png", "train2.png"]
    assert [Path(image.image.path).name for image in data.val] == ["val0.png", "val1.png"]
    assert data.counts(data.train) == {"ball": 3, "brick": 3}


def test_classes_are_learnt_in_the_order_asked_for_and_others_are_background(tmp_path: Path) -> None:
    data = read_training_data(toys.write(tmp_path), ["brick"])
    assert data.classes == ("brick",)
    assert [len(image.objects) for image in data.train] == [1] * 4


def test_one_class_of_an_open_images_folder_is_learnt_from_its_masks(tmp_path: Path) -> None:
    dataset = read_dataset(toys.write(tmp_path / "coco", train=3, val=2))
    write_dataset(dataset, tmp_path / "open", "openimages", "copy")
    data = read_training_data(tmp_path / "open", ["Brick"])
    assert data.classes == ("brick",)
    assert (data.counts(data.train), data.counts(data.val)) == ({"brick": 3}, {"brick": 2})
    image = data.train[0]
    assert image.mask(image.objects[0]).sum() == toys.picture(1)[1][1][1].sum()


def test_frames_of_one_clip_are_never_on_both_sides_of_a_division(tmp_path: Path) -> None:
    names = [f"clip{clip}_{frame:03}.png" for clip in range(8) for frame in range(5)]
    (tmp_path / "all.json").write_text(json.dumps(toys.document(tmp_path, names)))
    data = read_training_data(tmp_path / "all.json", ())
    learnt, held_out = (
        {Path(image.image.path).name.split("_")[0] for image in part} for part in (data.train, data.val)
    )
    assert not learnt & held_out
    assert 4 <= len(data.val) <= 15
    assert len(data.train) + len(data.val) == 40
    assert "stay together" in data.notes[0]


def test_a_class_that_is_not_there_is_one_line_that_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no balls, it has ball, brick; did you mean ball"):
        read_training_data(toys.write(tmp_path), ["balls"])


def test_a_class_without_an_object_to_evaluate_on_is_refused(tmp_path: Path) -> None:
    toys.write(tmp_path)
    val = json.loads((tmp_path / "val.json").read_text())
    val["annotations"] = [one for one in val["annotations"] if one["category_id"] == 1]
    (tmp_path / "val.json").write_text(json.dumps(val))
    with pytest.raises(DatasetError, match="no brick to evaluate on"):
        read_training_data(tmp_path, ())


def test_an_image_that_is_missing_is_told_and_left_out(tmp_path: Path) -> None:
    toys.write(tmp_path)
    (tmp_path / "images" / "train1.png").unlink()
    data = read_training_data(tmp_path, ())
    assert len(data.train) == 3
    assert any("train1.png" in note for note in data.notes)
