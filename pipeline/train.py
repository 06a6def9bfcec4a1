"""`tallycam train`: makes the model that ships, from rendered scenes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.models.training import Recipe
from pipeline.models.training import train as train_model
from pipeline.scene.world import Rendered, Scene

WIDTH, HEIGHT, FPS, DURATION_S = 640, 360, 25.0, 30.0
MOMENTS = 6
"""Moments of one scene: a street costs more to lay out than to draw."""


def moments(seed: int) -> Iterator[Rendered]:
    """Random moments of the scene with that seed, quiet or busy; always the same ones."""
    rng = np.random.default_rng(seed)
    scene = Scene.from_seed(
        seed, width=WIDTH, height=HEIGHT, fps=FPS, duration_s=DURATION_S, traffic=float(rng.uniform(0.7, 2.5))
    )
    for index in rng.integers(0, scene.frame_count, MOMENTS):
        yield scene.frame(int(index))


def train(
    out: Path, *, seed: int, steps: int, scenes: int, cache: Path, start: Path | None, device: str
) -> None:
    """Renders the training scenes unless they are in `cache`, trains, and writes safetensors to `out`.

    Raises:
        ModelError: `start` does not fit, or there is no such device.
    """
    train_model(
        out,
        moments,
        cache=cache,
        scenes=scenes,
        recipe=Recipe(seed=seed, steps=steps),
        start=start,
        device=device,
    )
