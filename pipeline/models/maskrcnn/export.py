"""A Mask R-CNN as an ONNX file, and the proof that it gives what PyTorch gives.

The file takes one RGB picture of a fixed size, (1, 3, H, W) float32 0..1, and holds the normalisation, the network and
the suppression; what comes out is in the layout that `onnx_rcnn` reads: boxes (N, 4) in pixels of the input, labels
(N,) from 1, scores (N,) and masks (N, 28, 28). Detections below `SCORE` are left out inside.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from pipeline.errors import ModelError
from pipeline.files import replacing
from pipeline.models.maskrcnn.build import built
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, NEUTRAL, SPREAD
from pipeline.models.maskrcnn.preprocess import MULTIPLE, LumaPreprocessor
from pipeline.models.onnx.model_file import metadata_entry

OPSET = 17
SCORE = 0.05
RGB_SIZE = (1344, 768)
"""Width and height of the input of torchvision's models where nothing else is asked for: what a 16:9 frame becomes."""
TO_YUV = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
YUV_ZERO = (16.0, 128.0, 128.0)
"""Limited range BT.601 (ITU-R BT.601-7, section 2.5): rows are y u v, columns red green blue 0..1."""
RANDOM_PICTURES = 2
SAME_SCORE, SAME_BOX_PX = 1e-3, 1.0
"""Differences up to which two answers may be one object."""
MOST = 100
"""Objects in one picture, at most, as torchvision's models are set."""
TIES = 0.01
"""Part of a picture's objects that one of the two may find alone: suppression is all or nothing, and two boxes may
overlap by just as much as it allows. Of fewer than a hundred none."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how far it is from PyTorch on the same pictures.

    Attributes:
        path: the file.
        size: width and height of its input, pixels.
        classes: names in its metadata.
        pictures: how many were compared.
        detections: how many there were in them.
        alone: objects besides, which one of the two finds alone: ties in the suppression.
        boxes_px: largest difference of a coordinate, pixels of the input.
        scores: largest difference of a score.
        masks: largest difference of a mask's value, 0..1.
    """

    path: Path
    size: tuple[int, int]
    classes: tuple[str, ...]
    pictures: int
    detections: int
    alone: int
    boxes_px: float
    scores: float
    masks: float


