"""What determines the result of a training besides the data, and the schedule of the learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """What determines the result besides the data and the weights it starts from.

    Attributes:
        classes: names of the classes to learn, in the order of their ids.
        seed: of new weights, of the order of the images, of augmentation, of sampling.
        steps: optimiser steps.
        batch: images of a step on one device.
        accumulate: batches whose gradients are added up for a step.
        devices: processes that train together, each with batches of its own.
        learning_rate: its maximum, after the warm-up.
        warm_up: steps of linear increase until then.
        weight_decay: AdamW's, on matrices alone.
        clip: largest norm of the gradient.
        freeze: stages of the backbone, from its first, that keep their weights: 0 to 5.
        adapt_norms: batch norms outside the frozen stages learn the statistics of the new images.
        ema_decay: weight of the past in the moving average of the weights, after many steps.
        augment: mirror, crop, shrink and recolour images at random.
        amp: convolutions in half precision, on CUDA.
        shortest: shorter side of the input, pixels; 0: what the weights were trained with.
        evaluate_every: steps between evaluations.
        patience: evaluations without a better AP after which training stops; 0: never.
    """

    classes: tuple[str, ...]
    seed: int = 1
    steps: int = 600
    batch: int = 4
    accumulate: int = 1
    devices: int = 1
    learning_rate: float = 6e-4
    warm_up: int = 50
    weight_decay: float = 0.02
    clip: float = 5.0
    freeze: int = 1
    adapt_norms: bool = True
    ema_decay: float = 0.99
    augment: bool = True
    amp: bool = True
    shortest: int = 0
    evaluate_every: int = 100
    patience: int = 0

    @classmethod
    def for_weights(
        cls,
        *,
        small: bool,
        classes: tuple[str, ...],
        learning_rate: float | None = None,
        freeze: int | None = None,
        shortest: int | None = None,
    ) -> Settings:
        """Settings that fit a network.

        Args:
            small: the network of the model that ships; else one of torchvision's.
            classes: as the attribute.
            learning_rate: as the attribute; None: what fits the network.
            freeze: as the attribute; None: what fits the network.
            shortest: as the attribute.

        Raises:
            ConfigError: the small network has no other input.
        """
        if small and shortest:
            raise ConfigError("--shortest-side: the input of street has a fixed size; leave it out, or train another "
                              "one with --from")  # fmt: skip
        return cls(
            classes,
            learning_rate=learning_rate or (6e-4 if small else 1e-4),
            freeze=freeze if freeze is not None else 1 if small else 2,
            shortest=shortest or 0,
        )

    @property
    def images_per_step(self) -> int:
        """Images that one step of the optimiser sees."""
        return self.batch * self.accumulate * self.devices

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then cosine annealing to 1 % of the maximum.

        Args:
            step: 0..steps - 1.
        """
        warm_up = min(self.warm_up, self.steps // 4)
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        done = (step - warm_up) / max(1, self.steps - warm_up)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
