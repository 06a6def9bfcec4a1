"""What the shipped model is trained on: rendered moments kept on disk.

A moment is rendered once, partly sent through H.264 as a camera's frames are, and kept as planes and a map of
its visible instances.
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
"""Seeds of scenes that the model may learn from."""

HELD_OUT_SEEDS = range(9_000_000, 9_000_200)
"""Seeds of the scenes on which it is measured. Clips of the demo use seeds below 10 000."""

SMALLEST_PX = 24
"""Instances with fewer visible pixels are not learnt: they count as background."""

SMALLEST_SHARE = 0.1
"""Instances of which less is visible are not learnt."""

Labels = NDArray[np.uint8]


class Instance(Protocol):
    """One object of a rendered moment."""

    @property
    def label(self) -> int:
        """Its value in the label map."""

    @property
    def class_name(self) -> str: ...

    @property
    def visible(self) -> float:
        """Share of the object that is neither covered nor outside of the picture, 0..1."""


class Moment(Protocol):
    """One rendered frame with its truth."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""

    @property
    def labels(self) -> NDArray[np.int16]:
        """(H, W): `label` of the visible instance, 0 where there is none."""

    @property
    def instances(self) -> Sequence[Instance]: ...


Render = Callable[[int], Iterable[Sequence[Moment]]]
"""From a scene's seed to some runs of consecutive frames of it, always the same for the same seed and of one even
size. The last frame of a run is learnt from; those before it are there for the video encoder."""


@dataclass(frozen=True, slots=True)
class Example:
    """A moment as the model is to see it.

    Attributes:
        planes: the frame.
        labels: (H, W) uint8, i + 1 where object i is visible, 0 elsewhere.
        class_ids: (N,) int64, index into the classes.
    """

    planes: Planes
    labels: Labels
    class_ids: NDArray[np.int64]


def example_of(moment: Moment, classes: Sequence[str]) -> Example:
    """The objects of the moment that are worth learning, renumbered."""
    labels = np.zeros(moment.labels.shape, np.uint8)
    class_ids: list[int] = []
    for instance in moment.instances:
        if instance.class_name not in classes or instance.visible < SMALLEST_SHARE:
            continue
        mask = moment.labels == instance.label
        if np.count_nonzero(mask) >= SMALLEST_PX:
            class_ids.append(list(classes).index(instance.class_name))
            labels[mask] = len(class_ids)
    return Example(Planes.from_rgb(moment.image), labels, np.array(class_ids, np.int64))


def through_h264(frames: Sequence[Planes], crf: int) -> Planes:
    """The last of some consecutive frames after encoding and decoding all of them with H.264.

    Args:
        frames: at least one, of one even size.
        crf: x264's quality, 0 (no loss) to 51.
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


def _examples(render: Render, classes: Sequence[str], seed: int) -> list[Example]:
    """What is learnt from the scene of that seed."""
    rng = np.random.default_rng(seed)
    examples = []
    for run in render(seed):
        example = example_of(run[-1], classes)
        if rng.random() < 2 / 3:
            frames = [Planes.from_rgb(moment.image) for moment in run]
            example = replace(example, planes=through_h264(frames, int(rng.integers(20, 37))))
        examples.append(example)
    return examples


class Cache:
    """Examples of one size in a folder of flat arrays, so that training reads them without decoding.

    Raises:
        ModelError: the folder holds something else.
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
                f"{folder}: not a whole cache of rendered moments ({error}); remove it, or name another folder"
            ) from error

    def __len__(self) -> int:
        return len(self._class_ids)

    def __getitem__(self, index: int) -> Example:
        planes = Planes.view(self._planes[index], *self._size)
        return Example(planes, self._labels[index], np.array(self._class_ids[index], np.int64))

    @classmethod
    def render(
        cls,
        folder: Path,
        render: Render,
        seeds: Sequence[int],
        classes: Sequence[str],
        progress: Callable[[int], None] = lambda done: None,
    ) -> Cache:
        """Renders the scenes of `seeds`, one process a core: the same examples whatever their number.

        Two of three runs go through H.264 at a random quality.

        Args:
            folder: made where it is missing.
            render: a function that can be pickled.
            seeds: of the scenes.
            classes: those to learn.
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
