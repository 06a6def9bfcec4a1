"""The processes that train together: one, or several that `torchrun` started, each with a device of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import ModelError
from pipeline.models.maskrcnn.device import choose_device

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: the first one evaluates and writes files meanwhile."""


@dataclass(frozen=True, slots=True)
class Team:
    """This process among those that train together.

    Attributes:
        rank: number of this process.
        size: how many there are.
        device: that this process trains on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process reports, evaluates and writes files."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with its gradients averaged over the team.

        Args:
            network: on the device.
        """
        if self.size == 1:
            return network
        ids = [self.device] if self.device.type == "cuda" else None
        wrapped: nn.Module = DistributedDataParallel(network, device_ids=ids)
        return wrapped

    def wait(self) -> None:
        """Waits until all processes are here."""
        self.agreed(False)

    def mean(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Each value averaged over the team.

        Args:
            losses: the same names in each process.
        """
        if self.size == 1:
            return dict(losses)
        values = torch.tensor(list(losses.values()), dtype=torch.float64, device=self.device)
        distributed.all_reduce(values)
        return dict(zip(losses, (values / self.size).tolist(), strict=True))

    def agreed(self, value: bool) -> bool:
        """What the leader says, in all processes.

        Args:
            value: counts in the leader alone.
        """
        return self.mean({"value": float(value and self.leads)})["value"] > 0


@contextmanager
def team(device: str) -> Iterator[Team]:
    """The team of this process: that of `torchrun`, or this process alone.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`; with `torchrun` each process takes the GPU of its own number.

    Raises:
        ModelError: there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(0, 1, choose_device(device))
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ModelError(
                f"torchrun: process {local} of this machine has no GPU of its own; PyTorch sees "
                f"{torch.cuda.device_count()}, start as many processes"
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Team(rank, size, chosen)
    finally:
        distributed.destroy_process_group()
