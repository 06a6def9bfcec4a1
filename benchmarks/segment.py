"""CPU time and throughput from uint8 1080p frames to instances, compared with torchvision.

`python -m benchmarks.segment` writes benchmarks/results/segment.json. On a CPU each contender is a process of its own
with two threads; they take turns, and the CPU time per frame of each is measured. With `--device cuda`: images per
second by batch size, beside the lower bound set by the arithmetic. With `--equality`: no times, but whether both find
the same objects.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import measure, segment_equality
from benchmarks.segment_models import R50, STREET_MODEL, V2, Run, eager, ours, run_of
from pipeline.models.maskrcnn.device import PRECISIONS, cpu_has_bf16

THREADS = 2
BATCHES = (1, 4, 8, 16)
PUBLISHED_GFLOP = {R50: 134.4, V2: 333.6}
"""Per image, as published by torchvision, which counts a multiplication with its addition as one operation."""
EAGER = "torchvision eager"
RESULT = measure.RESULTS / "segment.json"


# -- CPU -------------------------------------------------------------------------------------------------


def contender(name: str, how: str) -> None:
    """The process of one contender: for each line with a number of frames it prints CPU-ms per frame and instances."""
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(1)
    device = torch.device("cpu")
    run = eager(name, device) if how == EAGER else run_of(ours(name, device, PRECISIONS[how]))
    run(1)
    run(1)
    print("ready", flush=True)
    for line in sys.stdin:
        count = int(line)
        before_s = measure.cpu_s()
        for _ in range(count):
            instances = run(1)
        print(json.dumps([1e3 * (measure.cpu_s() - before_s) / count, instances]), flush=True)


def on_cpu(name: str, rounds: int, frames: int) -> dict[str, Any]:
    """Medians over interleaved rounds of CPU-ms per frame, and the ratios to torchvision."""
    from pipeline.runtime.local_engine import (
        QUIET_THREADS,  # not needed on CUDA, and neither are its packages
    )

    variants = [EAGER, "fp32", *(["bf16"] if cpu_has_bf16() else [])]
    command = [sys.executable, "-m", "benchmarks.segment", "--contender", name]
    running = {
        how: subprocess.Popen(
            [*command, how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=QUIET_THREADS | os.environ,
        )
        for how in variants
    }
    times: dict[str, list[float]] = {how: [] for how in variants}
    instances: dict[str, int] = {}
    try:
        for process in running.values():
            _read_line(process)
        for _ in range(rounds):
            for how, process in running.items():
                assert process.stdin is not None
                process.stdin.write(f"{frames}\n")
                process.stdin.flush()
                spent_ms, instances[how] = json.loads(_read_line(process))
                times[how].append(spent_ms)
    finally:
        for process in running.values():
            process.communicate()
    median = measure.medians(times)
    rows = {
        how: {
            "cpu_ms": round(median[how], 1),
            "rounds": [round(value, 1) for value in times[how]],
            "times_faster": round(median[EAGER] / median[how], 2),
            "instances": instances[how],
        }
        for how in variants
    }
    measure.table(
        f"{name}, 1080p, {THREADS} threads, CPU-ms per frame",
        ("", "CPU-ms", "times faster", "instances"),
        [(how, row["cpu_ms"], row["times_faster"], row["instances"]) for how, row in rows.items()],
    )
    return rows


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a contender has ended; its output is above")
    return line


# -- CUDA ------------------------------------------------------------------------------------------------


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a large matrix product, the best of several."""
    side = 8192
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best_s = min(_timed(lambda: left @ right) for _ in range(8))
    return 2 * side**3 / best_s / 1e12


def _timed(run: Any) -> float:
    torch.cuda.synchronize()
    began_s = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began_s


def on_cuda(name: str, device: torch.device, rounds: int, compiled: bool) -> dict[str, Any]:
    """Images per second by batch size; contenders take turns in one process."""
    models = {"ours": ours(name, device, torch.float16)}
    if compiled:
        models["ours, compiled"] = ours(name, device, torch.float16, compiled=True)
    for model in models.values():
        model.warm_up()
    contenders: dict[str, Run] = {
        EAGER: eager(name, device),
        "eager + autocast fp16": eager(name, device, torch.float16),
        **{how: run_of(model) for how, model in models.items()},
    }
    with FlopCounterMode(display=False) as counter:
        contenders[EAGER](1)
    counted = counter.get_total_flops() / 1e9
    rate = matrix_rate(device, torch.float16)
    rates: dict[str, dict[str, float]] = {how: {} for how in contenders}
    for batch in BATCHES:
        times: dict[str, list[float]] = {how: [] for how in contenders}
        for number in range(rounds + 2):
            for how, run in contenders.items():
                spent_s = _timed(lambda run=run, batch=batch: run(batch))
                if number >= 2:
                    times[how].append(spent_s)
        for how, median in measure.medians(times).items():
            rates[how][str(batch)] = round(batch / median, 1)
    measure.table(
        f"{name}, 1080p, images/s by batch size",
        ("", *map(str, BATCHES)),
        [(how, *row.values()) for how, row in rates.items()],
    )
    return {
        "images_per_s": rates,
        "times_eager_at_8": {how: round(row["8"] / rates[EAGER]["8"], 2) for how, row in rates.items()},
        "warm_up_s": {how: round(model.warm_up_s, 1) for how, model in models.items()},
        "matrix_tflops_fp16": round(rate, 1),
        "gflop_an_image": {"published": PUBLISHED_GFLOP.get(name), "counted": round(counted, 1)},
        "floor_images_per_s": round(rate * 1e3 / counted, 1),
    }


def _write(path: Path, result: dict[str, Any]) -> None:
    """Writes what there is so far: a later model may run out of time."""
    whole = {"machine": measure.machine(), **result, "torch": torch.__version__}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", help="default: those of the device's comparison")
    parser.add_argument("--compiled", action="store_true", help="on CUDA: also with model.compile")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--equality", action="store_true", help="compare what is found, on the device")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        contender(*options.contender)
        return
    device = torch.device(options.device)
    result = json.loads(options.out.read_text()) if options.out.is_file() else {}
    if options.equality:
        torch.set_num_threads(THREADS)
        models = options.models or [STREET_MODEL, R50, V2]
        compared = {}
        for name in models:
            compared |= segment_equality.report([name], device)
            _write(options.out, result | {"equality" if device.type == "cpu" else "equality_cuda": compared})
        result["equality" if device.type == "cpu" else "equality_cuda"] = compared
    elif device.type == "cuda":
        if not torch.cuda.is_available():
            raise SystemExit("there is no CUDA device; nothing was measured")
        models = options.models or [R50, V2]
        part = {}
        for name in models:
            part[name] = on_cuda(name, device, options.rounds, options.compiled)
            result["cuda"] = {"device": torch.cuda.get_device_name(device), "models": part}
            _write(options.out, result)
    else:
        part = {}
        for name in options.models or [STREET_MODEL, R50]:
            part[name] = on_cpu(name, options.rounds, 8 if name == STREET_MODEL else 1)
        result["cpu"] = {"threads": THREADS, "models": (result.get("cpu") or {}).get("models", {}) | part}
        result.setdefault("cuda", "not run: no CUDA device was at hand")
    _write(options.out, result)
    print(f"\nwritten to {options.out}")
    if options.equality and not all(one["same"] for one in compared.values()):
        raise SystemExit("a model does not find what torchvision's own forward finds")


if __name__ == "__main__":
    main()
