"""Training of the shipped model from nothing but rendered moments, on a CPU or a GPU.

AdamW with warm-up and a cosine to nearly zero, an exponential moving average of the weights, and
torchvision's losses of Faster and Mask R-CNN. The mask target alone differs: it is sampled from the
full-size label map, so that neither half-pixel shifts nor the input's resolution blur it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.maskrcnn.compact_net import MEAN, STD, build_compact_net
from pipeline.models.maskrcnn.compact_weights import STREET_CLASSES, load_weights, save_weights, set_weights
from pipeline.models.maskrcnn.device import choose_device
from pipeline.models.maskrcnn.preprocess import normalize
from pipeline.models.training.augment import Shown, mask_targets, show
from pipeline.models.training.dataset import TRAIN_SEEDS, Cache, Render

NORM_MOMENTUM = 0.03
"""Of batch norm: small batches give noisy statistics."""

EMA_DECAY = 0.998

MASKS_PER_IMAGE = 16
"""Regions of an image on which the mask head learns in a step; it is the dearest part of a step."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the result besides the renderer.

    Attributes:
        seed: of weights, order and augmentation.
        steps: optimiser steps.
        batch: images a step.
        rate: highest learning rate.
        warm_up: steps until it is reached.
        decay: AdamW's weight decay, on matrices alone.
        clip: largest norm of the gradient.
    """

    seed: int = 1
    steps: int = 4500
    batch: int = 4
    rate: float = 1.2e-3
    warm_up: int = 200
    decay: float = 0.02
    clip: float = 5.0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a ramp, then half a cosine down to 1 % of the highest."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def rounds(seed: int, steps: int) -> tuple[Recipe, Recipe]:
    """What makes the model that ships: three quarters of the steps, then the rest at half the rate, which starts
    from the first round's averaged weights (warm restarts: Loshchilov and Hutter, SGDR, 2017)."""
    first = max(1, steps * 3 // 4)
    whole = Recipe(seed=seed, steps=first)
    return whole, Recipe(seed=seed + 1, steps=max(1, steps - first), rate=whole.rate / 2)


@dataclass(frozen=True, slots=True)
class Progress:
    """What `train` tells while it runs: means since it last told."""

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


def losses(model: MaskRCNN, shown: Sequence[Shown], device: torch.device) -> dict[str, Tensor]:
    """The five losses of a Mask R-CNN in training mode, by name."""
    images = normalize(torch.from_numpy(np.stack([one.image for one in shown])).to(device), MEAN, STD)
    sizes = [(one.box.inner_height, one.box.inner_width) for one in shown]
    targets = [
        {
            "boxes": torch.from_numpy(one.boxes).to(device),
            "labels": torch.from_numpy(one.class_ids + 1).to(device),
            "masks": torch.empty(0),  # torchvision only asks whether it is there; see _mask_loss
        }
        for one in shown
    ]
    features = model.backbone(images)
    proposals, found = model.rpn(ImageList(images, sizes), features, targets)
    heads = model.roi_heads
    regions, matched, labels, regression = heads.select_training_samples(proposals, targets)
    pooled = heads.box_head(heads.box_roi_pool(features, regions, sizes))
    class_loss, box_loss = fastrcnn_loss(*heads.box_predictor(pooled), labels, regression)
    return {
        "object": found["loss_objectness"],
        "proposal": found["loss_rpn_box_reg"],
        "class": class_loss,
        "box": box_loss,
        "mask": _mask_loss(model, features, regions, matched, labels, shown),
    }


def _mask_loss(
    model: MaskRCNN,
    features: dict[str, Tensor],
    regions: list[Tensor],
    matched: list[Tensor],
    labels: list[Tensor],
    shown: Sequence[Shown],
) -> Tensor:
    """Binary cross entropy on the mask of the true class, over a few regions that hold an object."""
    heads = model.roi_heads
    chosen, wanted, targets = [], [], []
    for region, match, label, one in zip(regions, matched, labels, shown, strict=True):
        positive = torch.where(label > 0)[0]
        positive = positive[torch.randperm(len(positive))[:MASKS_PER_IMAGE].to(positive.device)]
        chosen.append(region[positive])
        wanted.append(label[positive])
        ids = one.ids[match[positive].cpu().numpy()] if len(one.ids) else np.zeros(0, np.int64)
        rois = region[positive].detach().cpu().numpy()
        targets.append(torch.from_numpy(mask_targets(one.labels, ids, rois, one.box, MASK_SIZE)))
    label, target = torch.cat(wanted), torch.cat(targets).to(_device_of(features))
    if not len(label):
        return next(iter(features.values())).sum() * 0
    sizes = [(one.box.inner_height, one.box.inner_width) for one in shown]
    logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, chosen, sizes)))
    of_class = logits[torch.arange(len(label), device=label.device), label]
    return functional.binary_cross_entropy_with_logits(of_class, target)


