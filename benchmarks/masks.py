"""Mask AP of the shipped model on held-out scenes, clean and through H.264: `python benchmarks/masks.py`.

Writes benchmarks/results/masks.json. Scenes have seeds that training never sees; one random frame is
taken of each scene. It also measures a perfect model, whose masks lose only what 28x28 cells lose.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import time

import cv2
import numpy as np
import torch

from pipeline.demo.scene.world import Rendered, Scene
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.zoo import STREET_FILE
from pipeline.models.training.mask_ap import COUNTED_PX, COUNTED_SHARE, average_precision, oracle_detections
from pipeline.models.training.scene_samples import HELD_OUT_SEEDS, through_h264
from pipeline.transport.planes import Planes

WIDTH, HEIGHT, FPS, DURATION_S = 640, 360, 25.0, 30.0
CRF = 28
FRAMES = 8
"""Frames that H.264 codes before the measured one, itself included."""
RESULT = Path(__file__).parent / "results" / "masks.json"


def run(seed: int) -> list[Rendered]:
    """Consecutive frames at a random time of a scene; the model is measured on the last."""
    scene = Scene.from_seed(seed, width=WIDTH, height=HEIGHT, fps=FPS, duration_s=DURATION_S)
    last = int(np.random.default_rng(seed).integers(FRAMES, scene.frame_count))
    return [scene.frame(index) for index in range(last - FRAMES + 1, last + 1)]


def segment(model: MaskRcnn, frames: list[Planes]) -> tuple[list[Detections], float]:
    """What the model finds, frame by frame, and its CPU-ms per frame."""
    model.warm_up()
    began_s = time.process_time()
    found = [model.segment([frame])[0] for frame in frames]
    return found, (time.process_time() - began_s) / len(frames) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=STREET_FILE)
    parser.add_argument("--scenes", type=int, default=len(HELD_OUT_SEEDS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto", help="fp32 or bf16; auto is fp32 on a CPU")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    seeds = HELD_OUT_SEEDS[: options.scenes]
    truths, clean, coded = [], [], []
    for seed in seeds:
        frames = run(seed)
        planes = [Planes.from_rgb(frame.image) for frame in frames]
        truths.append(frames[-1])
        clean.append(planes[-1])
        coded.append(through_h264(planes, CRF))
    model = MaskRcnn.load(options.weights, device="cpu", score=0.05, precision=options.precision)
    found, cpu_ms = segment(model, clean)
    found_coded, _ = segment(model, coded)
    oracle = [oracle_detections(one, model.classes) for one in truths]
    result = {
        "scenes": len(seeds),
        "seeds": [seeds[0], seeds[-1]],
        "frame": [WIDTH, HEIGHT],
        "input": list(INPUT_SIZE),
        "counted": {"visible_px": COUNTED_PX, "visible_share": COUNTED_SHARE},
        "cpu_ms_per_frame": round(cpu_ms, 1),
        "threads": options.threads,
        "clean": average_precision(truths, found, model.classes),
        f"h264_crf{CRF}": average_precision(truths, found_coded, model.classes),
        "ceiling": average_precision(truths, oracle, model.classes),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("clean", f"h264_crf{CRF}", "ceiling"):
        figures = result[name]
        print(f"{name:12} AP {figures['ap']:.3f}  AP50 {figures['ap50']:.3f}  AP75 {figures['ap75']:.3f}")
    print(f"{cpu_ms:.1f} CPU-ms a frame on {options.threads} thread(s); written to {options.out}")


if __name__ == "__main__":
    main()
