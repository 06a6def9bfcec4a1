"""The image files of a dataset: where they are, their sizes, and their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pipeline.datasets.dataset import Dataset, LabelledImage
from pipeline.datasets.problems import DatasetError
from pipeline.pictures import MAX_PIXELS, ImageError, Picture, read

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""EXIF tag, and its values for images that are stored on their side."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of an image from its header, with the EXIF orientation applied.

    Args:
        path: of the file.

    Raises:
        ValueError: there is no such file, or it is no image.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in TURNED
    except Exception as error:  # Pillow's readers raise anything on damaged files
        words = " ".join(str(error).split()).replace(str(path), "").replace("''", "").strip()
        raise ValueError(f"{path} cannot be read as an image ({words or type(error).__name__})") from None
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{path} has {width}x{height} pixels, at most {MAX_PIXELS // 10**6} million can be read"
        )
    return (height, width) if turned else (width, height)


def read_image(dataset: Dataset, image: LabelledImage) -> Picture:
    """The pixels of an image.

    Args:
        dataset: that it belongs to.
        image: one of its images.

    Returns:
        (height, width, 3) uint8 RGB, upright.

    Raises:
        DatasetError: it is missing, damaged, or has another size than its labels.
    """
    try:
        picture = read(dataset.file(image)).picture
    except ImageError as error:
        raise DatasetError(str(error)) from None
    height, width = picture.shape[:2]
    if (width, height) != (image.width, image.height):
        raise DatasetError(
            f"{dataset.file(image)}: has {width}x{height} pixels, its labels are for {image.width}x{image.height}"
        )
    return picture


def find_images(labels: Path, names: Sequence[str]) -> Path:
    """The folder that the images of a file of labels are in, by the layouts that are in use.

    Args:
        labels: the file.
        names: of some images, as the file has them.

    Returns:
        The folder in which most of them are; the folder of the file if none is anywhere.
    """
    here, above = labels.parent, labels.parent.parent
    stem = labels.stem.removeprefix("instances_").removeprefix("_annotations.")
    folders = [
        here, here / "images", here / stem, here / "images" / stem, here / "data",
        above, above / "images", above / stem, above / "images" / stem, above / "data",
    ]  # fmt: skip
    safe = [name for name in names if ".." not in name and not name.startswith("/")]
    return max(folders, key=lambda folder: sum((folder / name).is_file() for name in safe))
