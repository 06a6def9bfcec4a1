"""CPU time and throughput from uint8 1080p frames to instances, compared with torchvision.

`python -m benchmarks.segment` writes benchmarks/results/segment.json. On a CPU each contender is a process of its own
with two threads; they take turns, and the CPU time per frame of each is measured. With `--device cuda`: images per
second by batch size (`segment_cuda.py`). With `--equality`: no times, but whether both find the same objects. With
`--device cuda --all`: everything that a GPU is needed for, in one go. That needs PyTorch, torchvision, NumPy, OpenCV,
Pillow and safetensors, and nothing else of Tallycam's requirements.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import torch

from benchmarks import measure, segment_cuda, segment_equality
from benchmarks.segment_models import R50, STREET_MODEL, V2, eager, ours, run_of
from pipeline.models.maskrcnn.device import PRECISIONS, cpu_has_bf16

THREADS = 2
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
    from pipeline.runtime.fork_server import (
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


def _write(path: Path, result: dict[str, Any]) -> None:
    """Writes what there is so far: a later model may run out of time."""
    whole = {"machine": measure.machine(), "torch": torch.__version__} | result
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2) + "\n")


def _equality(result: dict[str, Any], device: torch.device, options: argparse.Namespace) -> bool:
    """Compares what is found; whether it is the same."""
    torch.set_num_threads(THREADS)
    key = "equality" if device.type == "cpu" else "equality_cuda"
    compared: dict[str, Any] = {}
    for name in options.models or [STREET_MODEL, R50, V2]:
        compared |= segment_equality.report([name], device)
        result[key] = compared
        _write(options.out, result)
    if options.pictures:
        pictures = segment_equality.pictures_report(options.pictures, device)
        result[f"{key}_pictures"] = pictures
        _write(options.out, result)
    return all(one["same"] for one in compared.values())


def _speed_on_cuda(result: dict[str, Any], device: torch.device, options: argparse.Namespace) -> None:
    part: dict[str, Any] = {}
    for name in options.models or [R50, STREET_MODEL, V2]:
        part[name] = segment_cuda.measured(name, device, options.rounds, options.compiled, options.trace)
        result["cuda"] = {"device": torch.cuda.get_device_name(device), "machine": measure.machine()}
        result["cuda"] |= {"torch": torch.__version__, "models": part}
        _write(options.out, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", help="default: those of the device's comparison")
    parser.add_argument("--compiled", action="store_true", help="on CUDA: also with model.compile")
    parser.add_argument("--trace", type=Path, help="on CUDA: folder for a trace of one batch of each model")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--equality", action="store_true", help="compare what is found, on the device")
    parser.add_argument("--all", action="store_true", help="on CUDA: speed, then equality")
    parser.add_argument(
        "--pictures", nargs="+", type=Path, help="equality: pictures for the model that ships"
    )
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        contender(*options.contender)
        return
    device = torch.device(options.device)
    result = json.loads(options.out.read_text()) if options.out.is_file() else {}
    same = True
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device; nothing was measured")
    if device.type == "cuda" and (options.all or not options.equality):
        _speed_on_cuda(result, device, options)
    if options.equality or options.all:
        same = _equality(result, device, options)
    elif device.type == "cpu":
        part = {}
        for name in options.models or [STREET_MODEL, R50]:
            part[name] = on_cpu(name, options.rounds, 8 if name == STREET_MODEL else 1)
        models = (result.get("cpu") or {}).get("models", {}) | part
        result["cpu"] = {"threads": THREADS, "machine": measure.machine(), "models": models}
        result.setdefault("cuda", "not run: no CUDA device was at hand")
    _write(options.out, result)
    print(f"\nwritten to {options.out}")
    if not same:
        raise SystemExit("a model does not find what torchvision's own forward finds")


if __name__ == "__main__":
    main()
