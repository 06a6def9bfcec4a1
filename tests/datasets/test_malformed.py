"""Files with faults: each is named with file and record, the rest is read, and nothing ends in a traceback."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.conversion import write_dataset
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.formats import FORMATS, read_dataset
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.usable import usable
from tests.datasets.made import dataset_of

LABELS = {".json", ".xml", ".txt", ".csv", ".yaml", ".png"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    first, second = np.zeros((2, 40, 60), bool)
    first[5:20, 10:30] = True
    second[22:35, 30:50] = second[25:28, 5:9] = True
    return dataset_of(tmp_path_factory.mktemp("made"), [[first, second], [second]], ("train", "val"))


def written(dataset: Dataset, form: str, out: Path) -> Path:
    write_dataset(dataset, out, form)
    return out


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a part removed, doubled, replaced, or with something else in it."""
    begin = rng.randrange(len(data) or 1)
    end = min(begin + rng.choice([1, 2, 5, 40, 400]), len(data))
    part = data[begin:end]
    other = rng.choice(
        [b"", part * 2, b"\xff\x00", b"-1", b"NaN", b"1e999", b"[", b'"', b"../../x", b"9" * 30]
    )
    return data[:begin] + other + data[end:]


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_labels_never_end_in_a_traceback(form: str, made: Dataset, tmp_path: Path) -> None:
    out = written(made, form, tmp_path / "out")
    files = sorted(path for path in out.rglob("*") if path.suffix in LABELS)
    rng = random.Random(7)
    for _ in range(60):
        path = rng.choice(files)
        before = path.read_bytes()
        path.write_bytes(mutated(before, rng))
        try:
            dataset = usable(read_dataset(out, form=form))
        except DatasetError as error:
            assert "\n" not in str(error) and str(out) in str(error)
        else:
            assert all("\n" not in str(problem) and str(out) in problem.where for problem in dataset.problems)
            assert all(image.instances is not None for image in dataset.images)
        path.write_bytes(before)


def only_problem(folder: Path, form: str) -> str:
    (problem,) = usable(read_dataset(folder, form=form)).problems
    return str(problem).replace(str(folder), "DATA")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_line_of_yolo_with_a_word_in_it(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "yolo", tmp_path / "out")
    labels = next(out.glob("labels/train/**/*.txt"))
    labels.write_text(labels.read_text() + "\n1 0.2 0.3 half 0.4 0.5 0.6\n")
    where = labels.relative_to(out)
    assert only_problem(out, "yolo") == f"DATA/{where}:4: expected a class number and coordinates (left out)"


def test_a_line_of_yolo_in_pixels(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "yolo", tmp_path / "out")
    labels = next(out.glob("labels/val/**/*.txt"))
    labels.write_text(labels.read_text() + "1 20 30 40 50 60 70\n")
    assert "txt:2: has a coordinate far outside of 0 to 1; expected fractions" in only_problem(out, "yolo")


@pytest.mark.parametrize("place", ["../../elsewhere", "/etc", "images/none"])
def test_a_split_of_yolo_that_is_not_in_the_dataset(made: Dataset, tmp_path: Path, place: str) -> None:
    out = written(made, "yolo", tmp_path / "out")
    change(out / "data.yaml", "val: images/val", f"val: {place}")
    assert only_problem(out, "yolo").startswith("DATA/data.yaml: val: ")


def test_a_class_of_voc_without_a_name(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "voc", tmp_path / "out")
    change(out / "Annotations" / "frame-0001.xml", "<name>person</name>", "<name> </name>")
    assert only_problem(out, "voc") == (
        "DATA/Annotations/frame-0001.xml:5: got the class name ' ', expected a printable name (left out)"
    ).replace("' '", "''")


def test_an_entity_in_xml_is_refused(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "cvat", tmp_path / "out")
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]>\n<annotations>'
    change(out / "annotations.xml", "<annotations>", bomb)
    with pytest.raises(DatasetError, match=r"annotations.xml:2: declares a document type or entities"):
        read_dataset(out)


