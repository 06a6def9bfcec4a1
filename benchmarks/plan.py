"""Predictions of `tallycam plan` beside measurements of streams that it was not fitted on.

    python -m benchmarks.plan [--seconds 8]

For each size of frames the costs are measured as the command does it (three streams, 2 and 15 frames a second). Then
other numbers of streams run at other rates, paced as cameras are, and cores and memory are compared.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import tempfile

from benchmarks.measure import save, table
from pipeline.capacity.plan import Demand, Machine, ModelCosts, needs
from pipeline.capacity.sample import FPS, make_clip, make_log
from pipeline.capacity.stream_costs import measure, paced, quiet
from pipeline.capacity.unit_costs import measure_units

OBJECTS = 10
CASES = (
    ((640, 360), False, ((8, 5.0), (5, 10.0))),
    ((1280, 720), False, ((5, 8.0), (2, 25.0))),
    ((1920, 1080), False, ((2, 10.0),)),
    ((1280, 720), True, ((2, 10.0),)),
)
"""Size of the frames, whether the video is written, and (streams, frames a second) of each run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    given = parser.parse_args()
    nothing = Machine(1, 0, 1, 1)
    rows: list[list[object]] = []
    results = []
    for size, video, runs in CASES:
        with quiet():
            units = measure_units(size, OBJECTS, video=video)
        for streams, fps in runs:
            cores, memory, *_ = needs(units, ModelCosts(), Demand(streams, fps, FPS, 0), nothing)
            with tempfile.TemporaryDirectory() as name, quiet():
                folder = Path(name)
                make_clip(folder / "clip.mp4", size)
                make_log(folder / "people.log", size, OBJECTS)
                config = paced(folder / "clip.mp4", folder / "people.log", streams, fps, video=video)
                seen = measure(config, folder / "out", given.seconds)
            predicted, measured = cores.needed(streams), seen.cores
            predicted_mb, measured_mb = 1024 * memory.needed(streams), seen.total_mb
            what = f"{streams} x {size[1]}p, {fps:g} fps{', video' if video else ''}"
            rows.append([
                what, f"{predicted:.2f}", f"{measured:.2f}", f"{100 * (predicted / measured - 1):+.0f} %",
                f"{predicted_mb:.0f}", f"{measured_mb:.0f}", f"{100 * (predicted_mb / measured_mb - 1):+.0f} %",
            ])  # fmt: skip
            results.append({
                "streams": streams, "fps": fps, "size": list(size), "video": video,
                "cores": {"predicted": round(predicted, 3), "measured": round(measured, 3)},
                "memory_mb": {"predicted": round(predicted_mb), "measured": round(measured_mb)},
            })  # fmt: skip
    head = ["streams", "cores predicted", "measured", "off", "MB predicted", "measured", "off"]
    table("Predicted and measured", head, rows)
    save("plan", {"runs": results})


if __name__ == "__main__":
    main()
