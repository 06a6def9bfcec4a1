"""Weights of Mask R-CNNs: those that ship, and those that torchvision publishes. Imports no PyTorch by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.models.download import download, sha256_of

STREET_FILE = Path(__file__).parent / "weights" / "street.safetensors"
"""Weights of the model that ships with Tallycam."""

R50 = "maskrcnn_resnet50_fpn"
V2 = "maskrcnn_resnet50_fpn_v2"
PUBLISHED = (R50, V2)
"""Names of torchvision's builders, and of the models here."""
LICENCE = "BSD-3-Clause"
"""Of the published weights."""


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Weights that torchvision publishes.

    Attributes:
        url: where they are downloaded from.
        sha256: the first hexadecimal digits of the file's hash.
        path: where they are kept: PyTorch's own cache, which `TORCH_HOME` moves.
        megabytes: size of the file.
    """

    url: str
    sha256: str
    path: Path
    megabytes: float


def published_weights(name: str) -> PublishedWeights:
    """The weights of one of `PUBLISHED`, as torchvision's weights API describes them.

    Args:
        name: one of `PUBLISHED`.
    """
    import torch
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT
    file = weights.url.rpartition("/")[2]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    megabytes = float(weights.meta["_file_size"])
    return PublishedWeights(weights.url, file.rpartition("-")[2].partition(".")[0], folder / file, megabytes)


def pull(name: str, *, progress: bool = True) -> Path:
    """The file with published weights, downloaded where it is missing. Its hash is checked each time.

    Args:
        name: one of `PUBLISHED`.
        progress: whether a download draws a progress bar.

    Raises:
        ModelError: the file is missing and cannot be downloaded, or is damaged.
    """
    weights = published_weights(name)
    path = weights.path
    if not path.is_file():
        try:
            download(weights.url, path, weights.sha256, progress=progress)
        except ModelError as error:
            raise ModelError(
                f"model.name: {name} needs the file {path.name} ({weights.megabytes:.0f} MB): {error}; download it "
                f"on a machine with network access and put it into {path.parent}"
            ) from error
        return path
    digest = sha256_of(path)
    if not digest.startswith(weights.sha256):
        raise ModelError(
            f"{path}: damaged (its hash begins with {digest[:8]}, expected {weights.sha256}); remove it, and it is "
            f"downloaded again from {weights.url}"
        )
    return path
