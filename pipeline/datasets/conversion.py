"""Writes a dataset in a format by its name."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.dataset import Dataset
from pipeline.datasets.formats import FORMATS
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.writing import IMAGE_MODES, ImageFiles, new_folder, renamed


def write_dataset(dataset: Dataset, out: Path, form: str, files: str = "copy") -> str:
    """Writes a dataset.

    Args:
        dataset: what to write; its images must be there.
        out: a new or empty folder.
        form: name of the format.
        files: how images get there, one of `IMAGE_MODES`.

    Returns:
        What was written and what the format does not hold, in one line.

    Raises:
        DatasetError: there is no such format or mode, the folder is not empty, or there is nothing to write.
        OutputError: something cannot be written.
    """
    if form not in FORMATS:
        raise DatasetError(f"--to: got {form!r}, expected one of {', '.join(FORMATS)}")
    if files not in IMAGE_MODES:
        raise DatasetError(f"--files: got {files!r}, expected one of {', '.join(IMAGE_MODES)}")
    if not dataset.images:
        raise DatasetError(f"{dataset.root}: no image is left to be written")
    new_folder(out)
    named, sources = renamed(dataset)
    FORMATS[form].write(named, out, ImageFiles(sources, out, files))
    objects = [one for image in dataset.images for one in image.instances]
    crowds = sum(one.crowd for one in objects)
    lost = f"; it keeps {FORMATS[form].keeps}" if crowds and form != "coco" else ""
    return (
        f"{out}: {len(dataset.images)} images with {len(objects)} objects of {len(dataset.classes)} classes, "
        f"{FORMATS[form].title}{lost}"
    )
