"""A class of one's own, from the weights that ship: how long `tallycam train` takes, how good it is, what `run` counts.

    python -m benchmarks.own_class data DIR     # a dataset of rendered pallets, scenes apart, in DIR/data
    python -m benchmarks.own_class train DIR    # tallycam train DIR/data --out DIR/model
    python -m benchmarks.own_class count DIR    # clips of other scenes, counted by tallycam run
    python -m benchmarks.own_class all DIR

The dataset has 300 images to learn from and 90 of other scenes to evaluate on. Results go to
benchmarks/results/own_class.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import cpu_s, save, table
from benchmarks.pallets import PALLET, PalletScene
from pipeline.demo.clip import write_clip
from pipeline.demo.command import compare
from pipeline.demo.scene.world import Rendered
from pipeline.geometry.rle import encode
from pipeline.models.training.mask_ap import COUNTED_PX, COUNTED_SHARE
from pipeline.records.scene_truth import read_truth

FIRST_SEED = {"train": 1000, "val": 5000}
SCENES = {"train": 60, "val": 30}
FRAMES = {"train": 5, "val": 3}
CLIPS = (7001, 7002, 7003)
"""Seeds of the clips that are counted."""
CLIP_S = 20.0


def write_dataset(folder: Path) -> None:
    """Writes `train.json`, `val.json` and `images/`: frames of scenes, with the pallets labelled."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for part, scenes in SCENES.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for seed in range(FIRST_SEED[part], FIRST_SEED[part] + scenes):
            scene = PalletScene.from_seed(seed, duration_s=20.0, traffic=1.5)
            rng = np.random.default_rng(seed)
            for index in sorted(rng.choice(scene.frame_count, FRAMES[part], replace=False).tolist()):
                frame = scene.frame(index)
                name = f"scene{seed}_{index:04}.jpg"
                quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
                cv2.imwrite(str(folder / "images" / name), frame.image[..., ::-1], quality)
                size = {"width": scene.width, "height": scene.height}
                images.append({"id": len(images) + 1, "file_name": name, **size})
                annotations += _annotations(frame, len(images), len(annotations) + 1)
        document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": PALLET}]}
        (folder / f"{part}.json").write_text(json.dumps(document))
        print(f"{part}: {len(images)} images, {len(annotations)} pallets")


def _annotations(frame: Rendered, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """The pallets of a frame; those of which little can be seen are crowd."""
    found: list[dict[str, Any]] = []
    for one in frame.instances:
        if one.class_name == PALLET:
            x0, y0, x1, y1 = one.box_px
            mask = {"size": list(frame.labels.shape), "counts": encode(frame.mask(one.label))}
            crowd = one.area_px < COUNTED_PX or one.visible < COUNTED_SHARE
            found.append({
                "id": first_id + len(found), "image_id": image_id, "category_id": 1, "area": one.area_px,
                "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": int(crowd), "segmentation": mask,
            })  # fmt: skip
    return found


def train(data: Path, model: Path, steps: int) -> dict[str, Any]:
    """Runs `tallycam train` on the CPU; wall and CPU seconds of all of it, and its figures."""
    command = [
        sys.executable, "-m", "pipeline", "train", str(data), "--out", str(model), "--steps", str(steps),
        "--device", "cpu", "--overwrite",
    ]  # fmt: skip
    began_s, before_s = time.monotonic(), cpu_s(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    wall_s, used_s = time.monotonic() - began_s, cpu_s(resource.RUSAGE_CHILDREN) - before_s
    evaluation = json.loads((model / "evaluation.json").read_text())
    kept = {key: evaluation[key] for key in ("ap", "ap50", "ap75", "iou", "precision", "recall_at_score")}
    return {"steps": steps, "wall_s": round(wall_s), "cpu_s": round(used_s), **kept}


def count(folder: Path, weights: Path) -> list[dict[str, Any]]:
    """Counts clips of scenes that are in no part of the dataset, and compares with their truth."""
    rows = []
    threshold = json.loads((weights.parent / "evaluation.json").read_text())["score"]
    for seed in CLIPS:
        out = folder / f"clip-{seed}"
        out.mkdir(parents=True, exist_ok=True)
        video, truth_path = out / "clip.mp4", out / "truth.json.gz"
        if not video.is_file():
            write_clip(PalletScene.from_seed(seed, duration_s=CLIP_S), video, truth_path)
        truth = read_truth(truth_path)
        (line,) = truth.layout.lines
        rule = {"points": line.points, "classes": [PALLET], "directions": line.directions}
        config = {
            "model": {"path": str(weights), "score": threshold},
            "streams": {"yard": {"source": str(video), "lines": {"road": rule}}},
        }
        (out / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
        run = [
            sys.executable,
            "-m",
            "pipeline",
            "run",
            str(out / "config.yaml"),
            "--out",
            str(out / "run"),
            "--overwrite",
        ]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((out / "run" / "summary.json").read_text())["streams"]["yard"]
        scores = [score for score in compare(summary, truth) if score.class_name == PALLET]
        for score in scores:
            what = f"{score.kind} {score.direction}".strip()
            rows.append({"clip": seed, "what": what, "true": score.true, "counted": score.counted})
    return rows


def main() -> int:
    """Runs what is asked for; the exit code tells whether all counts are right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("data", "train", "count", "all"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    data, model = given.folder / "data", given.folder / "model"
    result: dict[str, Any] = {}
    if given.what in ("data", "all"):
        write_dataset(data)
    if given.what in ("train", "all"):
        result["training"] = train(data, model, given.steps)
        table("training", list(result["training"]), [list(result["training"].values())])
    if given.what in ("count", "all"):
        result["counts"] = count(given.folder, model / "best.safetensors")
        table("pallets counted", list(result["counts"][0]), [list(row.values()) for row in result["counts"]])
    if given.what == "all":
        save("own_class", result)
    return int(any(row["true"] != row["counted"] for row in result.get("counts", ())))


if __name__ == "__main__":
    raise SystemExit(main())
