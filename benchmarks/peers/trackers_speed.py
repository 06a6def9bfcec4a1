"""The peers of `benchmarks/tracker.py`: CPU-ms a frame of trackers of the package `trackers` at their defaults.

    python trackers_speed.py BOXES.npz NAME

Run by a Python of its own environment (`pip install trackers supervision`). NAME: `sort` or `bytetrack`. BOXES.npz
holds `edges` (F + 1,) and the rows between them of `boxes` (N, 4), `scores` (N,). Prints a number.
"""

import sys
import time

import numpy as np
import supervision as sv
import trackers

TRACKERS = {"sort": trackers.SORTTracker, "bytetrack": trackers.ByteTrackTracker}


def main():
    data = np.load(sys.argv[1])
    edges, boxes, scores = data["edges"], data["boxes"], data["scores"]
    tracker = TRACKERS[sys.argv[2]](frame_rate=25.0)
    frames = [
        sv.Detections(xyxy=boxes[a:b], confidence=scores[a:b], class_id=np.zeros(b - a, int))
        for a, b in zip(edges[:-1], edges[1:], strict=True)  # noqa: RUF007
    ]
    spent = 0.0
    for detections in frames:
        start = time.process_time()
        tracker.update(detections)
        spent += time.process_time() - start
    print(1000 * spent / len(frames))


if __name__ == "__main__":
    main()
