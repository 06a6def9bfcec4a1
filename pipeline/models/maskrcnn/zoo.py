"""The Mask R-CNNs that torchvision publishes: where their weights come from and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.models.fetch import fetch, sha256_of

R50 = "maskrcnn_resnet50_fpn"
V2 = "maskrcnn_resnet50_fpn_v2"
PUBLISHED = (R50, V2)
"""Names of torchvision's builders, and of the models here."""

LICENCE = "BSD-3-Clause"


@dataclass(frozen=True, slots=True)
class Source:
    """Where published weights come from.

    Attributes:
        url: of the file.
        sha256: the first digits of its hash.
        path: where it is kept: PyTorch's own cache, `TORCH_HOME` moves it.
        megabytes: its size.
    """

    url: str
    sha256: str
    path: Path
    megabytes: float


def source(name: str) -> Source:
    """As torchvision's weights API gives it for one of `PUBLISHED`."""
    import torch
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT
    file = weights.url.rpartition("/")[2]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    size = float(weights.meta["_file_size"])
    return Source(weights.url, file.rpartition("-")[2].partition(".")[0], folder / file, size)


def pull(name: str, *, progress: bool = True) -> Path:
    """The file with the published weights; fetched where it is not there yet. Its hash is checked each time.

    Raises:
        ModelError: it is not there and cannot be fetched, or is damaged.
    """
    of = source(name)
    if not of.path.is_file():
        try:
            fetch(of.url, of.path, of.sha256, progress=progress)
        except ModelError as error:
            raise ModelError(
                f"model.name: {name} needs the file {of.path.name} ({of.megabytes:.0f} MB): {error}; fetch it "
                f"where there is a network and put it into {of.path.parent}"
            ) from error
        return of.path
    came = sha256_of(of.path)
    if not came.startswith(of.sha256):
        raise ModelError(
            f"{of.path}: damaged (its hash begins {came[:8]}, expected {of.sha256}); remove it, and it is "
            f"fetched again from {of.url}"
        )
    return of.path
