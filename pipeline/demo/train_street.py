"""`tallycam train`: makes the model that ships, from rendered scenes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.demo.scene.world import Rendered, Scene
from pipeline.models.training.loop import rounds
from pipeline.models.training.loop import train as train_model

WIDTH, HEIGHT, FPS, DURATION_S = 640, 360, 25.0, 30.0
RUNS = 6
"""Runs of frames of one scene: a street costs more to lay out than to draw."""
FRAMES = 4
"""Consecutive frames of a run: a video encoder codes the last of them as a change of those before."""


def runs(seed: int) -> Iterator[list[Rendered]]:
    """Short runs of frames at random times of the scene with that seed, quiet or busy; always the same ones."""
    rng = np.random.default_rng(seed)
    scene = Scene.from_seed(
        seed, width=WIDTH, height=HEIGHT, fps=FPS, duration_s=DURATION_S, traffic=float(rng.uniform(0.7, 2.5))
    )
    for first in rng.integers(0, scene.frame_count - FRAMES, RUNS):
        yield [scene.frame(int(first) + step) for step in range(FRAMES)]


def train(
    out: Path, *, seed: int, steps: int, scenes: int, cache: Path, start: Path | None, device: str
) -> None:
    """Renders the training scenes unless they are in `cache`, trains, and writes safetensors to `out`.

    Raises:
        ModelError: `start` does not fit, or there is no such device.
    """
    train_model(
        out,
        runs,
        cache=cache,
        scenes=scenes,
        recipes=rounds(seed, steps),
        start=start,
        device=device,
    )
