"""`tallycam data collect`: frames of one's own cameras for labelling, with the model's instances to start from.

The stream is counted within this process, as `pipeline.open` does it, with half the score threshold, so that it is
known what the model nearly found.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from pipeline.api.stream import Frame, OpenStream
from pipeline.config.schema import Config
from pipeline.curation.choice import choose, look_of
from pipeline.curation.doubt import DoubtJudge, Judged, unsure
from pipeline.datasets.coco_writer import coco_document
from pipeline.datasets.dataset import Box, Instance, LabelledImage
from pipeline.datasets.writing import new_folder, write_json
from pipeline.errors import TallycamError
from pipeline.files import make_folder, write_bytes, write_text
from pipeline.geometry.mask_paste import paste_mask_region
from pipeline.geometry.polygons import few_points
from pipeline.models.detections import Detections
from pipeline.models.filters import InstanceFilter
from pipeline.pictures import encoded
from pipeline.transport.messages import STATIC

JPEG_QUALITY = 95
POOL = 2
"""Candidates that are kept for each frame that is wanted; beyond it the least instructive ones are dropped."""
VARIED = "varied"
COLUMNS = ("file", "stream", "time_s", "wall_time", "instances", "doubt", "why")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A frame that may be chosen.

    Attributes:
        image: its name and its instances.
        stream: name.
        pts_s: media time.
        wall_s: Unix time of a live stream; None for a recording.
        jpeg: the picture.
        look: of `choice.look_of`.
        doubt: 0..1.
        reasons: of `doubt.Judged`.
    """

    image: LabelledImage
    stream: str
    pts_s: float
    wall_s: float | None
    jpeg: bytes
    look: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    doubt: float = 0.0
    reasons: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Why it may be instructive, in a word or two."""
        return " ".join(self.reasons) or VARIED


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """What is collected.

    Attributes:
        images: frames at most, of all streams together.
        every_s: media time between two candidates.
        minutes: of each stream; None: a recording to its end, a camera until the user interrupts.
    """

    images: int = 200
    every_s: float = 1.0
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """What was collected.

    Attributes:
        images: chosen frames, stream by stream.
        classes: names of the classes that were found.
    """

    images: tuple[Candidate, ...]
    classes: tuple[str, ...]


def collect(
    config: Config, options: CollectOptions, tell: Callable[[str], None] = lambda line: None
) -> Collected:
    """Chooses frames of every stream of a configuration. An interrupt (Ctrl-C) ends a stream, and all that follow.

    Args:
        config: whose model finds the instances.
        options: what is collected.
        tell: takes a line of progress.

    Raises:
        TallycamError: a source cannot be opened, the model cannot be loaded, or no frame could be read.
    """
    share = -(-options.images // len(config.streams))
    chosen: list[Candidate] = []
    interrupted = False
    classes: tuple[str, ...] = ()
    for name in config.streams:
        pool = _Pool(share)
        try:
            with _opened(config, name, options) as stream:
                classes = stream.classes
                for candidate in _candidates(stream, config, options):
                    pool.add(candidate)
        except KeyboardInterrupt:
            interrupted = True
        chosen += (found := pool.best())
        tell(f"{name}: {len(found)} of {pool.seen} frames: {_reasons(found)}")
        if interrupted:
            break
    if not chosen:
        raise TallycamError("data collect: no frame could be read")
    return _with_few_classes(Collected(tuple(chosen), classes))


def write(collected: Collected, out: Path) -> None:
    """Writes pictures, COCO instance JSON with the model's instances and their scores, and a table of the frames.

    Args:
        collected: what was collected.
        out: a new or empty folder.

    Raises:
        DatasetError: the folder is not empty.
        OutputError: something cannot be written.
    """
    new_folder(out)
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in collected.images:
        file = out / "images" / one.image.path
        make_folder(file.parent)
        write_bytes(file, one.jpeg)
        when = ""
        if one.wall_s is not None:
            when = datetime.fromtimestamp(one.wall_s, UTC).isoformat(timespec="milliseconds")
        count = len(one.image.instances)
        table.writerow(
            (one.image.path, one.stream, f"{one.pts_s:.3f}", when, count, f"{one.doubt:.2f}", one.why)
        )
    document = coco_document(collected.classes, [one.image for one in collected.images])
    write_json(out / "annotations" / "instances_default.json", document)
    write_text(out / "collected.csv", rows.getvalue())


def _with_few_classes(collected: Collected) -> Collected:
    """Only the classes that were found: labelling tools show them all."""
    found = sorted({one.class_id for chosen in collected.images for one in chosen.image.instances})
    number = {old: new for new, old in enumerate(found)}

    def renumbered(chosen: Candidate) -> Candidate:
        instances = tuple(replace(one, class_id=number[one.class_id]) for one in chosen.image.instances)
        return replace(chosen, image=replace(chosen.image, instances=instances))

    names = tuple(collected.classes[old] for old in found) or collected.classes
    return replace(collected, images=tuple(map(renumbered, collected.images)), classes=names)


class _Pool:
    """The most instructive candidates so far."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._candidates: list[Candidate] = []
        self.seen = 0

    def add(self, candidate: Candidate) -> None:
        self.seen += 1
        self._candidates.append(candidate)
        if len(self._candidates) >= POOL * self._wanted + 1:
            self._candidates = choose(self._candidates, self._wanted)

    def best(self) -> list[Candidate]:
        """Those chosen, in the order of the stream."""
        return sorted(choose(self._candidates, self._wanted), key=lambda one: one.pts_s)


