"""`tallycam train`: trains the bundled model on rendered scenes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.demo.scene.world import Rendered, Scene
from pipeline.models.training.loop import street_rounds
from pipeline.models.training.loop import train as train_model

WIDTH, HEIGHT, FPS, DURATION_S = 640, 360, 25.0, 30.0
RUNS = 6
"""Runs of consecutive frames taken from one scene: setting a scene up costs more than rendering a frame."""
FRAMES = 4
"""Frames of a run; after video encoding, the last one has the artefacts of inter-frame prediction."""


def runs(seed: int) -> Iterator[list[Rendered]]:
    """Yields short runs of frames at random times of one scene, with random traffic; determined by the seed.

    Args:
        seed: Of the scene.
    """
    rng = np.random.default_rng(seed)
    scene = Scene.from_seed(
        seed, width=WIDTH, height=HEIGHT, fps=FPS, duration_s=DURATION_S, traffic=float(rng.uniform(0.7, 2.5))
    )
    for first in rng.integers(0, scene.frame_count - FRAMES, RUNS):
        yield [scene.frame(int(first) + step) for step in range(FRAMES)]


def train(
    out: Path, *, seed: int, steps: int, scenes: int, cache: Path, start: Path | None, device: str
) -> None:
    """Trains the bundled model.

    Args:
        out: file for the weights, safetensors.
        seed: determines data and training.
        steps: optimiser steps.
        scenes: number of rendered scenes.
        cache: folder of the rendered scenes; what is there is not rendered again.
        start: weights to start from; None starts from scratch.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ModelError: `start` does not fit, or there is no such device.
    """
    train_model(
        out,
        runs,
        cache=cache,
        scenes=scenes,
        rounds=street_rounds(seed, steps),
        start=start,
        device=device,
    )
