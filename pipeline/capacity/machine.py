"""What this machine has, and what a model costs on it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from pipeline.capacity.plan import Machine, ModelCosts
from pipeline.config.schema import ModelConfig
from pipeline.demo.clip import bundled_frames
from pipeline.models.processor import usable_cpus
from pipeline.stages.reserve import available_bytes
from pipeline.transport.planes import Planes

BATCH = 8
"""Frames in one run of the model on a GPU; on processors one, since more gain nothing there."""
SECONDS = 4.0


def this_machine(folder: Path) -> Machine:
    """What there is here.

    Args:
        folder: On the disk that is to hold logs and videos; it, or one above it, exists.
    """
    import torch

    while not folder.exists():
        folder = folder.parent
    return Machine(
        cores=usable_cpus(),
        gpus=torch.cuda.device_count(),
        memory_mb=available_bytes() / 1024**2,
        disk_gb=shutil.disk_usage(folder).free / 1e9,
    )


def model_costs(config: ModelConfig, size: tuple[int, int]) -> tuple[ModelCosts, str]:
    """Runs a model for a few seconds.

    Args:
        config: Which one.
        size: Width and height of the frames, pixels.

    Returns:
        Its costs, and the device that it ran on.

    Raises:
        ModelError: It cannot be loaded.
    """
    from pipeline.models import registry
    from pipeline.models.bench import WARM_UP_RUNS, bench

    before_mb = _own_mb()
    segmenter = registry.load(config)
    segmenter.warm_up()
    on_gpu = segmenter.device.startswith(("cuda", "CUDA"))
    batch = BATCH if on_gpu else 1
    frames = [Planes.from_rgb(frame) for frame in bundled_frames(4, size)]
    began_s = time.process_time()
    (row,) = bench(segmenter, frames, [batch], SECONDS)
    cpu_ms = 1e3 * (time.process_time() - began_s) / ((row.runs + WARM_UP_RUNS) * batch)
    gpu_ms = 1e3 / row.frames_per_s if on_gpu else 0.0
    return ModelCosts(cpu_ms, gpu_ms, max(0.0, _own_mb() - before_mb)), segmenter.device


def _own_mb() -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
