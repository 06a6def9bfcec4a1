"""Counts who crosses a line in a video:  python examples/count_lines.py street.mp4"""

import sys

import pipeline

MIDDLE = {
    "points": [[0.5, 1.0], [0.5, 0.0]],
    "directions": ["right", "left"],
}  # upwards: its left hand is left

video = pipeline.open(sys.argv[1], {"streams": {"video": {"lines": {"middle": MIDDLE}}}})
for frame in video:
    for event in frame.events:
        if event.kind == "line":
            print(f"{event.pts_s:6.2f} s: {event.class_name} {event.track} crossed to the {event.direction}")
print(video.totals["lines"]["middle"])
