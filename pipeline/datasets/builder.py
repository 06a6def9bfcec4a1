"""A dataset while it is read: what is right becomes part of it, what is wrong becomes a problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pipeline.datasets.checked import checked_polygon, checked_size, clipped_box, polygons_box
from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.image_files import upright_size
from pipeline.datasets.instance_masks import box_of
from pipeline.datasets.paths import safe_path
from pipeline.datasets.problems import Problems
from pipeline.geometry.mask_paste import Corner
from pipeline.geometry.polygons import Polygon, Region
from pipeline.geometry.rle import decode_region, encode_region

MAX_CLASS_NAME = 256


class ClassNames:
    """Gives each class name an id, in the order in which they come."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def id_of(self, name: str) -> int:
        """The id of a class, a new one for a new name.

        Args:
            name: spaces around it are dropped.

        Raises:
            ValueError: it is empty, too long, or not printable.
        """
        clean = name.strip()
        if not clean or len(clean) > MAX_CLASS_NAME or not clean.isprintable():
            raise ValueError(f"got the class name {name[:40]!r}, expected a printable name")
        return self._ids.setdefault(clean, len(self._ids))

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of their ids."""
        return tuple(self._ids)


class ImageBuilder:
    """One image while its objects are read.

    The methods that add an object raise a `ValueError` if it cannot be one.

    Attributes:
        path, width, height, split, where: as in `LabelledImage`.
    """

    def __init__(self, path: str, size: tuple[int, int], split: str, where: str, problems: Problems) -> None:
        self.path, (self.width, self.height) = path, size
        self.split, self.where = split, where
        self._problems = problems
        self._instances: list[Instance] = []

    def add_box(self, class_id: int, box: Sequence[float], where: str, *, crowd: bool = False) -> None:
        """Adds an object of which only the box is known, x0 y0 x1 y1."""
        self._instances.append(
            Instance(class_id, clipped_box(box, self.width, self.height), crowd=crowd, where=where)
        )

    def add_polygons(
        self,
        class_id: int,
        outline: Iterable[Sequence[float]],
        where: str,
        *,
        crowd: bool = False,
        score: float | None = None,
    ) -> None:
        """Adds an object by its polygons, x0 y0 x1 y1 ... each; those that are none become problems."""
        polygons: list[Polygon] = []
        faults: list[str] = []
        for flat in outline:
            try:
                polygons.append(checked_polygon(flat))
            except ValueError as error:
                faults.append(str(error))
        if not polygons:
            raise ValueError(faults[0] if faults else "has no polygon")
        box = clipped_box(polygons_box(polygons), self.width, self.height)
        self._instances.append(Instance(class_id, box, tuple(polygons), "", crowd, score, where))
        for fault in faults:
            self._problems.add("bad polygon", where, fault)

    def add_rle(
        self, class_id: int, counts: str, where: str, *, crowd: bool = False, score: float | None = None
    ) -> None:
        """Adds an object by COCO's compressed counts."""
        box = box_of(*decode_region(counts, self.height, self.width))
        if box is None:
            raise ValueError("the mask is empty")
        self._instances.append(Instance(class_id, box, (), counts, crowd, score, where))

    def add_region(
        self, class_id: int, corner: Corner, region: Region, where: str, *, crowd: bool = False
    ) -> None:
        """Adds an object by its pixels, (h, w) from `corner` on."""
        height, width = region.shape
        if min(corner) < 0 or corner[0] + width > self.width or corner[1] + height > self.height:
            raise ValueError(
                f"got a mask of {width}x{height} at {corner[0]}, {corner[1]} in an image of "
                f"{self.width}x{self.height}"
            )
        box = box_of(corner, region)
        if box is None:
            raise ValueError("the mask is empty")
        counts = encode_region(region, *corner, self.width, self.height)
        self._instances.append(Instance(class_id, box, (), counts, crowd, None, where))

    def build(self) -> LabelledImage:
        """The image with what was added."""
        return LabelledImage(
            self.path, self.width, self.height, tuple(self._instances), self.split, self.where
        )


class DatasetBuilder:
    """Collects images, classes and problems.

    Args:
        root: folder that the paths of the images are relative to.
        form: name of the format.
    """

    def __init__(self, root: Path, form: str) -> None:
        self.root = root
        self.problems = Problems()
        self.classes = ClassNames()
        self._form = form
        self._images: dict[str, ImageBuilder] = {}

    @contextmanager
    def record(self, kind: str, where: str) -> Iterator[None]:
        """Within the block a `ValueError` is a problem of the record `where`, and the record is left out."""
        try:
            yield
        except (ValueError, msgspec.ValidationError) as error:
            self.problems.add(kind, where, " ".join(str(error).removeprefix(f"{where} ").split()))

    def add_image(
        self, path: str, size: tuple[float, float] | None, where: str, split: str = ""
    ) -> ImageBuilder:
        """Adds an image.

        Args:
            path: relative to the root, as the files name it.
            size: width and height in pixels, as the files name them; None: read from the header of the image.
            where: file and record.
            split: as in `LabelledImage`.

        Raises:
            ValueError: the path leads out of the root or is there already, or the size is impossible or unknown.
        """
        safe = safe_path(path, self.root)
        if safe in self._images:
            raise ValueError(f"the image {safe} is there twice, first at {self._images[safe].where}")
        known = checked_size(*size) if size is not None else upright_size(self.root / safe)
        image = self._images[safe] = ImageBuilder(safe, known, split, where, self.problems)
        return image

    def build(self, where: Path) -> Dataset:
        """The dataset.

        Args:
            where: the file or folder that was read.
        """
        if not self.classes.names:
            self.problems.add("no classes", str(where), "the dataset has no class")
        images = tuple(image.build() for image in self._images.values())
        if not images:
            self.problems.add("no images", str(where), "the dataset has no image")
        return Dataset(self.root, self.classes.names, images, tuple(self.problems), self._form)
