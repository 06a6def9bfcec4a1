"""The data that the shipped model is trained on: rendered frames in a cache on disk.

A frame is rendered once, in two of three cases encoded with H.264 as a camera's frames are, and stored as planes and
a label map of its visible instances.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.transport.planes import Planes, planes_bytes

TRAIN_SEEDS = range(1_000_000, 2_000_000)
"""Seeds of scenes for training."""

HELD_OUT_SEEDS = range(9_000_000, 9_000_200)
"""Seeds of scenes for evaluation. Clips of the demo use seeds below 10 000."""

MIN_VISIBLE_PX = 24
"""Instances with fewer visible pixels count as background."""

MIN_VISIBLE_SHARE = 0.1
"""Instances of which a smaller share is visible count as background."""

LabelMap = NDArray[np.uint8]
"""(H, W): i + 1 where object i is visible, 0 elsewhere."""


class LabelledInstance(Protocol):
    """One object of a rendered frame."""

    @property
    def label(self) -> int:
        """Its value in the label map."""

    @property
    def class_name(self) -> str: ...

    @property
    def visible(self) -> float:
        """Share of the object that is neither occluded nor outside the picture, 0..1."""


class LabelledFrame(Protocol):
    """A rendered frame with its ground truth."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""

    @property
    def labels(self) -> NDArray[np.int16]:
        """(H, W): `label` of the visible instance, 0 where there is none."""

    @property
    def instances(self) -> Sequence[LabelledInstance]: ...


RenderFunction = Callable[[int], Iterable[Sequence[LabelledFrame]]]
"""From the seed of a scene to some runs of consecutive frames of it, deterministic and of one even size. The last
frame of a run is the example; those before it are there for the video encoder."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A frame and the objects to be learnt from it.

    Attributes:
        planes: the frame.
        labels: (H, W) uint8, i + 1 where object i is visible, 0 elsewhere.
        class_ids: (N,) int64, indices into the classes.
    """

    planes: Planes
    labels: LabelMap
    class_ids: NDArray[np.int64]


def example_of(frame: LabelledFrame, classes: Sequence[str]) -> TrainingExample:
    """A rendered frame with those of its objects that are visible enough to be learnt, renumbered.

    Args:
        frame: the frame.
        classes: names; objects of other classes are background.
    """
    labels = np.zeros(frame.labels.shape, np.uint8)
    class_ids: list[int] = []
    for instance in frame.instances:
        if instance.class_name not in classes or instance.visible < MIN_VISIBLE_SHARE:
            continue
        mask = frame.labels == instance.label
        if np.count_nonzero(mask) >= MIN_VISIBLE_PX:
            class_ids.append(list(classes).index(instance.class_name))
            labels[mask] = len(class_ids)
    return TrainingExample(Planes.from_rgb(frame.image), labels, np.array(class_ids, np.int64))


def through_h264(frames: Sequence[Planes], crf: int) -> Planes:
    """The last of some consecutive frames after all of them were encoded and decoded with H.264.

    Args:
        frames: at least one, of one even size.
        crf: constant rate factor of x264, 0 (lossless) to 51.
    """
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    encoder.thread_count = 1
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for pts, planes in enumerate(frames):
        stacked = np.concatenate([plane.reshape(-1) for plane in (planes.y, planes.u, planes.v)])
        frame = av.VideoFrame.from_ndarray(stacked.reshape(-1, planes.width), format="yuv420p")
        frame.pts = pts
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [out for packet in packets for out in decoder.decode(packet)] + decoder.decode(None)
    flat = np.ascontiguousarray(decoded[-1].to_ndarray(format="yuv420p"), np.uint8).reshape(-1)
    return Planes.view(flat, frames[-1].width, frames[-1].height)


def _examples(render: RenderFunction, classes: Sequence[str], seed: int) -> list[TrainingExample]:
    """The examples of the scene with this seed."""
    rng = np.random.default_rng(seed)
    examples = []
    for run in render(seed):
        example = example_of(run[-1], classes)
        if rng.random() < 2 / 3:
            frames = [Planes.from_rgb(frame.image) for frame in run]
            example = replace(example, planes=through_h264(frames, int(rng.integers(20, 37))))
        examples.append(example)
    return examples


class ExampleCache:
    """Examples of one size in a folder of flat arrays, so that training reads them without decoding.

    Args:
        folder: where `render` wrote them.

    Attributes:
        classes: names of the class ids.

    Raises:
        ModelError: the folder contains something else.
    """

    def __init__(self, folder: Path) -> None:
        try:
            about = json.loads((folder / "about.json").read_text())
            self.classes: tuple[str, ...] = tuple(about["classes"])
            self._class_ids: list[list[int]] = about["class_ids"]
            self._size: tuple[int, int] = (about["width"], about["height"])
            count = len(self._class_ids)
            planes = np.memmap(folder / "planes.u8", np.uint8, "r")
            labels = np.memmap(folder / "labels.u8", np.uint8, "r")
            self._planes = planes.reshape(count, planes_bytes(*self._size))
            self._labels = labels.reshape(count, self._size[1], self._size[0])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder}: not a complete cache of rendered frames ({error}); remove it, or give another folder"
            ) from error

    def __len__(self) -> int:
        return len(self._class_ids)

    def __getitem__(self, index: int) -> TrainingExample:
        planes = Planes.view(self._planes[index], *self._size)
        return TrainingExample(planes, self._labels[index], np.array(self._class_ids[index], np.int64))

    @classmethod
    def render(
        cls,
        folder: Path,
        render: RenderFunction,
        seeds: Sequence[int],
        classes: Sequence[str],
        progress: Callable[[int], None] = lambda done: None,
    ) -> ExampleCache:
        """Renders scenes into a folder, with one process per core; the result does not depend on their number.

        Two of three runs are encoded with H.264 at a random quality.

        Args:
            folder: created where it is missing.
            render: a function that can be pickled.
            seeds: of the scenes.
            classes: names of the classes to learn.
            progress: called with the number of scenes done.
        """
        folder.mkdir(parents=True, exist_ok=True)
        width = height = 0
        class_ids: list[list[int]] = []
        with (
            (folder / "planes.u8").open("wb") as planes,
            (folder / "labels.u8").open("wb") as labels,
            ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool,
        ):
            scenes = pool.map(partial(_examples, render, tuple(classes)), seeds)
            for done, examples in enumerate(scenes, start=1):
                for example in examples:
                    for plane in (example.planes.y, example.planes.u, example.planes.v):
                        planes.write(plane.tobytes())
                    labels.write(example.labels.tobytes())
                    class_ids.append([int(value) for value in example.class_ids])
                    height, width = example.labels.shape
                progress(done)
        about = {"classes": list(classes), "width": width, "height": height, "class_ids": class_ids}
        (folder / "about.json").write_text(json.dumps(about))
        return cls(folder)
