"""The worker's inference path against torchvision's own forward and paste: same weights, same frame, float32.

Each instance of torchvision is matched with one of ours of its class, then boxes, scores and masks are compared.

torchvision's paste rounds boxes to whole pixels, and the worker stores masks as uint8. Where a corner lies within
rounding error of a whole pixel, or a mask value of 0.5, the outcome is arbitrary; untrained weights give slivers half a
pixel wide in which one such pixel is a large share. So masks are compared before they become uint8, pasted into
torchvision's box of the pair, and uint8 masks may differ from those by rounding alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import box_iou

from benchmarks import measure
from benchmarks.segment_models import STREET_MODEL, frame, network, segmenter
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, MEAN, STD
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.preprocess import YuvPreprocessor
from pipeline.models.maskrcnn.upload import flatten
from pipeline.transport.planes import Planes, planes_bytes

BOX_IOU, SCORE, MASK_IOU = 0.99, 1e-3, 0.99
"""Required of every instance: at least, at most, at least."""
ROUNDING = 0.5 / 255 + 1e-3
"""Largest difference of a uint8 mask value from torchvision's."""
UNDECIDED = 1e-3
"""On CUDA, where the order of sums is not torchvision's: mask values so close to 0.5 may fall on either side."""
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the results for one frame agree, for the worst instance.

    Attributes:
        instances: found by torchvision.
        ours: found by the worker's path.
        matched: pairs of one class.
        box_iou: smallest IoU of a pair's boxes.
        score: largest difference of their scores.
        mask_iou: smallest IoU of their masks, ours before they become uint8, both pasted by torchvision.
        mask_value: largest difference of mask values in the frame, 0..1, of the uint8 masks.
        bytes_iou: as `mask_iou`, of the uint8 masks in our own box; not required.
        smallest_px: pixels of the smallest mask that is not empty.
    """

    instances: int
    ours: int
    matched: int
    box_iou: float
    score: float
    mask_iou: float
    mask_value: float
    bytes_iou: float
    smallest_px: int

    @property
    def same(self) -> bool:
        """Whether all requirements hold."""
        everyone = self.matched == self.instances == self.ours
        alike = self.box_iou >= BOX_IOU and self.score <= SCORE and self.mask_iou >= MASK_IOU
        return everyone and alike and self.mask_value <= ROUNDING


def agreement_of(
    name: str, device: torch.device = CPU, precision: torch.dtype = torch.float32, *, tf32: bool = False
) -> Agreement:
    """Runs both on one rendered frame. For the shipped model, instances from a score of 0.3 on are compared as well.

    Args:
        name: of the model.
        device: where both run.
        precision: of our convolutions; torchvision's are float32.
        tf32: both compute float32 convolutions in TF32.
    """
    model = network(name)
    if name == STREET_MODEL:
        model.roi_heads.score_thresh = 0.3
    planes = frame(INPUT_SIZE) if name == STREET_MODEL else frame()
    ours = segmenter(copy.deepcopy(model), name, device, precision)
    torch.backends.cudnn.allow_tf32 = tf32
    grids = _recorded_masks(ours)
    (found,) = ours.segment([planes])
    undecided = UNDECIDED if device.type == "cuda" else 0.0
    return compare(found, grids[0].cpu(), planes, _reference(model, name, planes, device), undecided)


def places_agree(name: str, device: torch.device, precision: torch.dtype) -> bool:
    """Whether the first and the last of eight equal frames have the same instances.

    Args:
        name: of the model.
        device: where it runs.
        precision: of its convolutions.
    """
    found = segmenter(network(name), name, device, precision).segment([frame()] * 8)
    first, last = found[0], found[7]
    return len(first) == len(last) and bool(np.allclose(first.boxes_px, last.boxes_px, atol=0.05))


def _recorded_masks(model: MaskRcnn) -> list[Tensor]:
    """A list that receives the masks of each run of the network, (N, 28, 28) float32, before they become uint8."""
    run, recorded = model._network.finish, list[Tensor]()

    def recording(*arguments: Any) -> Any:
        answer = run(*arguments)
        recorded.append(answer.masks)
        return answer

    model._network.finish = recording  # type: ignore[method-assign,assignment]
    return recorded


def _reference(model: MaskRCNN, name: str, planes: Planes, device: torch.device) -> dict[str, Tensor]:
    """torchvision's result. For the shipped model its transform gets YUV as if it were RGB."""
    if name == STREET_MODEL:
        scale = [value / 255 for value in MEAN], [value / 255 for value in STD]
        model.transform = GeneralizedRCNNTransform(INPUT_SIZE[1], INPUT_SIZE[0], *scale)
        how = YuvPreprocessor()
        seen = _input_of(how, planes, device)
        image = seen * torch.tensor(scale[1])[:, None, None] + torch.tensor(scale[0])[:, None, None]
    else:
        image = torch.from_numpy(planes.to_rgb()).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        (answer,) = model.eval().to(device)([image.to(device)])
    return {key: value.cpu() for key, value in answer.items()}


