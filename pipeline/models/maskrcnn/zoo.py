"""Weights of Mask R-CNNs: those that ship, and those that torchvision publishes. Imports no PyTorch by itself."""

from __future__ import annotations

from pathlib import Path

from pipeline.models.download import Hash
from pipeline.models.published import PublishedFile

STREET_FILE = Path(__file__).parent / "weights" / "street.safetensors"
"""Weights of the model that ships with Tallycam."""

R50 = "maskrcnn_resnet50_fpn"
V2 = "maskrcnn_resnet50_fpn_v2"
PUBLISHED = (R50, V2)
"""Names of torchvision's builders, and of the models here."""
LICENCE = "BSD-3-Clause"
"""Of the published weights."""


def published_weights(name: str) -> PublishedFile:
    """The weights of one of `PUBLISHED`, as torchvision's weights API describes them, in PyTorch's own cache, which
    `TORCH_HOME` moves.

    Args:
        name: one of `PUBLISHED`.
    """
    import torch
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT
    file = weights.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    digits = file.rpartition("-")[2].partition(".")[0]
    return PublishedFile(name, weights.url, path, Hash(digits), float(weights.meta["_file_size"]))
