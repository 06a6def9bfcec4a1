"""The RF-DETR segmentation models that have a name here (Roboflow, Apache-2.0). Imports nothing large."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.models.download import Hash
from pipeline.models.published import PublishedFile, cache_folder

PACKAGE = "rfdetr"
VERSION = "1.11.2"
"""Of the package that exports them. Addresses and hashes are those of its `assets/model_weights.py`."""
LICENCE = "Apache-2.0"
_ADDRESS = "https://storage.googleapis.com/rfdetr/"


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of RF-DETR segmentation.

    Attributes:
        name: the value of `model.name`.
        class_name: its class in the package.
        side_px: side of its input, a square.
        mask_ap: published mask AP on COCO, in percent.
        url: of its weights.
        md5: of its weights.
    """

    name: str
    class_name: str
    side_px: int
    mask_ap: float
    url: str
    md5: str

    @property
    def weights(self) -> PublishedFile:
        """The published weights. The package finds them by their name."""
        path = cache_folder() / f"{self.name.replace('rfdetr', 'rf-detr')}.pt"
        return PublishedFile(self.name, self.url, path, Hash(self.md5, "md5"))

    @property
    def onnx(self) -> Path:
        """The exported model."""
        return cache_folder() / f"{self.name}.onnx"

    @property
    def onnx_hash(self) -> Path:
        """SHA-256 of the exported model, as `sha256sum` writes it."""
        return cache_folder() / f"{self.name}.onnx.sha256"


VARIANTS = {
    one.name: one
    for one in (
        Variant(
            "rfdetr-seg-nano", "RFDETRSegNano", 312, 40.3,
            _ADDRESS + "rf-detr-seg-n-ft.pth", "9995497791d0ff1664a1d9ddee9cfd20",
        ),
        Variant(
            "rfdetr-seg-small", "RFDETRSegSmall", 384, 43.1,
            _ADDRESS + "rf-detr-seg-s-ft.pth", "0a2a3006381d0c42853907e700eadd08",
        ),
        Variant(
            "rfdetr-seg-medium", "RFDETRSegMedium", 432, 45.3,
            _ADDRESS + "rf-detr-seg-m-ft.pth", "a49af1562c3719227ad43d0ca53b4c7a",
        ),
        Variant(
            "rfdetr-seg-large", "RFDETRSegLarge", 504, 47.1,
            _ADDRESS + "rf-detr-seg-l-ft.pth", "275f7b094909544ed2841c94a677d07e",
        ),
    )
}  # fmt: skip
"""By name, the smallest first."""