@contextmanager
def _opened(config: Config, name: str, options: CollectOptions) -> Iterator[OpenStream]:
    """The stream, counted with half the score; it ends in time also if its camera sends nothing."""
    model = config.model.model_copy(update={"score": config.model.score / 2})
    with OpenStream(config.model_copy(update={"model": model}), name) as stream:
        timer = None
        if options.minutes is not None and stream.info.live:
            timer = threading.Timer(60 * options.minutes, stream.close)
            timer.daemon = True
            timer.start()
        try:
            yield stream
        finally:
            if timer is not None:
                timer.cancel()


def _candidates(stream: OpenStream, config: Config, options: CollectOptions) -> Iterator[Candidate]:
    used = InstanceFilter(config.model, config.streams[stream.name], stream.classes)
    judge = DoubtJudge[Candidate]()
    due_s = -np.inf
    for frame in stream:
        if options.minutes is not None and frame.pts_s >= 60 * options.minutes:
            break
        objects = frame.tracks.ids.tolist()
        yield from map(_with_doubt, judge.see(frame.pts_s, objects))
        if frame.pts_s < due_s or frame.skipped == STATIC:
            continue
        due_s = frame.pts_s + options.every_s
        found = frame.detections
        kept = used.keep(found, frame.width, frame.height)
        doubt = unsure(found.scores, used.thresholds_of(found.class_ids))
        candidate = _candidate(stream.name, frame, found[kept], live=stream.info.live)
        judge.hold(candidate, frame.pts_s, doubt, objects)
    yield from map(_with_doubt, judge.rest())


def _with_doubt(judged: Judged[Candidate]) -> Candidate:
    return replace(judged.what, doubt=judged.doubt, reasons=judged.reasons)


def _candidate(stream: str, frame: Frame, found: Detections, *, live: bool) -> Candidate:
    instances = [_instance(found, row, frame.width, frame.height) for row in range(len(found))]
    image = LabelledImage(
        f"{stream}/{stream}-{round(1000 * frame.pts_s):09d}.jpg",
        frame.width,
        frame.height,
        tuple(one for one in instances if one is not None),
    )
    boxes: list[Box] = [one.box_px for one in image.instances]
    jpeg = encoded(frame.image, ".jpg", JPEG_QUALITY)
    look = look_of(np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), np.uint8), boxes)
    return Candidate(image, stream, frame.pts_s, frame.wall_s if live else None, jpeg, look)


def _instance(found: Detections, row: int, width: int, height: int) -> Instance | None:
    """One detection with its outline; None where its mask covers no pixel."""
    corner, region = paste_mask_region(found.masks[row], found.boxes_px[row], width, height)
    polygons = few_points(region, corner) if region.any() else []
    if not polygons:
        return None
    x0, y0, x1, y1 = (float(value) for value in found.boxes_px[row])
    return Instance(
        int(found.class_ids[row]), (x0, y0, x1, y1), tuple(polygons), score=float(found.scores[row])
    )


def _reasons(chosen: list[Candidate]) -> str:
    counts: dict[str, int] = {}
    for one in chosen:
        for reason in one.reasons or (VARIED,):
            counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items())) or "none"
