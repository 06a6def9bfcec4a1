"""Checks that an exported ONNX file finds the same objects as PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.errors import ModelError

MAX_SCORE_DIFFERENCE, MAX_BOX_DIFFERENCE_PX = 1e-3, 1.0
"""Differences up to which two detections are taken for the same object."""
MAX_DETECTIONS = 100
"""Limit of detections per image in torchvision's models."""
MAX_UNMATCHED = 0.01
"""Share of an image's objects that only one of the two may find: non-maximum suppression is all or nothing, and the
overlap of two boxes may lie within rounding error of its threshold. Of fewer than a hundred objects, none."""

ArrayTuple = Sequence[NDArray[np.float32]]
"""Boxes (N, 4), labels (N,), scores (N,), masks (N, 28, 28)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far ONNX Runtime and PyTorch differ on the same images.

    Attributes:
        images: how many were compared.
        detections: objects that both found.
        unmatched: objects that only one found: ties in non-maximum suppression.
        boxes_px: largest difference of a coordinate, pixels of the input.
        scores: largest difference of a score.
        masks: largest difference of a mask value, 0..1.
    """

    images: int
    detections: int
    unmatched: int
    boxes_px: float
    scores: float
    masks: float


def compare(model: nn.Module, path: Path, images: Sequence[NDArray[np.float32]]) -> Comparison:
    """Runs a model and its ONNX file on the same images.

    Args:
        model: from an image to boxes, labels, scores and masks.
        path: the ONNX file.
        images: (1, 3, H, W) float32 each.

    Raises:
        ModelError: ONNX Runtime is missing, or the two do not find the same objects in an image.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError("export: comparing needs ONNX Runtime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    detections, unmatched, largest = 0, 0, [0.0, 0.0, 0.0]
    for number, image in enumerate(images):
        with torch.inference_mode():
            expected = tuple(one.numpy() for one in model(torch.from_numpy(image)))
        actual = tuple(session.run(["boxes", "labels", "scores", "masks"], {"images": image}))
        pairs, single = match_detections(expected, actual)
        if single > MAX_UNMATCHED * len(expected[1]):
            raise ModelError(
                f"export: image {number}: PyTorch finds {len(expected[1])} objects, ONNX Runtime {len(actual[1])}, "
                f"or others ({single} are found by one of them only); the file was not written"
            )
        unmatched += single
        detections += len(pairs)
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        for place, part in enumerate((0, 2, 3)):  # boxes, scores, masks
            if len(rows):
                difference = np.abs(expected[part][rows] - actual[part][columns]).max()
                largest[place] = max(largest[place], float(difference))
    return Comparison(len(images), detections, unmatched, *largest)


def match_detections(expected: ArrayTuple, actual: ArrayTuple) -> tuple[list[tuple[int, int]], int]:
    """Matches the detections of one image one to one.

    Detections whose scores differ by rounding alone may come in another order. Where both reach the limit of
    detections, one that is last in the one may have been pushed out of the other.

    Args:
        expected: boxes, labels, scores, and possibly masks.
        actual: likewise.

    Returns:
        Pairs of rows, and the number of detections without a partner.
    """
    (boxes, labels, scores), (others, other_labels, other_scores) = expected[:3], actual[:3]
    left = set(range(len(other_labels)))
    pairs, single = [], list[float]()
    for row, label in enumerate(labels):
        same = [
            column
            for column in left
            if other_labels[column] == label
            and abs(other_scores[column] - scores[row]) <= MAX_SCORE_DIFFERENCE
            and np.abs(others[column] - boxes[row]).max() <= MAX_BOX_DIFFERENCE_PX
        ]
        if not same:
            single.append(float(scores[row]))
            continue
        best = min(same, key=lambda column: float(np.abs(others[column] - boxes[row]).max()))
        left.remove(best)
        pairs.append((row, best))
    single += [float(other_scores[column]) for column in left]
    at_limit = len(labels) == len(other_labels) == MAX_DETECTIONS
    last = max(float(scores.min()), float(other_scores.min())) + MAX_SCORE_DIFFERENCE if at_limit else -1.0
    return pairs, sum(score > last for score in single)


def noise_images(width: int, height: int) -> list[NDArray[np.float32]]:
    """Two (1, 3, H, W) float32 images, 0..1: pixel noise, and noise in large patches.

    Args:
        width: pixels.
        height: pixels.
    """
    rng = np.random.default_rng(0)
    fine = rng.random((1, 3, height, width), np.float32)
    patches = rng.random((3, height // 32, width // 32), np.float32)
    coarse = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in patches])
    return [fine, np.asarray(coarse[None].clip(0, 1), np.float32)]


def fitted_image(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """A frame in the upper left corner of an input, its aspect ratio kept.

    Args:
        frame: (H, W, 3) uint8 RGB.
        width: of the input, pixels.
        height: of the input, pixels.

    Returns:
        (1, 3, height, width) float32, 0..1.
    """
    scale = min(width / frame.shape[1], height / frame.shape[0])
    inner = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    image = np.zeros((1, 3, height, width), np.float32)
    small = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    image[0, :, : inner[1], : inner[0]] = small.transpose(2, 0, 1)
    return image