def _device_of(features: dict[str, Tensor]) -> torch.device:
    return next(iter(features.values())).device


class Average:
    """Exponential moving average of a model's weights and statistics, shorter at the start."""

    def __init__(self, model: MaskRCNN, decay: float) -> None:
        self._decay = decay
        self._updates = 0
        self.model = build_compact_net(len(STREET_CLASSES))
        self.model.load_state_dict(model.state_dict())
        self.model.eval()
        self.model.to(next(model.parameters()).device)

    @torch.no_grad()
    def update(self, model: MaskRCNN) -> None:
        self._updates += 1
        part = 1 - min(self._decay, (1 + self._updates) / (10 + self._updates))
        for own, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(new, part)


def batches(cache: Cache, recipe: Recipe) -> Iterator[list[Shown]]:
    """One list of augmented examples a step, made one step ahead in a thread; the same for the same seed."""

    def make(step: int) -> list[Shown]:
        rng = np.random.default_rng((recipe.seed, step))
        return [show(cache[int(index)], rng) for index in rng.integers(0, len(cache), recipe.batch)]

    with ThreadPoolExecutor(1, thread_name_prefix="examples") as pool:
        ahead = pool.submit(make, 0)
        for step in range(recipe.steps):
            now, ahead = ahead, pool.submit(make, step + 1)
            yield now.result()


def fit(
    cache: Cache,
    out: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    device: str = "auto",
    report: Callable[[Progress], None] = lambda progress: None,
    every: int = 50,
    keep_every: int = 250,
) -> None:
    """Trains on the cache and writes averaged weights to `out`, every `keep_every` steps and at the end.

    Args:
        cache: examples.
        out: safetensors file, replaced each time.
        recipe: seed, steps, learning rate...
        start: weights to begin with instead of random ones.
        device: as in `MaskRcnn`.
        report: called every `every` steps.
        every: steps between reports.
        keep_every: steps between writings of `out`.

    Raises:
        ModelError: `start` does not fit, or there is no such device.
    """
    torch.manual_seed(recipe.seed)
    chosen = choose_device(device)
    model = build_compact_net(len(cache.classes))
    if start is not None:
        set_weights(model, load_weights(start)[0], start)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = NORM_MOMENTUM
    model.train().to(device=chosen, memory_format=torch.channels_last)
    average = Average(model, EMA_DECAY)
    parameters = list(model.parameters())
    groups = [
        {"params": [value for value in parameters if value.dim() > 1], "weight_decay": recipe.decay},
        {"params": [value for value in parameters if value.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate)
    sums: dict[str, float] = {}
    began_s = time.monotonic()
    for step, shown in enumerate(batches(cache, recipe)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        parts = losses(model, shown, chosen)
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimizer.step()
        average.update(model)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            count = (step % every) + 1
            step_s = (time.monotonic() - began_s) / count
            means = {name: value / count for name, value in sums.items()}
            report(Progress(step + 1, recipe.steps, means, step_s))
            sums, began_s = {}, time.monotonic()
        if (step + 1) % keep_every == 0 or step + 1 == recipe.steps:
            save_weights(out, average.model, cache.classes)


def train(
    out: Path,
    render: Render,
    *,
    cache: Path,
    scenes: int = 900,
    recipes: Sequence[Recipe],
    start: Path | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> None:
    """What `tallycam train` does: renders scenes of the training seeds unless they are in `cache`, then fits.

    Args:
        out: safetensors file to write.
        render: from a seed to rendered moments of a scene.
        cache: folder for the rendered moments, about 600 KB each at 640x360.
        scenes: how many to render.
        recipes: how to train, round after round; see `rounds`.
        start: weights to begin with instead of random ones.
        device: as in `MaskRcnn`.
        say: takes one line of progress.

    Raises:
        ModelError: `start` does not fit, `cache` holds something else, or there is no such device.
    """
    if (cache / "about.json").is_file():
        examples = Cache(cache)
        say(f"{len(examples)} rendered moments found in {cache}")
    else:

        def rendered(done: int) -> None:
            if done % 50 == 0:
                say(f"rendered {done}/{scenes} scenes")

        examples = Cache.render(cache, render, TRAIN_SEEDS[:scenes], STREET_CLASSES, rendered)
    for recipe in recipes:
        fit(examples, out, recipe, start=start, device=device, report=lambda progress: say(str(progress)))
        start = out
