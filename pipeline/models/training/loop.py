"""Training of the shipped model from rendered frames alone, on a CPU or a GPU.

AdamW with warm-up and a cosine schedule, gradient clipping, and an exponential moving average of the weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pipeline.models.maskrcnn.compact_net import MEAN, STD, build_compact_net
from pipeline.models.maskrcnn.compact_weights import (
    STREET_CLASSES,
    load_weights,
    save_weights,
    set_weights,
)
from pipeline.models.maskrcnn.device import choose_device
from pipeline.models.maskrcnn.preprocess import normalize
from pipeline.models.training.augment import AugmentedExample, augment
from pipeline.models.training.losses import losses
from pipeline.models.training.scene_samples import TRAIN_SEEDS, ExampleCache, RenderFunction

NORM_MOMENTUM = 0.03
"""Of batch norms: the statistics of small batches are noisy."""

EMA_DECAY = 0.998


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What determines the result besides the data.

    Attributes:
        seed: of weights, order and augmentation.
        steps: optimiser steps.
        batch: images per step.
        learning_rate: its maximum.
        warm_up: steps of linear increase until the maximum is reached.
        weight_decay: AdamW's, on matrices alone.
        clip: largest norm of the gradient.
    """

    seed: int = 1
    steps: int = 4500
    batch: int = 4
    learning_rate: float = 1.2e-3
    warm_up: int = 200
    weight_decay: float = 0.02
    clip: float = 5.0

    def learning_rate_at(self, step: int) -> float:
        """Learning rate schedule: linear warm-up, then cosine annealing to 1 % of the maximum.

        Args:
            step: 0..steps - 1.
        """
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def street_rounds(seed: int, steps: int) -> tuple[Hyperparameters, Hyperparameters]:
    """The two rounds of training that make the shipped model.

    Three quarters of the steps, then the rest from the averaged weights at half the learning rate: a warm restart
    (Loshchilov and Hutter, SGDR, 2017).

    Args:
        seed: of the first round; the second takes the next one.
        steps: of both rounds together.
    """
    first = Hyperparameters(seed=seed, steps=max(1, steps * 3 // 4))
    second = Hyperparameters(
        seed=seed + 1, steps=max(1, steps - first.steps), learning_rate=first.learning_rate / 2
    )
    return first, second


@dataclass(frozen=True, slots=True)
class Progress:
    """What `fit` reports: means since the last report.

    Attributes:
        step: steps done.
        steps: of the whole training.
        losses: by name.
        step_s: seconds per step.
    """

    step: int
    steps: int
    losses: dict[str, float]
    step_s: float

    @property
    def loss(self) -> float:
        return sum(self.losses.values())

    def __str__(self) -> str:
        parts = " ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        left_min = (self.steps - self.step) * self.step_s / 60
        return (
            f"step {self.step}/{self.steps} loss {self.loss:.3f} ({parts}) "
            f"{self.step_s:.2f} s/step {left_min:.0f} min left"
        )


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of weights and batch norm statistics, over a shorter time at the start.

    Args:
        network: whose parameters hold the average; the first update overwrites them.
        decay: weight of the past after many updates; after n of them (1 + n) / (10 + n), if that is less.
    """

    def average(averaged: Any, current: Any, updates: Tensor | int) -> None:
        n = int(updates)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        for own, new in zip(averaged, current, strict=True):
            if own.is_floating_point():
                own.lerp_(new, weight)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def batches(cache: ExampleCache, settings: Hyperparameters) -> Iterator[list[AugmentedExample]]:
    """Yields one list of augmented examples per step, prepared one step ahead in a thread; determined by the seed.

    Args:
        cache: the training set.
        settings: seed, batch size and number of steps.
    """

    def prepare(step: int) -> list[AugmentedExample]:
        rng = np.random.default_rng((settings.seed, step))
        indices = rng.integers(0, len(cache), settings.batch)
        return [augment(cache[int(index)], rng) for index in indices]

    with ThreadPoolExecutor(1, thread_name_prefix="examples") as pool:
        ahead = pool.submit(prepare, 0)
        for step in range(settings.steps):
            now, ahead = ahead, pool.submit(prepare, step + 1)
            yield now.result()


def fit(
    cache: ExampleCache,
    out: Path,
    settings: Hyperparameters,
    *,
    start: Path | None = None,
    device: str = "auto",
    report: Callable[[Progress], None] = lambda progress: None,
    report_every: int = 50,
    save_every: int = 250,
) -> None:
    """Trains on the cache and writes averaged weights to `out`.

    Args:
        cache: examples.
        out: safetensors file, replaced each time.
        settings: seed, steps, learning rate...
        start: weights to start from; None for random ones.
        device: as in `MaskRcnn.load`.
        report: called every `report_every` steps and at the end.
        report_every: steps between reports.
        save_every: steps between writes of `out`, which is also written at the end.

    Raises:
        ModelError: `start` does not fit, or there is no such device.
    """
    torch.manual_seed(settings.seed)
    torch_device = choose_device(device)
    model = build_compact_net(len(cache.classes))
    if start is not None:
        set_weights(model, load_weights(start)[0], start)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = NORM_MOMENTUM
    model.train().to(device=torch_device, memory_format=torch.channels_last)
    # A network of its own, not a copy: the random numbers drawn for it are part of what a seed stands for.
    averaged = moving_average(build_compact_net(len(cache.classes)).to(torch_device), EMA_DECAY)
    averaged.update_parameters(model)
    parameters = list(model.parameters())
    groups = [
        {
            "params": [value for value in parameters if value.dim() > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [value for value in parameters if value.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    sums: dict[str, float] = {}
    began_s = time.monotonic()
    for step, batch in enumerate(batches(cache, settings)):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(step)
        pixels = torch.from_numpy(np.stack([one.image for one in batch])).to(torch_device)
        parts = losses(model, normalize(pixels, MEAN, STD), batch)
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        averaged.update_parameters(model)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        last = step + 1 == settings.steps
        if (step + 1) % report_every == 0 or last:
            count = (step % report_every) + 1
            step_s = (time.monotonic() - began_s) / count
            means = {name: value / count for name, value in sums.items()}
            report(Progress(step + 1, settings.steps, means, step_s))
            sums, began_s = {}, time.monotonic()
        if (step + 1) % save_every == 0 or last:
            save_weights(out, averaged.module, cache.classes)


def train(
    out: Path,
    render: RenderFunction,
    *,
    cache: Path,
    scenes: int = 900,
    rounds: Sequence[Hyperparameters],
    start: Path | None = None,
    device: str = "auto",
    log: Callable[[str], None] = print,
) -> None:
    """What `tallycam train` does: renders training scenes unless they are in `cache`, then trains.

    Args:
        out: safetensors file to write.
        render: from the seed of a scene to rendered frames.
        cache: folder for the rendered frames, about 600 KB each at 640x360.
        scenes: how many to render.
        rounds: rounds of training, each from the weights of the one before; see `street_rounds`.
        start: weights to start from; None for random ones.
        device: as in `MaskRcnn.load`.
        log: takes one line of progress.

    Raises:
        ModelError: `start` does not fit, `cache` contains something else, or there is no such device.
    """
    if (cache / "about.json").is_file():
        examples = ExampleCache(cache)
        log(f"{len(examples)} rendered frames found in {cache}")
    else:

        def rendered(done: int) -> None:
            if done % 50 == 0:
                log(f"rendered {done}/{scenes} scenes")

        examples = ExampleCache.render(cache, render, TRAIN_SEEDS[:scenes], STREET_CLASSES, rendered)
    for settings in rounds:
        fit(examples, out, settings, start=start, device=device, report=lambda progress: log(str(progress)))
        start = out
