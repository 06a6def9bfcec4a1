"""CPU time of drawing one 1080p frame's annotations: ours into yuv420p planes, and torchvision's way.

    python -m benchmarks.overlay [--out FILE.json] [--repeat N]

Ours is the whole picture (translucent masks, outlines, labels, trails, two lines and a zone with counts, the
panel), from 28 x 28 masks, in place. torchvision's `draw_segmentation_masks` draws the masks alone, into a
copy of an RGB tensor, from full-size masks; making those from the small ones is timed apart.
One thread each. The figure is the median of the process' CPU time.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.utils import draw_segmentation_masks

from pipeline.config.schema import LineConfig, StreamConfig, VideoConfig, ZoneConfig
from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.overlay import Overlay

WIDTH, HEIGHT = 1920, 1080
STREAM = StreamConfig(
    source="benchmark",
    lines={
        "door": LineConfig(points=((0.1, 0.6), (0.9, 0.6)), directions=("in", "out")),
        "road": LineConfig(points=((0.5, 0.1), (0.55, 0.9)), directions=("up", "down")),
    },
    zones={"crossing": ZoneConfig(points=((0.1, 0.65), (0.4, 0.65), (0.45, 0.95), (0.05, 0.95)))},
)


def scene(objects: int, frame: int) -> FrameTracks:
    """Objects of 60 to 180 x 120 to 400 pixels that walk; the same ones in every frame."""
    random = np.random.default_rng(7)
    sizes = np.stack([random.uniform(60, 180, objects), random.uniform(120, 400, objects)], axis=1)
    corners = random.uniform((0, 0), (WIDTH - 180, HEIGHT - 400), (objects, 2))
    corners += random.uniform(-2, 2, (objects, 2)) * (frame % 100)
    corners = corners.clip(0, np.array([WIDTH, HEIGHT]) - sizes)
    boxes = np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)
    mask = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
    cv2.circle(mask, (14, 4), 4, (255,), -1)
    cv2.ellipse(mask, (14, 13), (9, 7), 0, 0, 360, (255,), -1)
    cv2.rectangle(mask, (7, 16), (12, 27), (255,), -1)
    cv2.rectangle(mask, (16, 16), (21, 27), (255,), -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), np.uint8)
    return FrameTracks(
        stream="gate", epoch=0, seq=frame, index=frame, pts_s=frame / 25, wall_s=0.0,
        ids=np.arange(1, objects + 1), boxes_px=boxes, scores=np.full(objects, 0.9, np.float32),
        class_ids=(np.arange(objects) % 2).astype(np.int16), masks=np.repeat(mask[None], objects, axis=0),
        feet_px=np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, 3]], axis=1).astype(np.float32),
        lines={"door": {"person": {"in": frame // 10, "out": frame // 15}}},
        zones={"crossing": {"person": 3}}, unique={"person": objects, "car": 4},
    )  # fmt: skip


def median_ms(run: Callable[[int], object], repeat: int) -> float:
    """Median CPU time of `run(number)`, milliseconds."""
    spent = []
    for number in range(repeat):
        begin = time.process_time()
        run(number)
        spent.append((time.process_time() - begin) * 1000)
    return statistics.median(spent)


def measure(objects: int, repeat: int) -> dict[str, float]:
    random = np.random.default_rng(1)
    planes = Planes.from_rgb(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    frames = [scene(objects, number) for number in range(60 + repeat)]
    plain = Overlay(STREAM, VideoConfig(trails=False, labels=False), ("person", "car"), WIDTH, HEIGHT)
    whole = Overlay(STREAM, VideoConfig(), ("person", "car"), WIDTH, HEIGHT)
    only = Overlay(
        StreamConfig(source="benchmark"),
        VideoConfig(trails=False, labels=False),
        ("person", "car"),
        WIDTH,
        HEIGHT,
    )
    for tracks in frames[:60]:  # trails at their full length, stamps made
        whole.draw(planes, tracks)
    image = torch.from_numpy(random.integers(0, 255, (3, HEIGHT, WIDTH), np.uint8))
    small = torch.from_numpy(frames[0].masks.copy())[:, None].float() / 255
    boxes = torch.from_numpy(frames[0].boxes_px.copy())
    full = paste_masks_in_image(small, boxes, (HEIGHT, WIDTH))[:, 0] > 0.5
    slow = max(3, repeat // 10)
    return {
        "ours, masks and outlines": median_ms(lambda n: only.draw(planes, frames[n]), repeat),
        "ours, with lines, zone, panel": median_ms(lambda n: plain.draw(planes, frames[n]), repeat),
        "ours, with labels and trails": median_ms(lambda n: whole.draw(planes, frames[60 + n]), repeat),
        "torchvision, paste masks": median_ms(
            lambda _: paste_masks_in_image(small, boxes, (HEIGHT, WIDTH)) > 0.5, slow
        ),
        "torchvision, draw masks": median_ms(lambda _: draw_segmentation_masks(image, full, 0.5), slow),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of drawing one 1080p frame.")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--repeat", type=int, default=60)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    results = {count: measure(count, arguments.repeat) for count in (10, 50)}
    print(f"{'CPU-ms per 1080p frame':34}" + "".join(f"{count:>6} masks" for count in results))
    for name in results[10]:
        print(f"{name:34}" + "".join(f"{figures[name]:12.2f}" for figures in results.values()))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps({"overlay_cpu_ms_1080p": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
