"""The peer of `benchmarks/pipeline.py`: one process that decodes, tracks, counts, draws and encodes with supervision.

    python supervision_loop.py VIDEO BOXES.npz OUT.mp4|-

Run by a Python of its own environment (`pip install supervision==0.26.1 opencv-python-headless av`). The instances
are recorded ones, as for the pipeline: boxes, scores, classes and 28x28 masks of each frame, pasted to full size
where masks are drawn, which is the form that supervision takes. Prints one line of JSON: frames a second and
CPU-ms a frame.
"""

import json
import resource
import sys
import time

import av
import cv2
import numpy as np
import supervision as sv


def paste(masks, boxes, height, width):
    """(N, 28, 28) over their boxes -> (N, H, W) bool."""
    full = np.zeros((len(masks), height, width), bool)
    for row, (x0, y0, x1, y1) in enumerate(boxes.round().astype(int)):
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        if x1 > x0 and y1 > y0:
            full[row, y0:y1, x0:x1] = cv2.resize(masks[row], (x1 - x0, y1 - y0)) >= 128
    return full


def main():
    video, recorded, out = sys.argv[1:]
    data = np.load(recorded)
    rows = [[data[f"arr_{4 * i + k}"] for k in range(4)] for i in range(len(data.files) // 4)]
    draw = out != "-"
    tracker = sv.ByteTrack()
    masks_of, outlines_of = sv.MaskAnnotator(), sv.PolygonAnnotator()
    labels_of, trails_of = sv.LabelAnnotator(), sv.TraceAnnotator()
    start_s = time.perf_counter()
    frames = 0
    with av.open(video) as source:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        width, height = stream.width, stream.height
        line = sv.LineZone(sv.Point(width // 2, height), sv.Point(width // 2, 0))
        line_of = sv.LineZoneAnnotator()
        target = av.open(out, "w") if draw else None
        if target is not None:
            output = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23"})
            output.width, output.height, output.pix_fmt = width, height, "yuv420p"
            output.codec_context.thread_count = 2
        for number, frame in enumerate(source.decode(stream)):
            boxes, scores, classes, masks = rows[number % len(rows)]
            full = paste(masks, boxes, height, width) if draw and len(boxes) else None
            found = sv.Detections(boxes, mask=full, confidence=scores, class_id=classes.astype(int))
            found = tracker.update_with_detections(found)
            line.trigger(found)
            frames += 1
            if target is None:
                continue
            image = frame.to_ndarray(format="bgr24")
            if len(found):
                image = masks_of.annotate(image, found)
                image = outlines_of.annotate(image, found)
                image = trails_of.annotate(image, found)
                image = labels_of.annotate(image, found, [f"#{track}" for track in found.tracker_id])
            image = line_of.annotate(image, line)
            target.mux(output.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        if target is not None:
            target.mux(output.encode(None))
            target.close()
    spent_s = time.perf_counter() - start_s
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = usage.ru_utime + usage.ru_stime
    print(json.dumps({"fps": frames / spent_s, "cpu_ms": 1e3 * cpu_s / frames}))


if __name__ == "__main__":
    main()
