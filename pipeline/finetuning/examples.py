"""From labelled images to batches of the network's input. What an example looks like follows from seed and position."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.finetuning.data import LabelledImage
from pipeline.finetuning.settings import Settings
from pipeline.finetuning.transforms import augmentation, transformed
from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.preprocess import Preprocessor
from pipeline.transport.planes import Planes

LARGEST = 1.5
"""Images are scaled down to at most so many times the network's input before they are augmented."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be learnt from one image (a `LossTarget`).

    Attributes:
        letterbox: where the image lies in the input.
        boxes: (N, 4) float32 x0 y0 x1 y1, pixels of the input.
        class_ids: (N,) int64, indices into the classes.
        masks: (N, h, w) uint8, 0 or 1, at the resolution of the image.
    """

    letterbox: Letterbox
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: NDArray[np.uint8]

    def mask_targets(
        self, objects: NDArray[np.int64], rois: NDArray[np.float32], side: int
    ) -> NDArray[np.float32]:
        """See `pipeline.models.training.losses.LossTarget`."""
        if not len(self.masks):
            return np.zeros((0, side, side), np.float32)
        height, width = self.masks.shape[1:]
        places = (np.arange(side * 2, dtype=np.float32) + 0.5) / (side * 2)
        x = (rois[:, :1] + places * (rois[:, 2:3] - rois[:, :1])) / self.letterbox.scale_x
        y = (rois[:, 1:2] + places * (rois[:, 3:4] - rois[:, 1:2])) / self.letterbox.scale_y
        columns = np.clip(np.floor(x), 0, width - 1).astype(np.int64)
        rows = np.clip(np.floor(y), 0, height - 1).astype(np.int64)
        inside = self.masks[objects[:, None, None], rows[:, :, None], columns[:, None, :]]
        return np.asarray(inside.reshape(len(rois), side, 2, side, 2).mean((2, 4)), np.float32)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples of one pass through the network.

    Attributes:
        images: (B, 3, H, W) float32, normalized.
        targets: of each image.
    """

    images: Tensor
    targets: tuple[Target, ...]


class Examples(Dataset[tuple[Tensor, Target]]):
    """Examples by their position in the training: images come in a new order in each round through all of them.

    Args:
        images: the training set.
        preprocessor: of the network; the input is made as in a run.
        settings: seed and augmentation.
    """

    def __init__(
        self, images: Sequence[LabelledImage], preprocessor: Preprocessor, settings: Settings
    ) -> None:
        self._images, self._preprocessor, self._settings = images, preprocessor, settings
        self._transform = augmentation() if settings.augment else None

    def __getitem__(self, position: int) -> tuple[Tensor, Target]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mixed(self._settings.seed, position))
            return self._example(self._images[self.index(position)])

    def index(self, position: int) -> int:
        """The image at a position.

        Args:
            position: counted from the start of the training.
        """
        epoch, place = divmod(position, len(self._images))
        order = np.random.default_rng((self._settings.seed, epoch)).permutation(len(self._images))
        return int(order[place])

    def _example(self, image: LabelledImage) -> tuple[Tensor, Target]:
        pixels, masks, class_ids = scaled_down(image, self._preprocessor)
        pixels, masks, class_ids, boxes_px = transformed(pixels, masks, class_ids, self._transform)
        planes = Planes.from_rgb(pixels)
        letterbox, size = self._preprocessor.letterbox(planes.width, planes.height)
        inputs = self._preprocessor.preprocess_cpu([planes], letterbox, size)[0]
        scale = np.array([letterbox.scale_x, letterbox.scale_y] * 2, np.float32)
        return inputs, Target(letterbox, boxes_px * scale, class_ids, masks)


def scaled_down(
    image: LabelledImage, preprocessor: Preprocessor
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """An image with the masks of its objects, no larger than training can use.

    Args:
        image: read from its file.
        preprocessor: of the network, whose input tells what is large.

    Returns:
        (H, W, 3) uint8 RGB, (N, H, W) uint8 and (N,) int64 class ids.
    """
    pixels = image.read()
    height, width = pixels.shape[:2]
    letterbox, _ = preprocessor.letterbox(width, height)
    scale = min(1.0, LARGEST * max(letterbox.scale_x, letterbox.scale_y))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    objects = [one for one in image.objects if not one.crowd]
    masks = np.zeros((len(objects), size[1], size[0]), np.uint8)
    for mask, one in zip(masks, objects, strict=True):
        whole = image.mask(one)
        mask[:] = whole if size == (width, height) else _shrunk(whole, size)
    return pixels, masks, np.array([one.class_id for one in objects], np.int64)


def _shrunk(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixels of the smaller mask of which at least half is covered."""
    return np.asarray(cv2.resize(mask * 255, size, interpolation=cv2.INTER_AREA) >= 128, np.uint8)


def collated(examples: Sequence[tuple[Tensor, Target]]) -> Batch:
    """Pads the inputs of a batch to one size, right and below, with zeros: the mean of the normalized colours.

    Args:
        examples: inputs (3, H, W) and targets.
    """
    height = max(image.shape[1] for image, _ in examples)
    width = max(image.shape[2] for image, _ in examples)
    images = torch.zeros((len(examples), 3, height, width))
    for row, (image, _) in zip(images, examples, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return Batch(images, tuple(target for _, target in examples))


def batches(
    examples: Examples, settings: Settings, first_step: int, rank: int, workers: int
) -> Iterator[Batch]:
    """The batches of one device from a step on, `accumulate` for each step.

    Args:
        examples: the training set.
        settings: batch sizes and the number of steps.
        first_step: the step to begin with.
        rank: number of this device.
        workers: processes that prepare them; 0: none besides this one.
    """
    positions = [
        [
            (step * settings.accumulate + part) * settings.batch * settings.devices + rank * settings.batch + place
            for place in range(settings.batch)
        ]
        for step in range(first_step, settings.steps)
        for part in range(settings.accumulate)
    ]  # fmt: skip
    loader = DataLoader(
        examples,
        batch_sampler=positions,
        num_workers=workers,
        collate_fn=collated,
        worker_init_fn=_start_worker,
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


def _start_worker(number: int) -> None:
    """Workers leave Ctrl+C and the cores to the main process, and die with it.

    PyTorch's workers notice that it is gone, but then wait for ever until somebody reads their last batch.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _die_with_parent(parent: int) -> None:
    """Ends this process once its parent has ended, however that was."""
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(1)
    select.select([descriptor], [], [])  # readable when the process has ended
    os._exit(1)


def _mixed(seed: int, position: int) -> int:
    """A seed for one example."""
    return int(np.random.SeedSequence((seed, position)).generate_state(2, np.uint32)[0])
