"""A detector of one's own with Tallycam's tracker, lines and zones:  python examples/own_detector.py yard.mp4

The detector here is OpenCV's background subtraction. Any other one does: give its boxes to `pipeline.from_boxes`, its
`supervision.Detections` to `pipeline.from_supervision`, torchvision's output to `pipeline.from_torchvision`.
"""

import sys

import av
import cv2

import pipeline

background = cv2.createBackgroundSubtractorMOG2(detectShadows=False)


def detect(image):
    """Boxes of everything that moves: (H, W, 3) uint8 RGB -> `pipeline.Detections`."""
    moving = cv2.morphologyEx(background.apply(image), cv2.MORPH_CLOSE, None, iterations=3)
    _, _, stats, _ = cv2.connectedComponentsWithStats(moving)
    boxes = [(x, y, x + width, y + height) for x, y, width, height, area in stats[1:] if area > 200]
    return pipeline.from_boxes(boxes)


with av.open(sys.argv[1]) as container:
    stream = container.streams.video[0]
    tracker = pipeline.Tracker((stream.width, stream.height), classes=["moving"])
    line = pipeline.LineCounter([(0.5, 1.0), (0.5, 0.0)], directions=("right", "left"))
    zone = pipeline.ZoneCounter([(0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0)])
    for frame in container.decode(stream):
        image = frame.to_ndarray(format="rgb24")
        tracks = tracker.update(detect(image), frame.time, image)
        line.update(tracks)
        zone.update(tracks)
    line.update(tracker.finish())

print("objects:", tracker.unique)
print("line:", line.counts)
print("zone:", zone.counts)
