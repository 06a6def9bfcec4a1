"""`tallycam image`: photos through the model, and their results into a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pipeline.config.schema import ModelConfig
from pipeline.files import make_folder, writing
from pipeline.images.coco import Document
from pipeline.images.drawing import Silhouette, cut_out, draw, silhouettes
from pipeline.images.paths import Names
from pipeline.images.reading import ImageError, Photo, read
from pipeline.models import registry
from pipeline.models.detections import Detections
from pipeline.models.filters import InstanceFilter, wide_open
from pipeline.records.summary import write_json
from pipeline.transport.planes import Planes

PICTURES = {"boxes": (True, False), "masks": (False, True), "both": (True, True)}
"""Ending of a picture's name -> whether it shows boxes, and masks."""
ENDINGS = tuple(f".{name}.jpg" for name in PICTURES)
JPEG_QUALITY = 95
BATCH_PIXELS = 64_000_000
"""Images of one batch hold no more pixels together, if there are several."""
WRITERS = 2


@dataclass(frozen=True, slots=True)
class Work:
    """One image that was read: where it came from and the name of its results."""

    path: Path
    name: str
    photo: Photo

    @property
    def size(self) -> tuple[int, int]:
        """Width, height."""
        height, width = self.photo.picture.shape[:2]
        return width, height


@dataclass(slots=True)
class Outcome:
    """What became of all images.

    Attributes:
        images: how many have results.
        objects: class -> objects in all of them, in the order of the model's classes.
        troubles: images without results, one line each.
    """

    images: int = 0
    objects: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """One image is done, or is none. `text`: why it has no results, or what else there is to say of it."""

    path: Path
    counts: dict[str, int]
    text: str = ""


def process(
    paths: Sequence[Path],
    out: Path,
    config: ModelConfig,
    *,
    count: Sequence[str] = (),
    on_event: Callable[[Event], None] = lambda event: None,
) -> Outcome:
    """Finds the objects of every image and writes pictures, cut-outs and `instances.json` into `out`.

    The model is the one that a worker of `tallycam run` would load from the same configuration, and it is asked in
    the same way, frames as yuv420p in batches of `config.batch`, with the same filter after it. But it runs in this
    process: there is no stream to be kept in step, so decoders, trackers and a supervisor would have nothing to do.

    Args:
        count: classes whose objects are counted in each image and drawn in its corner; `on_event` gets the numbers.

    Raises:
        ModelError: no such model, or one without a class of `count`.
        OutputError: the folder cannot be written.
    """
    model = registry.load(wide_open(config))
    registry.check_classes(model.classes, count, "--count")
    used = InstanceFilter(config, None, model.classes)
    model.warm_up()
    outcome = Outcome(objects=dict.fromkeys(model.classes, 0))
    document = Document(model.classes, str(config.path or config.name or registry.DEFAULT_MODEL))
    make_folder(out / "cutouts")

    def fail(path: Path, text: str) -> None:
        outcome.troubles.append(text)
        on_event(Event(path, {}, text))

    with ThreadPoolExecutor(WRITERS, "writer") as writers:
        try:
            for batch in _batches(paths, Names(out, paths, ENDINGS), config.batch, fail):
                results = []
                for work, answer in zip(batch, model.segment([_planes(one) for one in batch]), strict=True):
                    if not answer.is_finite:
                        fail(work.path, f"{work.path}: the model answered with numbers that are none")
                        continue
                    found = used.apply(answer, *work.size)
                    names = [model.classes[int(number)] for number in found.class_ids]
                    counts = {name: names.count(name) for name in count}
                    shapes = silhouettes(found, *work.size)
                    written = writers.submit(_write, out, work, found, shapes, model.classes, counts)
                    results.append((work, found, shapes, counts, written))
                    for name in names:
                        outcome.objects[name] += 1
                for work, found, shapes, counts, written in results:
                    written.result()
                    document.add(work.path, work.name, work.size, found, shapes, counts)
                    outcome.images += 1
                    more = f"{work.path}: {work.photo.frames} pictures in this file, the first one is used"
                    on_event(Event(work.path, counts, more if work.photo.frames > 1 else ""))
        finally:  # also when it is interrupted: what is done is written down
            write_json(out / "instances.json", document.as_json())
    return outcome


def _batches(
    paths: Sequence[Path], names: Names, size: int, fail: Callable[[Path, str], None]
) -> Iterator[list[Work]]:
    """Images that go through the model together. What cannot be read is told to `fail` and left out."""
    batch: list[Work] = []
    pixels = 0
    for path in paths:
        try:
            photo = read(path)
        except ImageError as error:
            fail(path, str(error))
            continue
        own = photo.picture.shape[0] * photo.picture.shape[1]
        if batch and (len(batch) == size or pixels + own > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(Work(path, names.name(path), photo))
        pixels += own
    if batch:
        yield batch


def _planes(work: Work) -> Planes:
    return Planes.from_rgb(work.photo.picture)


def _write(
    out: Path,
    work: Work,
    found: Detections,
    shapes: Sequence[Silhouette],
    classes: tuple[str, ...],
    counts: dict[str, int],
) -> None:
    """The three pictures and the cut-outs of one image."""
    picture, profile = work.photo.picture, work.photo.profile
    with writing(out):
        for ending, (boxes, masks) in PICTURES.items():
            drawn = draw(picture, found, shapes, classes, boxes=boxes, masks=masks, counts=counts)
            path = out / f"{work.name}.{ending}.jpg"
            Image.fromarray(drawn).save(path, quality=JPEG_QUALITY, subsampling=0, icc_profile=profile)
        for row, shape in enumerate(shapes):
            if shape.inside.any():
                name = re.sub(r"[^\w.-]+", "_", classes[int(found.class_ids[row])])
                path = out / "cutouts" / f"{work.name}-{row + 1:02d}-{name}.png"
                cut = Image.fromarray(cut_out(picture, shape))
                cut.save(path, compress_level=3, icc_profile=profile)
