"""Images per second on a GPU, from uint8 1080p frames in host memory to instances there.

Contenders take turns in one process. torchvision is run as it is commonly used, with every mask pasted into its frame
and copied back; without that, its masks left at 28x28; and so in fp16 with channels last. Ours runs as in a worker:
alone, each batch for itself, and with two batches in flight, appearances included. The lower bound is the arithmetic
at the rate of a large product of matrices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import measure
from benchmarks.segment_models import R50, V2, Run, eager, frame, ours, run_of
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn

BATCHES = (1, 4, 8, 16)
PASTED_BATCHES = (1, 8)
"""With pasted masks torchvision takes seconds for a batch."""
PROFILED = 8
PUBLISHED_GFLOP = {R50: 134.4, V2: 333.6}
"""Per image, as published by torchvision, which counts a multiplication with its addition as one operation."""
PASTED = "torchvision, masks pasted"
PLAIN = "torchvision, masks 28x28"


def measured(
    name: str, device: torch.device, rounds: int, compiled: bool, traces: Path | None
) -> dict[str, Any]:
    """Images per second by batch size, and where the time of a batch goes.

    Args:
        name: of the model.
        device: the GPU.
        rounds: of all contenders.
        compiled: ours with `model.compile` as well.
        traces: folder for a trace of one batch.
    """
    models = {"ours": ours(name, device, torch.float16)}
    if compiled:
        models["ours, compiled"] = ours(name, device, torch.float16, compiled=True)
    for model in models.values():
        model._batch = max(BATCHES)
        model.warm_up()
    contenders: dict[str, Run] = {
        PASTED: eager(name, device),
        PLAIN: eager(name, device, pasted=False),
        "torchvision, masks 28x28, fp16, channels last": eager(name, device, torch.float16, pasted=False),
        **{how: run_of(model) for how, model in models.items()},
    }
    with FlopCounterMode(display=False) as counter:
        contenders[PLAIN](1)
    counted = counter.get_total_flops() / 1e9
    rate = _matrix_rate(device)
    rates: dict[str, dict[str, float]] = {how: {} for how in contenders}
    for batch in BATCHES:
        racing = {how: run for how, run in contenders.items() if how != PASTED or batch in PASTED_BATCHES}
        for how, median in _in_turns(racing, batch, rounds).items():
            rates[how][str(batch)] = round(batch / median, 1)
    for how, model in models.items():
        rates[f"{how}, two batches in flight"] = {
            str(batch): round(batch / _in_flight(model, batch), 1) for batch in BATCHES
        }
    measure.table(
        f"{name}, 1080p, images/s by batch size",
        ("", *map(str, BATCHES)),
        [(how, *(row.get(str(batch), "-") for batch in BATCHES)) for how, row in rates.items()],
    )
    best = rates["ours, two batches in flight"]["8"]
    result = {
        "images_per_s": rates,
        "times_faster_at_8": {how: round(best / row["8"], 2) for how, row in rates.items()},
        "warm_up_s": {how: round(model.warm_up_s, 1) for how, model in models.items()},
        "matrix_tflops_fp16": round(rate, 1),
        "gflop_an_image": {"published": PUBLISHED_GFLOP.get(name), "counted": round(counted, 1)},
        "floor_images_per_s": round(rate * 1e3 / counted, 1),
        f"batch_of_{PROFILED}": _profile(models["ours"], name, traces),
    }
    print({key: value for key, value in result.items() if key != "images_per_s"})
    return result


def _matrix_rate(device: torch.device) -> float:
    """TFLOP/s of a large product of matrices in fp16, the best of several."""
    side = 8192
    left, right = (torch.randn(side, side, device=device, dtype=torch.float16) for _ in range(2))
    best_s = min(_timed(lambda: left @ right) for _ in range(8))
    return 2 * side**3 / best_s / 1e12


def _timed(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began_s = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began_s


def _in_turns(contenders: dict[str, Run], batch: int, rounds: int) -> dict[str, float]:
    """Median seconds of a batch. torchvision computes float32 convolutions in TF32, as it does by default."""
    times: dict[str, list[float]] = {how: [] for how in contenders}
    for number in range(rounds + 2):
        for how, run in contenders.items():
            if how == PASTED and number not in (1, 2, 3):
                continue
            torch.backends.cudnn.allow_tf32 = how.startswith("torchvision")
            spent_s = _timed(lambda run=run: run(batch))  # type: ignore[misc]
            if number >= 2:
                times[how].append(spent_s)
    torch.backends.cudnn.allow_tf32 = False
    return measure.medians(times)


def _in_flight(model: MaskRcnn, batch: int) -> float:
    """Seconds for each of many batches that follow one another, the best of three runs."""
    frames, count = [frame()] * batch, max(24, 160 // batch)

    def run() -> None:
        for _ in model.stream(frames for _ in range(count)):
            pass

    return min(_timed(run) for _ in range(3)) / count


def _profile(model: MaskRcnn, name: str, traces: Path | None) -> dict[str, Any]:
    """Of one batch: its kernels, how long the device computes, and how often the host waits."""
    frames = [frame()] * PROFILED
    model.segment(frames)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        model.segment(frames)
        torch.cuda.synchronize()
    events = sorted(profiled.key_averages(), key=lambda one: -one.self_device_time_total)
    if traces is not None:
        traces.mkdir(parents=True, exist_ok=True)
        profiled.export_chrome_trace(str(traces / f"{name}.json.gz"))
    return {
        "device_ms": round(sum(one.self_device_time_total for one in events) / 1e3, 2),
        "kernels": sum(one.count for one in events),
        "waits": _waits(lambda: model.segment(frames)),
        "longest": {one.key[:80]: round(one.self_device_time_total / 1e3, 3) for one in events[:15]},
    }


def _waits(run: Callable[[], object]) -> dict[str, int]:
    """How often the host waits for the device: for events, and in operations that PyTorch warns of."""
    counts = {"events": 0, "operations": 0}
    synchronize = torch.cuda.Event.synchronize

    def counted(event: torch.cuda.Event) -> None:
        counts["events"] += 1
        synchronize(event)

    torch.cuda.Event.synchronize = counted  # type: ignore[method-assign, assignment]
    torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    except RuntimeError as error:
        counts["operations"] += 1
        print(f"the host waits: {error}")
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.Event.synchronize = synchronize  # type: ignore[method-assign]
    return counts
