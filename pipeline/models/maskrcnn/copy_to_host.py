"""Results of a Mask R-CNN from the device to NumPy: one copy for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.maskrcnn.device import start_copy
from pipeline.models.maskrcnn.network_output import NetworkOutput

COLUMNS = 7
"""Float32 numbers that are copied for each detection: x0 y0 x1 y1 score label image."""


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A `NetworkOutput` in host memory.

    Attributes:
        rows: (N, 7) float32, x0 y0 x1 y1 in pixels of the input, score, label, image of the batch.
        masks: (N, 28, 28) uint8, probabilities scaled to 0..255.
        non_finite: (B,) int32, as in `NetworkOutput`.
        invalid: (B,) bool, as in `NetworkOutput`.
        appearances: (N, 24) uint8, where they were computed on the device.
    """

    rows: NDArray[np.float32]
    masks: NDArray[np.uint8]
    non_finite: NDArray[np.int32]
    invalid: NDArray[np.bool_]
    appearances: NDArray[np.uint8] | None


class HostCopy:
    """Copies the outputs of several runs of the network with a single transfer, since each one waits for the device.

    On CUDA the constructor returns before that is done, so that the next batch can be started meanwhile.

    Args:
        outputs: of any number of runs.
        appearances: of each (N, 24) uint8 on the device, or None.
    """

    def __init__(
        self, outputs: Sequence[NetworkOutput], appearances: Sequence[Tensor | None] | None = None
    ) -> None:
        self._layouts, parts = [], []
        for one, described in zip(outputs, appearances or [None] * len(outputs), strict=True):
            columns = 0 if described is None else described.shape[1]
            self._layouts.append(_Layout.of(one, columns))
            parts.append(one.pack() if one.packed is None else one.packed)
            if described is not None:
                parts.append(described.flatten())
        self._bytes = start_copy(parts[0] if len(parts) == 1 else torch.cat(parts)) if parts else None

    def finish(self) -> list[HostOutput]:
        """One for each output, in order. Waits for the device."""
        flat, copies = np.zeros(0, np.uint8) if self._bytes is None else self._bytes().numpy(), []
        for layout in self._layouts:
            copies.append(layout.output(flat))
            flat = flat[sum(layout.sizes) :]
        return copies


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where an output lies among the bytes that were copied: of `packed_rows` and `packed_images` the first."""

    rows: int
    images: int
    packed_rows: int
    packed_images: int
    side: int
    columns: int

    @classmethod
    def of(cls, output: NetworkOutput, columns: int) -> _Layout:
        rows, images = len(output.masks), len(output.invalid)
        packed = (rows, images) if output.packed is None else (output.packed_rows, output.packed_images)
        return cls(rows, images, *packed, output.masks.shape[1], columns)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of detections, masks, `non_finite`, `invalid` and appearances."""
        rows, images = self.packed_rows, self.packed_images
        return rows * COLUMNS * 4, rows * self.side**2, images * 4, images, self.rows * self.columns

    def output(self, flat: NDArray[np.uint8]) -> HostOutput:
        """The output whose bytes `flat` begins with."""
        rows, masks, non_finite, invalid, described, _ = np.split(flat, np.cumsum(self.sizes))
        return HostOutput(
            np.ascontiguousarray(rows).view(np.float32).reshape(-1, COLUMNS)[: self.rows],
            masks.reshape(-1, self.side, self.side)[: self.rows],
            np.ascontiguousarray(non_finite).view(np.int32)[: self.images],
            invalid[: self.images] > 0,
            described.reshape(-1, self.columns) if self.columns else None,
        )