class _Picture(nn.Module):
    """The whole way from a picture to the outputs of the file."""

    def __init__(self, model: MaskRCNN, before: nn.Conv2d, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.before, self.size = model, before, size

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        width, height = self.size
        seen = self.before(images)
        features = self.model.backbone(seen)
        sizes = [(height, width)]
        proposals, _ = self.model.rpn(ImageList(seen, sizes), features)
        (found,), _ = self.model.roi_heads(features, proposals, sizes)
        return found["boxes"], found["labels"], found["scores"], found["masks"][:, 0]


def export(
    weights: Path | None,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    names: Sequence[str] | None = None,
    frames: Sequence[NDArray[np.uint8]] = (),
) -> Exported:
    """Writes the model of a file as ONNX and compares both on random pictures and on `frames`.

    Args:
        weights: `.safetensors` or `.pth`; None is the model that ships.
        path: the ONNX file to write; it appears when it is whole and was compared.
        size: width and height of the input; default: the shipped model's own, 1344x768 for torchvision's.
        names: class names where the file of weights holds none.
        frames: (H, W, 3) uint8 RGB pictures to compare on.

    Raises:
        ModelError: no such weights, a size that the network cannot take, no ONNX Runtime to compare with, or an
            ONNX model that does not find what PyTorch finds.
        OutputError: the file cannot be written.
    """
    model, classes, how = built(weights, score=SCORE, nms=0.6, names=names)
    own = isinstance(how, LumaPreprocessor)
    width, height = size or (INPUT_SIZE if own else RGB_SIZE)
    if (
        width % MULTIPLE
        or height % MULTIPLE
        or not MULTIPLE <= min(width, height) <= max(width, height) <= 4096
    ):
        raise ModelError(f"--size: got {width}x{height}, expected multiples of {MULTIPLE} up to 4096")
    before = _from_yuv() if own else _from_rgb(model.transform)
    whole = _Picture(model, before, (width, height)).eval()
    table = {
        label: classes.names[place] for label, place in enumerate(classes.indices.tolist()) if place >= 0
    }
    with replacing(path) as part:
        _write(whole, part, (width, height))
        with part.open("ab") as file:
            file.write(metadata_entry("names", str(table)) + metadata_entry("producer", "tallycam"))
        pictures = [*_random(width, height), *(_fitted(frame, width, height) for frame in frames)]
        differences = compare(whole, part, pictures)
    return Exported(path, (width, height), classes.names, len(pictures), *differences)


def compare(
    model: nn.Module, path: Path, pictures: Sequence[NDArray[np.float32]]
) -> tuple[int, int, float, float, float]:
    """Detections in all pictures, those that one finds alone, and the largest differences of boxes, scores and masks.

    Raises:
        ModelError: there is no ONNX Runtime, or a picture in which the two do not find the same objects.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError("export: comparing needs ONNX Runtime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    count, alone, largest = 0, 0, [0.0, 0.0, 0.0]
    for number, picture in enumerate(pictures):
        with torch.inference_mode():
            boxes, labels, scores, masks = (one.numpy() for one in model(torch.from_numpy(picture)))
        other = session.run(["boxes", "labels", "scores", "masks"], {"images": picture})
        here, there = (boxes, labels, scores, masks), tuple(other)
        pairs, single = matched(here, there)
        if single > TIES * len(labels):
            raise ModelError(
                f"export: picture {number}: PyTorch finds {len(labels)} objects, ONNX Runtime {len(other[1])}, "
                f"or others ({single} are found by one alone); the file was not written"
            )
        alone += single
        count += len(pairs)
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        for place, which in enumerate((0, 2, 3)):
            if len(rows):
                apart = np.abs(here[which][rows] - there[which][columns]).max()
                largest[place] = max(largest[place], float(apart))
    return count, alone, largest[0], largest[1], largest[2]


def matched(
    here: Sequence[NDArray[np.float32]], there: Sequence[NDArray[np.float32]]
) -> tuple[list[tuple[int, int]], int]:
    """Which object of one answer is which of the other, and how many are in one alone.

    Objects whose scores are the same but for rounding may come in another order. Where both have as many as the network
    may find at most, one that is the last of its answer may be pushed out of the other.

    Args:
        here: boxes, labels, scores, masks.
        there: the same of the other answer.
    """
    (boxes, labels, scores), (others, other_labels, other_scores) = here[:3], there[:3]
    left = set(range(len(other_labels)))
    pairs, single = [], list[float]()
    for row, label in enumerate(labels):
        same = [
            column
            for column in left
            if other_labels[column] == label
            and abs(other_scores[column] - scores[row]) <= SAME_SCORE
            and np.abs(others[column] - boxes[row]).max() <= SAME_BOX_PX
        ]
        if not same:
            single.append(float(scores[row]))
            continue
        best = min(same, key=lambda column: float(np.abs(others[column] - boxes[row]).max()))
        left.remove(best)
        pairs.append((row, best))
    pushed_out = len(labels) == len(other_labels) == MOST
    last = max(float(scores.min()), float(other_scores.min())) + SAME_SCORE if pushed_out else -1.0
    single += [float(other_scores[column]) for column in left]
    return pairs, sum(score > last for score in single)


def _write(model: nn.Module, path: Path, size: tuple[int, int]) -> None:
    """By TorchScript, which knows torchvision's operators and sizes that are only known when it runs."""
    names = ["boxes", "labels", "scores", "masks"]
    with _quiet():
        torch.onnx.export(
            model,
            (torch.full((1, 3, size[1], size[0]), 0.45),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "objects"} for name in names},
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of each value that it takes for a constant, which is what a fixed size means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _from_yuv() -> nn.Conv2d:
    """RGB 0..1 to the y u v, normalised, that the shipped model sees, as one convolution."""
    weight = torch.tensor(TO_YUV) / torch.tensor(SPREAD)[:, None]
    bias = (torch.tensor(YUV_ZERO) - torch.tensor(NEUTRAL)) / torch.tensor(SPREAD)
    return _pointwise(weight, bias)


def _from_rgb(transform: GeneralizedRCNNTransform) -> nn.Conv2d:
    """RGB 0..1 to what torchvision's models see."""
    mean, spread = torch.tensor(transform.image_mean), torch.tensor(transform.image_std)
    return _pointwise(torch.diag(1 / spread), -mean / spread)


def _pointwise(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(3, 3, 1)
    layer.weight = nn.Parameter(weight[:, :, None, None].float(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    return layer


def _random(width: int, height: int) -> list[NDArray[np.float32]]:
    """Noise, and noise in large flecks."""
    rng = np.random.default_rng(0)
    fine = rng.random((1, 3, height, width), np.float32)
    flecks = rng.random((3, height // 32, width // 32), np.float32)
    coarse = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in flecks])
    return [fine, np.asarray(coarse[None].clip(0, 1), np.float32)][:RANDOM_PICTURES]


def _fitted(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """(1, 3, H, W) float32 0..1: the frame in the upper left corner of the input, its shape kept."""
    scale = min(width / frame.shape[1], height / frame.shape[0])
    inner = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    picture = np.zeros((1, 3, height, width), np.float32)
    small = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    picture[0, :, : inner[1], : inner[0]] = small.transpose(2, 0, 1)
    return picture
