"""Which of a YOLO export's outputs are its detections and its prototypes, and what format the detections have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.models.mask_grid import Floats
from pipeline.models.onnx.layout import Outputs, ProbedModel

STRIDES = (8, 16, 32)
"""Input pixels per cell of the three grids of anchors."""
PROTOTYPE_STRIDE = 4
"""Input pixels per cell of the prototypes, as trained."""
USUAL_NAMES = ("output0", "output1")


@dataclass(frozen=True, slots=True)
class HeadFormat:
    """Format of the detections output.

    Attributes:
        kind: as above.
        classes: how many classes it has; None for `final`, which does not tell.
    """

    kind: Literal["v5", "v8", "final"]
    classes: int | None

    @classmethod
    def of_shapes(
        cls, detections: tuple[int, ...], prototypes: tuple[int, ...], input_hw: tuple[int, int]
    ) -> HeadFormat | None:
        """The format that the shapes of the two outputs are of, None where there is none.

        Args:
            detections: shape of the output of rank 3.
            prototypes: shape of the output of rank 4.
            input_hw: height and width of the input.
        """
        rows, columns, coefficients = detections[1], detections[2], prototypes[1]
        cells = sum((input_hw[0] // stride) * (input_hw[1] // stride) for stride in STRIDES)
        if rows == 3 * cells and columns > 5 + coefficients:
            return cls("v5", columns - 5 - coefficients)
        if columns == cells and rows > 4 + coefficients:
            return cls("v8", rows - 4 - coefficients)
        if columns == 6 + coefficients:
            return cls("final", None)
        # Other strides (the P6 models): anchors outnumber features.
        if rows > columns > 5 + coefficients:
            return cls("v5", columns - 5 - coefficients)
        if columns > rows > 4 + coefficients:
            return cls("v8", rows - 4 - coefficients)
        return None

    def rows(self, detections: Floats) -> Floats:
        """One frame's detections as a view with one row per anchor."""
        return detections.T if self.kind == "v8" else detections

    def confidence(self, rows: Floats, coefficients: int) -> Floats:
        """(A,) the number that has to reach the score threshold.

        It is the best class score for `v8` and the score for `final`. For `v5` it is the objectness: a score is
        objectness times class score, so objectness alone rules most anchors out.

        Args:
            rows: one per anchor.
            coefficients: mask coefficients of an anchor.
        """
        best: Floats = rows[:, 4:-coefficients].max(axis=1) if self.kind == "v8" else rows[:, 4]
        return best


@dataclass(frozen=True, slots=True)
class OutputPair:
    """The two outputs that are used.

    Attributes:
        detections_name: name of the detections.
        prototypes_name: name of the prototypes.
        head: format of the detections.
        channels_last: prototypes are (B, h, w, m) instead of (B, m, h, w).
    """

    detections_name: str
    prototypes_name: str
    head: HeadFormat
    channels_last: bool

    def of_frame(self, outputs: Outputs, row: int) -> tuple[Floats, Floats]:
        """Detections, one row for each anchor, and prototypes, (m, h, w), of one frame, as views.

        Args:
            outputs: of the whole batch.
            row: the frame's place in the batch.
        """
        prototypes: NDArray[np.float32] = outputs[self.prototypes_name][row]
        return (
            self.head.rows(outputs[self.detections_name][row]),
            prototypes.transpose(2, 0, 1) if self.channels_last else prototypes,
        )


def find_pair(model: ProbedModel) -> OutputPair | None:
    """The outputs of a model that are the detections and prototypes of a YOLO, None where there are none.

    Where several fit, prototypes of the usual size come first, then a number of classes as in the names, then the usual
    names of outputs.

    Args:
        model: the model, probed with one image.
    """
    best: tuple[tuple[bool, bool, bool], OutputPair] | None = None
    usual_hw = tuple(side // PROTOTYPE_STRIDE for side in model.input_hw)
    for prototypes_name in model.outputs_of_rank(4):
        shape = model.outputs[prototypes_name].shape
        orders = [(False, shape), (True, (shape[0], shape[3], shape[1], shape[2]))]
        if shape[1:3] != usual_hw:  # channels last only where height and width say so
            del orders[1]
        for detections_name in model.outputs_of_rank(3):
            for channels_last, in_order in orders:
                head = HeadFormat.of_shapes(model.outputs[detections_name].shape, in_order, model.input_hw)
                if head is None:
                    continue
                fit = (
                    in_order[2:] == usual_hw,
                    model.names is None or head.classes in (None, len(model.names)),
                    (detections_name, prototypes_name) == USUAL_NAMES,
                )
                if best is None or fit > best[0]:
                    pair = OutputPair(detections_name, prototypes_name, head, channels_last)
                    best = (fit, pair)
    return best[1] if best is not None else None
