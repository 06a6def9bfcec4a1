"""A dataset for instance segmentation in memory, whatever format its files have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from pipeline.datasets.problems import Problem
from pipeline.geometry.polygons import Polygon

Box: TypeAlias = tuple[float, float, float, float]
"""x0 y0 x1 y1 in pixels of the upright image."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object in one image. Readers guarantee what stands here.

    Attributes:
        class_id: index into the classes of the dataset.
        box_px: within the image, of positive width and height.
        polygons: outline of the mask: the pixels whose centres are in any of them (even-odd rule).
        rle: the mask as COCO's compressed counts over the whole image; empty if there are polygons or only a box.
        crowd: a group that is not outlined one by one: neither to be found nor wrong to find (`iscrowd` of COCO).
        score: 0..1 of a model's own instance (pre-label); None for what a person drew.
        where: file and record that it was read from.
    """

    class_id: int
    box_px: Box
    polygons: tuple[Polygon, ...] = ()
    rle: str = ""
    crowd: bool = False
    score: float | None = None
    where: str = ""

    @property
    def has_mask(self) -> bool:
        """Whether there is more than a box."""
        return bool(self.polygons or self.rle)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """One image and its objects.

    Attributes:
        path: of the file relative to the root of the dataset, with `/`; it never leads out of the root.
        width, height: pixels, upright (EXIF orientation applied).
        instances: its objects; an empty image is an example, too.
        split: `train`, `val`, `test`, or empty where the dataset is not divided.
        where: file and record that it was read from.
    """

    path: str
    width: int
    height: int
    instances: tuple[Instance, ...] = ()
    split: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images with their instances.

    Attributes:
        root: folder that the paths of the images are relative to.
        classes: names, in the order of the class ids; each once.
        images: in the order of the files they were read from; each path once.
        problems: what was wrong with the files, and left out for it.
        format: name of the format it was read from.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    problems: tuple[Problem, ...] = field(default=())
    format: str = ""

    def file(self, image: LabelledImage) -> Path:
        """The file of an image."""
        return self.root / image.path

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order in which they come; empty if the dataset is not divided."""
        return tuple(dict.fromkeys(image.split for image in self.images if image.split))

    def only(self, split: str) -> Dataset:
        """The images of one split."""
        return replace(self, images=tuple(image for image in self.images if image.split == split))
