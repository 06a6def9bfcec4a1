"""Open Images: CSV files of boxes, CSV files that name a mask PNG for each object, and names of the classes.

Format: https://storage.googleapis.com/openimages/web/download_v7.html. Coordinates are fractions of the image. A mask
may have another size than its image, to which it is scaled. A box without a mask is a box, or a crowd by `IsGroupOf`.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.image_files import ImagesByStem, read_labels
from pipeline.datasets.paths import split_name, within
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.xml_tree import as_number
from pipeline.files import reading

MASK_FOLDERS = ("masks", "segmentations")
SAME = 0.01
"""A box and a mask are of one object if their coordinates differ by less: fractions of the image."""
Row = Mapping[str, str]


@dataclass(slots=True)
class _Table:
    """A CSV file; names of columns are in lower case."""

    path: Path
    columns: tuple[str, ...]

    def rows(self) -> Iterator[tuple[str, Row]]:
        """File and line, and the cells of each row."""
        with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
            reader = csv.reader(file)
            next(reader, None)
            try:
                for cells in reader:
                    if cells:
                        where = f"{self.path}:{reader.line_num}"
                        yield where, dict(zip(self.columns, cells, strict=False))
            except csv.Error as error:
                raise DatasetError(f"{self.path}:{reader.line_num}: is not CSV: {error}") from None


def csv_tables(folder: Path) -> list[_Table]:
    """The CSV files of a folder and its subfolders, with the names of their columns."""
    found = []
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*/*.csv")]):
        with reading(path, DatasetError), path.open(encoding="utf-8", errors="replace", newline="") as file:
            header = file.readline(4096)
        found.append(_Table(path, tuple(name.strip().lower() for name in header.lstrip("\ufeff").split(","))))
    return found


def is_open_images(tables: list[_Table]) -> bool:
    """Whether one of the files lists boxes or masks of images."""
    return any({"imageid", "labelname"} <= set(table.columns) for table in tables)


def read_open_images(
    folder: Path, images: Path | None = None, classes: Collection[str] | None = None
) -> Dataset:
    """Reads a folder in the layout of Open Images.

    Args:
        folder: with the CSV files, and images and masks anywhere below.
        images: folder of the images, if they are elsewhere.
        classes: names of the classes to read; None: all. Images without an object of them are left out.

    Raises:
        DatasetError: no CSV file lists boxes or masks, or a wanted class is in none of them.
    """
    tables = csv_tables(folder)
    if not is_open_images(tables):
        raise DatasetError(f"{folder}: has no CSV file with the columns ImageID and LabelName")
    return _Reader(folder, images, classes, tables).read()


class _Reader:
    def __init__(
        self, folder: Path, images: Path | None, classes: Collection[str] | None, tables: list[_Table]
    ) -> None:
        self._folder, self._tables = folder, tables
        self._builder = DatasetBuilder(images or folder, "openimages")
        self._pictures = ImagesByStem(self._builder.root, leave_out=MASK_FOLDERS)
        self._masks = _mask_files(folder)
        self._names = _class_names(tables)
        self._wanted = None if classes is None else {name.casefold() for name in classes}
        self._images: dict[str, ImageBuilder | None] = {}
        self._boxes: dict[tuple[str, str], list[tuple[float, ...]]] = {}
        """Boxes of objects with a mask, by image and class, as fractions."""

    def read(self) -> Dataset:
        own = [table for table in self._tables if {"imageid", "labelname"} <= set(table.columns)]
        for table in own:
            if "maskpath" in table.columns:
                for where, row in table.rows():
                    with self._builder.record("bad mask", where):
                        self._mask(row, where, table)
        for table in own:
            if "maskpath" not in table.columns and "xmin" in table.columns:
                for where, row in table.rows():
                    with self._builder.record("bad annotation", where):
                        self._box(row, where, table)
        if self._wanted is not None:
            there = {name.casefold() for name in self._builder.classes.names}
            if missing := self._wanted - there:
                raise DatasetError(f"{self._folder}: has no object of the class {', '.join(sorted(missing))}")
        return self._builder.build(self._folder)

    def _class(self, row: Row) -> str | None:
        """The name of a row's class; None if it is not wanted."""
        label = row.get("labelname", "").strip()
        name = self._names.get(label, label)
        if self._wanted is not None and not {name.casefold(), label.casefold()} & self._wanted:
            return None
        return name

    def _image(self, row: Row, where: str, table: _Table) -> ImageBuilder | None:
        """The image of a row; None if it is left out."""
        name = row["imageid"].strip()
        if name not in self._images:
            self._images[name] = None
            path = self._pictures.find(Path(name).stem if "." in name else name, name)
            split = split_name(Path(path).parent.name, table.path.stem)
            self._images[name] = self._builder.add_image(path, None, where, split)
        return self._images[name]

    def _mask(self, row: Row, where: str, table: _Table) -> None:
        class_name = self._class(row)
        if class_name is None or (image := self._image(row, where, table)) is None:
            return
        name = Path(row["maskpath"].strip().replace("\\", "/")).name
        if name not in self._masks:
            raise ValueError(f"there is no mask {name} in {self._folder}")
        labels = read_labels(self._masks[name])
        inside = (labels > 0).astype(np.uint8)
        size = (image.width, image.height)
        if inside.shape != (image.height, image.width):
            if abs(inside.shape[1] * image.height / (inside.shape[0] * image.width) - 1) > 0.05:
                raise ValueError(
                    f"the mask {name} has {inside.shape[1]}x{inside.shape[0]} pixels, its image {size[0]}x{size[1]}"
                )
            inside = np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        image.add_region(self._builder.classes.id_of(class_name), (0, 0), inside > 0, where)
        if all(row.get(f"box{side}") for side in ("xmin", "ymin", "xmax", "ymax")):
            self._boxes.setdefault((image.path, class_name), []).append(_fractions(row, "box"))

    def _box(self, row: Row, where: str, table: _Table) -> None:
        class_name = self._class(row)
        if class_name is None or (image := self._image(row, where, table)) is None:
            return
        box = _fractions(row, "")
        with_mask = self._boxes.get((image.path, class_name), [])
        for place, other in enumerate(with_mask):
            if max(abs(one - two) for one, two in zip(box, other, strict=True)) < SAME:
                del with_mask[place]
                return
        x0, y0, x1, y1 = box
        pixels = (x0 * image.width, y0 * image.height, x1 * image.width, y1 * image.height)
        crowd = row.get("isgroupof", "0").strip() == "1"
        image.add_box(self._builder.classes.id_of(class_name), pixels, where, crowd=crowd)


def _fractions(row: Row, prefix: str) -> tuple[float, ...]:
    names = [f"{prefix}{side}" for side in ("xmin", "ymin", "xmax", "ymax")]
    box = tuple(as_number(row.get(name, ""), name) for name in names)
    if not all(-0.01 <= value <= 1.01 for value in box):
        raise ValueError(f"got the box {list(box)}, expected fractions of the image")
    return box


def _class_names(tables: list[_Table]) -> dict[str, str]:
    """Label such as `/m/01g317` -> name, from the files of two columns without a header."""
    names: dict[str, str] = {}
    for table in tables:
        if len(table.columns) == 2 and "imageid" not in table.columns:
            with table.path.open(encoding="utf-8", errors="replace", newline="") as file:
                names |= {cells[0].strip(): cells[1].strip() for cells in csv.reader(file) if len(cells) == 2}
    return names


def _mask_files(folder: Path) -> dict[str, Path]:
    """File name -> mask, of all PNGs below the folder; they lie in one folder for each first digit in some copies."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.png")):
        if path.is_file() and within(folder, path):
            found.setdefault(path.name, path)
    return found