def test_runs_of_cvat_that_do_not_fill_their_rectangle(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "cvat", tmp_path / "out")
    change(out / "annotations.xml", ' width="20" height="15"></mask>', ' width="20" height="16"></mask>')
    assert "counts sum to 300, a 20x16 mask has 320 pixels" in only_problem(out, "cvat")


def test_a_mask_of_open_images_that_is_missing(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "openimages", tmp_path / "out")
    mask = next(out.glob("masks/frame-0001*.png"))
    mask.unlink()
    assert only_problem(out, "openimages") == (
        f"DATA/val-annotations-object-segmentation.csv:2: there is no mask {mask.name} in DATA (left out)"
    )


def test_classes_of_open_images_are_picked_by_name_and_the_others_not_looked_at(
    made: Dataset, tmp_path: Path
) -> None:
    out = written(made, "openimages", tmp_path / "out")
    dataset = read_dataset(out, classes=["Forklift & Co"])
    assert dataset.classes == ("forklift & co",)
    assert [len(image.instances) for image in dataset.images] == [1]
    with pytest.raises(DatasetError, match="has no object of the class pallet"):
        read_dataset(out, classes=["pallet"])


def test_mask_images_of_16_bits_hold_more_than_255_objects(tmp_path: Path) -> None:
    labels = np.arange(20 * 20, dtype=np.uint16).reshape(20, 20) + 1
    for folder in ("images", "masks/cell"):
        (tmp_path / folder).mkdir(parents=True)
    Image.fromarray(np.kron(labels, np.ones((2, 2), np.uint16))).save(tmp_path / "masks/cell/a.png")
    Image.new("L", (40, 40)).save(tmp_path / "images/a.png")
    dataset = read_dataset(tmp_path)
    assert dataset.classes == ("cell",) and len(dataset.images[0].instances) == 400


def test_mask_images_of_another_size_or_without_an_image(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "masks", tmp_path / "out")
    Image.new("L", (9, 9)).save(out / "masks" / "person" / "train" / "cam 0" / "frame-0000.png")
    assert "has 9x9 pixels, its image has 60x40" in only_problem(out, "masks")
    Image.new("L", (60, 40)).save(out / "masks" / "person" / "train" / "cam 0" / "frame-0000.png")
    Image.new("L", (60, 40), 1).save(out / "masks" / "person" / "other.png")
    assert "other.png: belongs to no image; expected CLASS/IMAGE.png" in only_problem(out, "masks")


def test_shapes_of_labelme_that_are_no_areas(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "labelme", tmp_path / "out")
    path = out / "val" / "cam 1" / "frame-0001.json"
    data = json.loads(path.read_text())
    data["shapes"].append({"label": "person", "points": [[1, 2]], "shape_type": "point"})
    path.write_text(json.dumps(data))
    assert "frame-0001.json: shapes[2]: a point is no area" in only_problem(out, "labelme")


def test_an_image_of_labelme_outside_of_the_dataset(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "labelme", tmp_path / "out")
    change(out / "val" / "cam 1" / "frame-0001.json", '"frame-0001.png"', '"../../../../etc/a.png"')
    assert "which is outside of the dataset" in only_problem(out, "labelme")


def test_an_image_whose_header_promises_too_much_is_not_read(made: Dataset, tmp_path: Path) -> None:
    out = written(made, "masks", tmp_path / "out")
    path = out / "images" / "val" / "cam 1" / "frame-0001.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    texts = [str(problem) for problem in read_dataset(out).problems]
    assert any("has 60000x60000 pixels, at most 120 million can be read" in text for text in texts)


def test_what_is_no_dataset_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    for path, text in (
        (tmp_path, "is no dataset"),
        (tmp_path / "a.zip", "unpack it first"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(DatasetError, match=text):
            read_dataset(path)
