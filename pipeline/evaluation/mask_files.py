"""Masks read from COCO documents, COCO results, instances logs and the truth of rendered scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.truth_files import read_json, scene_truth
from pipeline.geometry.mask_paste import paste_mask_region
from pipeline.geometry.rle import encode_region
from pipeline.records.log import is_log, logs_in, read_log

COUNTED_PX, COUNTED_SHARE = 64, 0.25
"""Pixels and share of an object of a rendered scene that must be visible for it to count; otherwise it is crowd."""
MIN_LOGGED_SCORE = 0.1
"""AP is defined over all scores. A log that only has scores above this gives an AP below that of the model."""

Rle = dict[str, Any]
"""COCO run-length encoding: `{"size": [height, width], "counts": ...}`."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One object in one image.

    Attributes:
        image: index of the image in the truth.
        class_name: of the object.
        rle: its pixels.
        score: 0..1; 1 in the truth.
        crowd: in the truth: detecting it is neither correct nor wrong, as `iscrowd` of COCO.
    """

    image: int
    class_name: str
    rle: Rle
    score: float = 1.0
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class TrueMasks:
    """Ground truth masks.

    Attributes:
        names: names of the images, in order.
        sizes: width and height of each image in pixels.
        classes: class names.
        masks: of all images.
        ids: id of an image in a COCO document -> its index.
        class_ids: id of a category in a COCO document -> class name.
    """

    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    classes: tuple[str, ...]
    masks: tuple[Mask, ...]
    ids: Mapping[int, int] = field(default_factory=dict)
    class_ids: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundMasks:
    """Detected masks.

    Attributes:
        masks: of all images.
        seen: indices of the images on which the model was run; None: all of the truth.
        notes: what was left out and why.
    """

    masks: tuple[Mask, ...]
    seen: frozenset[int] | None = None
    notes: tuple[str, ...] = ()


def read_truth_masks(path: Path) -> TrueMasks:
    """Read a COCO document with masks, or the truth of a rendered scene (`.json` or `.json.gz`).

    An object of a scene counts if at least 64 pixels and a quarter of it are visible; the others are crowd.

    Raises:
        EvaluationError: it is neither.
    """
    data = read_json(path)
    if isinstance(data, dict) and "frames" in data and "layout" in data:
        return _scene_truth(path, data)
    if not (isinstance(data, dict) and {"images", "annotations", "categories"} <= data.keys()):
        raise EvaluationError(
            f"{path}: is no truth of masks; expected a COCO document (images, annotations, categories) or the truth "
            "of a rendered scene"
        )
    try:
        images = list(data["images"])
        classes = {int(one["id"]): str(one["name"]) for one in data["categories"]}
        ids = {int(one["id"]): place for place, one in enumerate(images)}
        sizes = tuple((int(one["width"]), int(one["height"])) for one in images)
        masks = tuple(
            Mask(
                ids[int(one["image_id"])],
                classes[int(one["category_id"])],
                _rle(one["segmentation"], sizes[ids[int(one["image_id"])]]),
                crowd=bool(one.get("iscrowd", 0)),
            )
            for one in data["annotations"]
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EvaluationError(f"{path}: is not a COCO document: {_words(error)}") from None
    names = tuple(str(one.get("file_name", one["id"])) for one in images)
    return TrueMasks(names, sizes, tuple(classes.values()), masks, ids, classes)


def read_found_masks(path: Path, truth: TrueMasks) -> FoundMasks:
    """Read COCO results, a COCO document with scores (`tallycam image`), or an instances log.

    Images of a document are matched to those of the truth by file name, records of a log by frame index, results by
    image id.

    Args:
        path: the file, or a folder with `instances.json` or a single log.
        truth: the ground truth.

    Raises:
        EvaluationError: it is none of these.
        RecordError: a log is damaged.
    """
    path = _in_folder(path) if path.is_dir() else path
    if path.suffix == ".log" or path.is_dir():
        return _from_log(path, truth)
    data = read_json(path)
    try:
        if isinstance(data, list):
            return _from_results(data, truth)
        if isinstance(data, dict) and "annotations" in data:
            return _from_document(data, truth)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EvaluationError(f"{path}: is not a file of COCO results: {_words(error)}") from None
    raise EvaluationError(f"{path}: expected COCO results, a COCO document with scores, or an instances log")


def _in_folder(folder: Path) -> Path:
    if (folder / "instances.json").is_file():
        return folder / "instances.json"
    logs = logs_in(folder / "log") or ([folder] if is_log(folder) else logs_in(folder))
    if len(logs) == 1:
        return logs[0]
    raise EvaluationError(f"{folder}: got {len(logs)} logs and no instances.json; name the file")


def _scene_truth(path: Path, data: Any) -> TrueMasks:
    truth = scene_truth(path, data)
    masks = []
    for place, frame in enumerate(truth.frames):
        for one in frame:
            rle = {"size": [truth.height, truth.width], "counts": one.counts}
            crowd = one.visible < COUNTED_SHARE or _area(rle) < COUNTED_PX
            masks.append(Mask(place, one.class_name, rle, crowd=crowd))
    classes = tuple(sorted({mask.class_name for mask in masks}))
    names = tuple(f"frame {place}" for place in range(len(truth.frames)))
    return TrueMasks(names, ((truth.width, truth.height),) * len(names), classes, tuple(masks))


def _from_log(path: Path, truth: TrueMasks) -> FoundMasks:
    header, records = read_log(path)
    masks, seen, unknown_names = [], set(), set()
    for record in records:
        if record.skipped or record.index >= len(truth.names):
            continue
        seen.add(record.index)
        width, height = truth.sizes[record.index]
        if (record.width, record.height) != (width, height):
            raise EvaluationError(
                f"{path}: frame {record.index} has {record.width}x{record.height} pixels, the truth {width}x{height}"
            )
        for row, class_id in enumerate(record.class_ids):
            name = header.classes[int(class_id)]
            if name not in truth.classes:
                unknown_names.add(name)
                continue
            corner, inside = paste_mask_region(record.masks[row], record.boxes_px[row], width, height)
            rle = {"size": [height, width], "counts": encode_region(inside, *corner, width, height)}
            masks.append(Mask(record.index, name, rle, float(record.scores[row])))
    if not seen:
        raise EvaluationError(f"{path}: holds no frame of the truth")
    left_out = len(truth.names) - len(seen)
    least = min((mask.score for mask in masks), default=0.0)
    weak = (
        [f"The log has only instances with a score of {least:.2f} or more: AP counts weaker ones as missed."]
        if least > MIN_LOGGED_SCORE
        else []
    )
    notes = (
        [f"{left_out} of {len(truth.names)} frames are not in the log and were left out."] if left_out else []
    )
    return FoundMasks(tuple(masks), frozenset(seen), (*notes, *weak, *_unknown_classes(unknown_names)))


def _from_results(data: list[Any], truth: TrueMasks) -> FoundMasks:
    if not truth.ids:
        raise EvaluationError("results by image id need a COCO document as truth; give an instances log")
    masks, unknown_names = [], set()
    for one in data:
        place = truth.ids.get(int(one["image_id"]))
        name = truth.class_ids.get(int(one["category_id"]))
        if place is None:
            raise EvaluationError(f"image {one['image_id']} of the results is not in the truth")
        if name is None:
            unknown_names.add(f"category {one['category_id']}")
            continue
        masks.append(Mask(place, name, _rle(one["segmentation"], truth.sizes[place]), float(one["score"])))
    return FoundMasks(tuple(masks), None, _unknown_classes(unknown_names))


def _from_document(data: Mapping[str, Any], truth: TrueMasks) -> FoundMasks:
    classes = {int(one["id"]): str(one["name"]) for one in data["categories"]}
    by_name = {Path(name).name: place for place, name in enumerate(truth.names)}
    places = {int(one["id"]): by_name.get(Path(str(one["file_name"])).name) for one in data["images"]}
    notes = []
    if (unknown := sum(place is None for place in places.values())) == len(places):
        raise EvaluationError("none of the images has the file name of one of the truth's")
    if unknown:
        notes.append(f"{unknown} images are not in the truth and were left out.")
    if missing := len(truth.names) - len(set(places.values()) - {None}):
        notes.append(f"{missing} images of the truth are not among the results: nothing was found there.")
    masks, unknown_names = [], set()
    for one in data["annotations"]:
        place, name = places[int(one["image_id"])], classes[int(one["category_id"])]
        if place is None:
            continue
        if name not in truth.classes:
            unknown_names.add(name)
            continue
        masks.append(Mask(place, name, _rle(one["segmentation"], truth.sizes[place]), float(one["score"])))
    return FoundMasks(tuple(masks), None, (*notes, *_unknown_classes(unknown_names)))


def _unknown_classes(names: set[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"Classes without ground truth were left out: {', '.join(sorted(names))}.",)


def _rle(segmentation: Any, size: tuple[int, int]) -> Rle:
    """The run-length encoding of polygons, uncompressed counts, or compressed counts."""
    from pycocotools import mask as coco

    width, height = size
    if isinstance(segmentation, list):
        return dict(coco.merge(coco.frPyObjects(segmentation, height, width)))
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"a mask of {segmentation['size']} in an image of {[height, width]} (height, width)")
    if isinstance(segmentation["counts"], list):
        return dict(coco.frPyObjects(segmentation, height, width))
    return {"size": [height, width], "counts": segmentation["counts"]}


def _area(rle: Rle) -> int:
    from pycocotools import mask as coco

    return int(coco.area(rle))


def _words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
