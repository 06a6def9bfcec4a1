"""Counts of freshly rendered streets beside their truth: model, tracker and counting on scenes none of them has seen.

    python -m benchmarks.demo_seeds [--seeds 1-21] [--out DIR] [--recount]

Each scene is what `tallycam demo --seed N` renders and counts, without the video. Errors are sums over scenes of
|counted - true|, over the sum of true.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import tempfile

from benchmarks.measure import save, table
from pipeline.config.schema import Config
from pipeline.demo import command as demo
from pipeline.demo.clip import DEMO_SEED
from pipeline.records.scene_truth import SceneTruth, read_truth
from pipeline.runtime.recount import recount
from pipeline.runtime.run import run
from pipeline.runtime.run_folder import Existing

KINDS = ("unique", "line", "zone")


def prepared(seed: int, folder: Path) -> tuple[Path, SceneTruth]:
    """The scene's clip and truth, rendered once."""
    video, truth = folder / f"scene-{seed}.mp4", folder / f"scene-{seed}-truth.json.gz"
    return (video, read_truth(truth)) if truth.exists() else demo.prepare(seed, folder)


def without_video(config: Config) -> Config:
    data = config.model_dump(mode="json")
    data["output"]["video"]["codec"] = "none"
    return Config.model_validate(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts of freshly rendered streets beside their truth.")
    parser.add_argument("--seeds", default="1-21", help="first-last; the one of the bundled clip is left out")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "tallycam-bench" / "seeds")
    parser.add_argument("--recount", action="store_true", help="count the logs of earlier runs again")
    given = parser.parse_args()
    first, last = map(int, given.seeds.split("-"))
    rows: list[dict[str, float]] = []
    for seed in (s for s in range(first, last + 1) if s != DEMO_SEED):
        video, truth = prepared(seed, given.out)
        config = without_video(demo.configuration(truth, video))
        log = given.out / f"run-{seed}" / "log" / f"{demo.STREAM}.log"
        if given.recount and log.exists():
            _, view = recount(log, config)
        else:
            view = run(config, given.out / f"run-{seed}", existing=Existing.OVERWRITE)[demo.STREAM]
        scores = demo.compare(view.counts.summary, truth)
        row: dict[str, float] = {"seed": seed, "speed": round(demo.speed(view, truth), 2)}
        for kind in KINDS:
            row[f"{kind}_off"] = sum(score.off for score in scores if score.kind == kind)
            row[f"{kind}_true"] = sum(score.true for score in scores if score.kind == kind)
        rows.append(row)
        wrong = [score for score in scores if score.off]
        print(f"seed {seed}: {json.dumps(row)}", flush=True)
        for score in wrong:
            name = " ".join(filter(None, (score.kind, score.what, score.class_name, score.direction)))
            print(f"    {name}: counted {score.counted}, true {score.true}", flush=True)
    table(
        "off / true",
        ("seed", "unique", "lines", "zones", "x real time"),
        [
            (row["seed"], *(f"{row[f'{kind}_off']} / {row[f'{kind}_true']}" for kind in KINDS), row["speed"])
            for row in rows
        ],
    )
    errors = {
        kind: 100 * sum(row[f"{kind}_off"] for row in rows) / max(1, sum(row[f"{kind}_true"] for row in rows))
        for kind in KINDS
    }
    print("\nerrors in total: " + ", ".join(f"{kind} {error:.1f} %" for kind, error in errors.items()))
    save("demo_seeds", {"errors_percent": errors, "scenes": rows})


if __name__ == "__main__":
    main()
