"""Reads a dataset in whatever format it has."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.coco_reader import read_coco
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.problems import DatasetError


def read_dataset(path: Path, images: Path | None = None) -> Dataset:
    """Reads a dataset.

    Args:
        path: file or folder.
        images: folder of the images, where they are not with the labels.

    Raises:
        DatasetError: it is no dataset, or in a format that is not known.
    """
    if path.suffix == ".json" and path.is_file():
        return read_coco(path, images)
    raise DatasetError(f"{path}: is no dataset; expected a COCO document")
