"""The image files of a dataset: where they are, their sizes, and their pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
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
            if width * height > MAX_PIXELS:
                raise ValueError(
                    f"{path} has {width}x{height} pixels, at most {MAX_PIXELS // 10**6} million can be read"
                )
            # Pillow decodes a whole PNG to find out that it has no EXIF data
            has_exif = image.format != "PNG" or "exif" in image.info
            turned = has_exif and image.getexif().get(ORIENTATION) in TURNED
    except ValueError:
        raise
    except Exception as error:  # Pillow's readers raise anything on damaged files
        words = " ".join(str(error).split()).replace(str(path), "").replace("''", "").strip()
        raise ValueError(f"{path} cannot be read as an image ({words or type(error).__name__})") from None
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


class ImagesByStem:
    """The images below a folder, by their names without suffix: many formats name images in this way.

    Args:
        root: the folder.
        leave_out: names of folders with other images, such as masks.
    """

    def __init__(self, root: Path, leave_out: Sequence[str] = ()) -> None:
        self._root = root
        self._paths: dict[str, list[str]] = {}
        for path in images_below(root, leave_out):
            self._paths.setdefault(Path(path).stem, []).append(path)

    def find(self, stem: str, name: str = "") -> str:
        """The image of a name.

        Args:
            stem: its name without suffix.
            name: a file name that the labels give, possibly with folders; it settles which of several is meant.

        Returns:
            Its path relative to the root.

        Raises:
            ValueError: there is none, or there are several.
        """
        base = Path(name.replace("\\", "/")).name
        found = self._paths.get(Path(base).stem, []) if base else []
        exact = [path for path in found if Path(path).name == base]
        found = exact or self._paths.get(stem, []) or found
        if len(found) != 1:
            why = (
                f"several images have this name: {', '.join(found[:3])}"
                if found
                else "there is no such image"
            )
            raise ValueError(f"image {base or stem}: {why} in {self._root}")
        return found[0]


def images_below(root: Path, leave_out: Sequence[str] = ()) -> Iterator[str]:
    """Paths of the images below a folder, relative to it, in order.

    Args:
        root: the folder.
        leave_out: names of folders that are not looked into.
    """
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(one for one in folders if one not in leave_out and not one.startswith("."))
        for file in sorted(files):
            if Path(file).suffix.lower() in SUFFIXES and not file.startswith("."):
                yield (Path(folder) / file).relative_to(root).as_posix()


def read_labels(path: Path) -> NDArray[np.int64]:
    """An image whose values are labels, of 1, 8 or 16 bits, grey or with a palette.

    Args:
        path: of a PNG, or of another format that changes no value.

    Returns:
        (H, W); of an image with colours, each colour is a label, and black is 0.

    Raises:
        ValueError: it is missing, damaged, too large, or a JPEG.
    """
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise ValueError("is a JPEG, whose values are not exact; expected a PNG")
    upright_size(path)
    try:
        with Image.open(path) as image:
            labels = np.asarray(
                image if image.mode in ("1", "L", "P") or image.mode[0] == "I" else image.convert("RGB")
            )
    except Exception as error:  # Pillow's readers raise anything on damaged files
        raise ValueError(f"cannot be read as an image ({type(error).__name__})") from None
    if labels.ndim == 3:
        red, green, blue = (labels[:, :, channel].astype(np.int64) for channel in range(3))
        grey = (labels[:, :, 0] == labels[:, :, 1]).all() and (labels[:, :, 1] == labels[:, :, 2]).all()
        return red if grey else (red << 16) + (green << 8) + blue
    return labels.astype(np.int64)
