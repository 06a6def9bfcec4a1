"""The classes of COCO (Lin et al., Microsoft COCO, 2014), which most published models are trained on."""

from __future__ import annotations

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 classes, in the order of YOLO exports."""

COCO_SLOTS = 91
"""Output channels of a model that keeps the numbers of the annotation files: 1 to 90, and 0 for the background."""

_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Numbers from 1 to 90 that the annotation files do not use."""

COCO_BY_NUMBER = dict(
    zip((number for number in range(1, COCO_SLOTS) if number not in _UNUSED), COCO, strict=True)
)
"""Number in the annotation files -> name."""
