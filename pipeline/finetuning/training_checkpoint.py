"""The state of an unfinished training on disk: after a kill it goes on to exactly the losses it would have had.

Examples and random numbers of a step follow from the seed and the number of the step, so no state of a random generator
is kept. Nothing in the file is executed: it is read with `weights_only=True`.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from pipeline.errors import ModelError
from pipeline.files import replacing


@dataclass(slots=True)
class Course:
    """How far a training has come.

    Attributes:
        step: steps done.
        best: mask AP of the best weights so far, percent; below 0: none yet.
        best_step: steps after which they were found.
        stale: evaluations since then.
        ended: no step is left to do.
    """

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    stale: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What changes in training.

    Attributes:
        network: the weights.
        averaged: their moving average.
        optimizer: with its moments.
        scaler: of the gradients in half precision.
        course: how far it has come.
    """

    network: nn.Module
    averaged: AveragedModel
    optimizer: Optimizer
    scaler: GradScaler
    course: Course

    def save(self, path: Path) -> None:
        """Writes a checkpoint.

        Args:
            path: an existing file is replaced as a whole.

        Raises:
            OutputError: it cannot be written.
        """
        course = self.course
        content = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "course": [course.step, course.best, course.best_step, course.stale, course.ended],
        }
        with replacing(path, advice="make room, and start the same command again") as part:
            torch.save(content, part)

    def restore(self, path: Path, device: torch.device) -> None:
        """Takes over a checkpoint.

        Args:
            path: written by `save` in a training with the same settings.
            device: of the network.

        Raises:
            ModelError: it is damaged.
        """
        try:
            content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            self.network.load_state_dict(content["network"])
            self.averaged.load_state_dict(content["averaged"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.scaler.load_state_dict(content["scaler"])
            course = self.course
            course.step, course.best, course.best_step, course.stale, course.ended = content["course"]
        except (
            OSError,
            RuntimeError,
            KeyError,
            ValueError,
            TypeError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            words = " ".join(str(error).split())[:160]
            raise ModelError(f"{path}: not a checkpoint of this training, or damaged ({words}); start anew with "
                             f"--overwrite") from error  # fmt: skip
