"""Trackers of the package `trackers` over recorded detections: rows for `benchmarks/counting.py`.

    python trackers_rows.py SCENES.npz NAME ROWS.npz

Run by a Python of its own environment (`pip install trackers supervision`). NAME: `bytetrack` or `cbiou`, at their
defaults, told the frame rate. SCENES.npz holds, for each scene number n, `found_n`, (N, 6) frame x0 y0 x1 y1 score, and
`fps_n`, frames a second and how many; ROWS.npz gets `rows_n`, (N, 6) frame from 1, id, left, top, width, height.
"""

import sys

import numpy as np
import supervision as sv
import trackers

TRACKERS = {"bytetrack": trackers.ByteTrackTracker, "cbiou": trackers.CBIoUTracker}


def track(make, found, fps, frames):
    tracker = make(frame_rate=float(fps))
    edges = np.searchsorted(found[:, 0], np.arange(1, frames + 2))
    rows = []
    for frame in range(frames):
        now = found[edges[frame] : edges[frame + 1]]
        boxes = sv.Detections(
            xyxy=now[:, 1:5].astype(np.float32), confidence=now[:, 5].astype(np.float32),
            class_id=np.zeros(len(now), int),
        )  # fmt: skip
        tracked = tracker.update(boxes)
        for (x0, y0, x1, y1), identity in zip(tracked.xyxy, tracked.tracker_id, strict=True):
            if identity is not None and identity >= 0:
                rows.append((frame + 1, identity, x0, y0, x1 - x0, y1 - y0))
    return np.array(rows, float).reshape(-1, 6)


def main():
    scenes, name, out = sys.argv[1:]
    data = np.load(scenes)
    numbers = [key.removeprefix("fps_") for key in data.files if key.startswith("fps_")]
    rows = {}
    for number in numbers:
        fps, frames = data[f"fps_{number}"].tolist()
        rows[f"rows_{number}"] = track(TRACKERS[name], data[f"found_{number}"], fps, frames)
    np.savez(out, **rows)


if __name__ == "__main__":
    main()