def _input_of(how: YuvPreprocessor, planes: Planes, device: torch.device) -> Tensor:
    """(3, H, W): the input that our path computes on the device; its chroma may be a grey level off the CPU's."""
    letterbox, size = how.letterbox(planes.width, planes.height)
    if device.type == "cpu":
        return how.preprocess_cpu([planes], letterbox, size)[0]
    raw = np.empty((1, planes_bytes(planes.width, planes.height)), np.uint8)
    flatten([planes], raw)
    on_device = torch.from_numpy(raw).to(device)
    seen = how.preprocess_cuda(on_device, planes.width, planes.height, letterbox, size, torch.float32)
    return seen[0].cpu()


def compare(
    found: Detections, grids: Tensor, planes: Planes, reference: dict[str, Tensor], undecided: float = 0.0
) -> Agreement:
    """Matches instances of one class one to one, those with the largest overlap and the most similar score first.

    Args:
        found: ours.
        grids: (N, 28, 28) float32, the masks of `found` before they became uint8.
        planes: the frame.
        reference: torchvision's boxes, labels, scores and (N, 1, H, W) masks.
        undecided: pixels whose value differs from 0.5 by less count for neither mask.
    """
    boxes, scores = torch.from_numpy(found.boxes_px), torch.from_numpy(found.scores)
    as_bytes = torch.from_numpy(found.masks).float() / 255
    overlap = box_iou(reference["boxes"], boxes)
    apart = (reference["scores"][:, None] - scores[None]).abs()
    different_class = reference["labels"][:, None] != torch.from_numpy(found.class_ids)[None] + 1
    pairs = _matched(np.where(different_class, -np.inf, overlap - apart))

    def pasted(mask: Tensor, box: Tensor) -> NDArray[np.float32]:
        size = (planes.height, planes.width)
        return np.asarray(paste_masks_in_image(mask[None, None], box[None], size)[0, 0], np.float32)

    rows: list[tuple[float, ...]] = []
    smallest = planes.width * planes.height
    for row, column in pairs:
        true, box = reference["masks"][row, 0].numpy(), reference["boxes"][row]
        decided = np.abs(true - 0.5) >= undecided
        rounded = pasted(as_bytes[column], box)
        rows.append(
            (
                float(overlap[row, column]),
                float(apart[row, column]),
                _iou((pasted(grids[column], box) > 0.5) & decided, (true > 0.5) & decided),
                float(np.abs(rounded - true).max()),
                _iou(pasted(as_bytes[column], boxes[column]) > 0.5, true > 0.5),
            )
        )
        smallest = min(smallest, int(np.count_nonzero(true > 0.5)) or smallest)
    worst = np.array(rows or [(0.0, 1.0, 0.0, 1.0, 0.0)])
    return Agreement(
        instances=len(reference["scores"]),
        ours=len(found.scores),
        matched=len(pairs),
        box_iou=float(worst[:, 0].min()),
        score=float(worst[:, 1].max()),
        mask_iou=float(worst[:, 2].min()),
        mask_value=float(worst[:, 3].max()),
        bytes_iou=float(worst[:, 4].min()),
        smallest_px=smallest,
    )


