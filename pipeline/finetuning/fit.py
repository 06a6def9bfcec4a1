"""The loop of training: AdamW, warm-up and cosine, accumulated and clipped gradients, averaged weights, early stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torchvision.models.detection import MaskRCNN

from pipeline.finetuning.distributed import Team
from pipeline.finetuning.examples import Batch, Examples, batches
from pipeline.finetuning.new_heads import LossNetwork, StartNetwork
from pipeline.finetuning.settings import Settings
from pipeline.finetuning.training_checkpoint import Course, State
from pipeline.models.training.loop import moving_average


@dataclass(frozen=True, slots=True)
class Step:
    """What is told of a step.

    Attributes:
        number: steps done.
        losses: by name, averaged over the images of the step.
        learning_rate: that was used.
        seconds: it took.
    """

    number: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float

    @property
    def loss(self) -> float:
        """The sum of the losses."""
        return sum(self.losses.values())


@dataclass(frozen=True, slots=True)
class Hooks:
    """What happens beside the steps; in the leader of a team alone.

    Attributes:
        step: called after each step.
        evaluate: mask AP of the averaged weights, percent.
        improved: called when they are the best so far.
        stopping: whether the user wants to stop.
    """

    step: Callable[[Step], None]
    evaluate: Callable[[MaskRCNN, Course], float]
    improved: Callable[[MaskRCNN, Course], None]
    stopping: Callable[[], bool]


class Fit:
    """One training.

    Args:
        start: the network.
        settings: what determines the result.
        team: the processes that train together.
        checkpoint: file of the state; where it is there, training goes on from it.
        save_every: steps between checkpoints.

    Raises:
        ModelError: the checkpoint is damaged.
    """

    def __init__(
        self, start: StartNetwork, settings: Settings, team: Team, checkpoint: Path, save_every: int = 100
    ) -> None:
        self._settings, self._team, self._checkpoint = settings, team, checkpoint
        self._save_every = save_every
        device = team.device
        adapt = settings.adapt_norms and start.compact
        network = LossNetwork(start, settings.freeze, adapt_norms=adapt)
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = start.model
        self._parameters = [value for value in network.parameters() if value.requires_grad]
        averaged = moving_average(start.model, settings.ema_decay)
        averaged.update_parameters(start.model)
        self._half = _half_precision(settings, device)
        self.state = State(
            network,
            averaged,
            torch.optim.AdamW(_groups(self._parameters, settings), lr=settings.learning_rate),
            GradScaler(device.type, enabled=self._half is torch.float16),
            Course(),
        )
        if checkpoint.is_file():
            self.state.restore(checkpoint, device)
        self._wrapped = team.wrap(network)

    @property
    def averaged(self) -> MaskRCNN:
        """The averaged weights."""
        return self.state.averaged.module

    def run(self, examples: Examples, hooks: Hooks, workers: int) -> None:
        """Trains to the end, or until the user wants to stop.

        Args:
            examples: the training set.
            hooks: what happens beside the steps.
            workers: processes that prepare the examples.

        Raises:
            OutputError: a file cannot be written.
        """
        course, settings = self.state.course, self._settings
        source = batches(examples, settings, course.step, self._team.rank, workers)
        while not course.ended:
            step = self._step(source)
            course.step += 1
            stopping = self._team.agreed(hooks.stopping())
            if self._team.leads:
                hooks.step(step)
            last = course.step == settings.steps
            if course.step % settings.evaluate_every == 0 or last:
                self._evaluate(hooks, last)
            if stopping or course.ended or course.step % self._save_every == 0:
                self._save()
            if stopping:
                return

    def _save(self) -> None:
        if self._team.leads:
            self.state.save(self._checkpoint)

    def _step(self, source: Iterator[Batch]) -> Step:
        """One step of the optimiser."""
        settings, state = self._settings, self.state
        began_s = time.monotonic()
        self._wrapped.train()
        rate = settings.learning_rate_at(state.course.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad()
        sums: dict[str, float] = {}
        for part in range(settings.accumulate):
            # Regions are sampled at random, from numbers that follow from the step: a resumed training has them too.
            torch.manual_seed(self._seed(part))
            with self._synchronized(part == settings.accumulate - 1):
                for name, value in self._backward(next(source)).items():
                    sums[name] = sums.get(name, 0.0) + value.item() / settings.accumulate
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(self._parameters, settings.clip)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.averaged.update_parameters(self._model)
        return Step(state.course.step + 1, self._team.mean(sums), rate, time.monotonic() - began_s)

    def _seed(self, part: int) -> int:
        """A seed for one batch, the same whether batches are accumulated or divided among devices."""
        place = part * self._team.size + self._team.rank
        numbers = (self._settings.seed, self.state.course.step, place)
        return int(np.random.SeedSequence(numbers).generate_state(2, np.uint32)[0])

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        """Adds the gradients of a batch, and returns its losses."""
        device = self._team.device
        images = batch.images.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, self._half, enabled=self._half is not None):
            losses: dict[str, Tensor] = self._wrapped(images, batch.targets)
        total = torch.stack([value.float() for value in losses.values()]).sum()
        scaled = self.state.scaler.scale(total / self._settings.accumulate)
        scaled.backward()  # type: ignore[no-untyped-call]
        return losses

    def _synchronized(self, last: bool) -> Any:
        """Gradients are exchanged with the team at the last batch of a step alone."""
        if last or not isinstance(self._wrapped, DistributedDataParallel):
            return nullcontext()
        return self._wrapped.no_sync()

    def _evaluate(self, hooks: Hooks, last: bool) -> None:
        """Evaluates in the leader, and decides for all whether training ends."""
        course = self.state.course
        if self._team.leads:
            ap = hooks.evaluate(self.averaged, course)
            if ap > course.best:
                course.best, course.best_step, course.stale = ap, course.step, 0
                hooks.improved(self.averaged, course)
            else:
                course.stale += 1
        patience = self._settings.patience
        course.ended = self._team.agreed(last or 0 < patience <= course.stale)


def _groups(parameters: list[nn.Parameter], settings: Settings) -> list[dict[str, Any]]:
    """Parameters with and without weight decay."""
    return [
        {"params": [one for one in parameters if one.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in parameters if one.dim() <= 1], "weight_decay": 0.0},
    ]


def _half_precision(settings: Settings, device: torch.device) -> torch.dtype | None:
    """Precision of the convolutions on CUDA: bf16, which needs no scaled gradients, where the device computes it."""
    if not settings.amp or device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
