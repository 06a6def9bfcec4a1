"""`tallycam image`: detect the objects of photos and write the results into a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from pipeline.config.schema import ModelConfig
from pipeline.files import make_folder, writing
from pipeline.images.coco import CocoDocument
from pipeline.images.drawing import Silhouette, cut_out_of, draw, silhouettes
from pipeline.images.image_paths import ResultNames
from pipeline.models import registry
from pipeline.models.detections import Detections
from pipeline.models.filters import InstanceFilter, with_lowest_score
from pipeline.pictures import ImageError, Photo, read
from pipeline.records.summary import write_json
from pipeline.transport.planes import Planes

PICTURES = {"boxes": (True, False), "masks": (False, True), "both": (True, True)}
"""Suffix of a picture's name -> whether it shows boxes, and masks."""
SUFFIXES = tuple(f".{name}.jpg" for name in PICTURES)
JPEG_QUALITY = 95
BATCH_PIXELS = 64_000_000
"""Largest number of pixels in a batch of several images."""
WRITERS = 2
"""Threads that draw and encode the results while the model runs on the next batch."""


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image that has been read.

    Attributes:
        path: where it was read from.
        name: of its results.
        photo: its pixels.
    """

    path: Path
    name: str
    photo: Photo

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.photo.picture.shape[:2]
        return width, height


@dataclass(slots=True)
class JobResult:
    """The result of all images.

    Attributes:
        images: number of images with results.
        objects: class -> number of objects in all images, in the order of the model's classes.
        failures: one line for each image without results.
    """

    images: int = 0
    objects: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImageReport:
    """One image has been processed or has failed.

    Attributes:
        path: of the image.
        counts: class -> number of objects, for the classes to be counted; empty after a failure.
        note: why there are no results, or what else the user should know; empty if nothing.
    """

    path: Path
    counts: dict[str, int]
    note: str = ""


def process(
    paths: Sequence[Path],
    out: Path,
    config: ModelConfig,
    *,
    count: Sequence[str] = (),
    on_image: Callable[[ImageReport], None] = lambda report: None,
) -> JobResult:
    """Detect the objects of every image and write pictures, cut-outs and `instances.json` into `out`.

    Model and filter are those that a worker of `tallycam run` loads from the same configuration, and the frames are
    given to the model in the same way: as yuv420p, in batches; a model whose input is scaled RGB may take the picture
    itself (`Planes.rgb`), which has all of its colour. Everything runs in this process, since without a stream
    there is nothing for decoders, trackers and a supervisor to do.

    Args:
        paths: the images, in the order in which they are processed.
        out: folder of the results.
        config: the model and its filter.
        count: classes whose objects are counted in each image and shown in its corner.
        on_image: called for each image, also for those that fail.

    Raises:
        ModelError: there is no such model, or it lacks a class of `count`.
        OutputError: the results cannot be written.
    """
    model = registry.load(with_lowest_score(config))
    registry.check_classes(model.classes, count, "--count")
    model.warm_up()
    make_folder(out / "cutouts")
    job = _Job(out, config, model.classes, tuple(count), on_image)
    names = ResultNames(out, paths, SUFFIXES)
    with ThreadPoolExecutor(WRITERS, "writer") as writers:
        try:
            for batch in _batches(paths, names, config.batch, job.fail):
                frames = [replace(Planes.from_rgb(one.photo.picture), rgb=one.photo.picture) for one in batch]
                answers = model.segment(frames)
                job.add(batch, answers, writers)
        finally:  # also after an interruption: what has been done is recorded
            write_json(out / "instances.json", job.document.as_json())
    return job.result


def _batches(
    paths: Sequence[Path], names: ResultNames, size: int, on_failure: Callable[[Path, str], None]
) -> Iterator[list[InputImage]]:
    """Images in batches for the model; those that cannot be read are reported and left out."""
    batch: list[InputImage] = []
    pixels = 0
    for path in paths:
        try:
            photo = read(path)
        except ImageError as error:
            on_failure(path, str(error))
            continue
        own = photo.picture.shape[0] * photo.picture.shape[1]
        if batch and (len(batch) == size or pixels + own > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(InputImage(path, names.name(path), photo))
        pixels += own
    if batch:
        yield batch


class _Job:
    """Filters, draws, writes and counts what the model found."""

    def __init__(
        self,
        out: Path,
        config: ModelConfig,
        classes: tuple[str, ...],
        count: tuple[str, ...],
        on_image: Callable[[ImageReport], None],
    ) -> None:
        self.result = JobResult(objects=dict.fromkeys(classes, 0))
        self.document = CocoDocument(classes, str(config.path or config.name or registry.DEFAULT_MODEL))
        self._out = out
        self._filter = InstanceFilter(config, None, classes)
        self._classes = classes
        self._count = count
        self._on_image = on_image

    def fail(self, path: Path, reason: str) -> None:
        """Report an image without results."""
        self.result.failures.append(reason)
        self._on_image(ImageReport(path, {}, reason))

    def add(
        self, batch: Sequence[InputImage], answers: Sequence[Detections], writers: ThreadPoolExecutor
    ) -> None:
        """Write and count the results of a batch; returns when all its files are written."""
        pending: list[tuple[InputImage, Detections, list[Silhouette], dict[str, int], Future[None]]] = []
        for image, answer in zip(batch, answers, strict=True):
            finite = answer.without_non_finite()
            if finite.invalid:
                self.fail(image.path, f"{image.path}: the model returned NaN or infinite values")
                continue
            found = self._filter.apply(finite, *image.size)
            names = [self._classes[int(number)] for number in found.class_ids]
            counts = {name: names.count(name) for name in self._count}
            shapes = silhouettes(found, *image.size)
            written = writers.submit(_write, self._out, image, found, shapes, self._classes, counts)
            pending.append((image, found, shapes, counts, written))
            for name in names:
                self.result.objects[name] += 1
        for image, found, shapes, counts, written in pending:
            written.result()
            self.document.add(image.path, image.name, image.size, found, shapes, counts)
            self.result.images += 1
            self._on_image(ImageReport(image.path, counts, _note(image, found)))


def _note(image: InputImage, found: Detections) -> str:
    """What the user should know of an image with results; empty if nothing."""
    notes = []
    if image.photo.frames > 1:
        notes.append(f"contains {image.photo.frames} pictures, of which the first is used")
    if found.non_finite:
        notes.append(f"rows of the model's output left out for NaN or infinity: {found.non_finite}")
    return f"{image.path}: {'; '.join(notes)}" if notes else ""


def _write(
    out: Path,
    image: InputImage,
    found: Detections,
    shapes: Sequence[Silhouette],
    classes: tuple[str, ...],
    counts: dict[str, int],
) -> None:
    """Write the three pictures and the cut-outs of one image."""
    picture, profile = image.photo.picture, image.photo.profile
    with writing(out):
        for suffix, (boxes, masks) in PICTURES.items():
            drawn = draw(picture, found, shapes, classes, boxes=boxes, masks=masks, counts=counts)
            path = out / f"{image.name}.{suffix}.jpg"
            Image.fromarray(drawn).save(path, quality=JPEG_QUALITY, subsampling=0, icc_profile=profile)
        for row, shape in enumerate(shapes):
            if shape.inside.any():
                name = re.sub(r"[^\w.-]+", "_", classes[int(found.class_ids[row])])
                path = out / "cutouts" / f"{image.name}-{row + 1:02d}-{name}.png"
                Image.fromarray(cut_out_of(picture, shape)).save(path, compress_level=3, icc_profile=profile)