def pictures_report(paths: Sequence[Path], device: torch.device) -> dict[str, Any]:
    """What the model that ships finds in pictures in each precision, against fp32.

    Args:
        paths: of the pictures.
        device: where it runs.
    """
    frames = []
    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            raise SystemExit(f"{path}: no picture can be read from it")
        frames.append(Planes.from_rgb(np.ascontiguousarray(image[:, :, ::-1])))
    found = {
        how: _found(segmenter(network(STREET_MODEL), STREET_MODEL, device, how), frames)
        for how in (torch.float32, torch.float16, torch.bfloat16)
    }
    rows = {}
    for how in (torch.float16, torch.bfloat16):
        matched, overlaps, apart = 0, [1.0], [0.0]
        for one, other in zip(found[torch.float32], found[how], strict=True):
            overlap = box_iou(torch.from_numpy(one.boxes_px), torch.from_numpy(other.boxes_px)).numpy()
            overlap = np.where(one.class_ids[:, None] == other.class_ids[None], overlap, -np.inf)
            pairs = [(row, column) for row, column in _matched(overlap) if overlap[row, column] >= 0.5]
            matched += len(pairs)
            overlaps += [float(overlap[pair]) for pair in pairs]
            apart += [abs(float(one.scores[row] - other.scores[column])) for row, column in pairs]
        rows[str(how).removeprefix("torch.")] = {
            "instances": sum(map(len, found[torch.float32])),
            "found": sum(map(len, found[how])),
            "matched": matched,
            "worst_box_iou": round(min(overlaps), 4),
            "worst_score": round(max(apart), 4),
        }
    measure.table(
        f"{STREET_MODEL}, {len(frames)} pictures, against fp32",
        ("", *next(iter(rows.values()))),
        [(how, *row.values()) for how, row in rows.items()],
    )
    return rows


def _found(model: MaskRcnn, frames: Sequence[Planes]) -> list[Detections]:
    return [model.segment([frame])[0] for frame in frames]


def _matched(similarity: NDArray[np.floating[Any]]) -> list[tuple[int, int]]:
    """Greedy matching: rows and columns of pairs, the most similar first; each is in at most one pair."""
    left = np.array(similarity, np.float64)
    pairs = []
    while left.size and np.isfinite(left.max()):
        row, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        pairs.append((row, column))
        left[row], left[:, column] = -np.inf, -np.inf
    return sorted(pairs)


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """IoU of two masks; 1 where both are empty."""
    union = int((one | other).sum())
    return 1.0 if union == 0 else int((one & other).sum()) / union


def report(names: list[str], device: torch.device = CPU) -> dict[str, Any]:
    """Compares each and prints a table; on CUDA in each precision, of which fp32 alone has to be the same.

    Args:
        names: of the models.
        device: where both run.
    """
    variants = {"fp32": (torch.float32, False)}
    if device.type == "cuda":
        variants |= {
            "TF32": (torch.float32, True),
            "fp16": (torch.float16, False),
            "bf16": (torch.bfloat16, False),
        }
    found = {
        (name, how): agreement_of(name, device, precision, tf32=tf32)
        for name in names
        for how, (precision, tf32) in variants.items()
    }
    header = (
        "", "", "instances", "box IoU", "score", "mask IoU", "as bytes: value", "IoU", "smallest", "same",
    )  # fmt: skip
    rows = [
        (
            *row, f"{one.matched} of {one.instances}", f"{one.box_iou:.5f}", f"{one.score:.1e}",
            f"{one.mask_iou:.4f}", f"{one.mask_value:.4f}", f"{one.bytes_iou:.4f}", f"{one.smallest_px} px",
            "yes" if one.same else "NO",
        )
        for row, one in found.items()
    ]  # fmt: skip
    measure.table(f"against torchvision's forward and paste on {device}, the worst instance", header, rows)
    result: dict[str, Any] = {name: asdict(one := found[name, "fp32"]) | {"same": one.same} for name in names}
    if device.type == "cuda":
        for name in names:
            result[name]["precisions"] = {
                how: asdict(one) | {"same": one.same} for (of, how), one in found.items() if of == name
            }
            result[name]["first_and_last_of_8_agree"] = places_agree(name, device, torch.float16)
    return result
