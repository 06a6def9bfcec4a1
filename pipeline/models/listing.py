"""The models there are, with what a user has to know before using one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.maskrcnn.choice import STREET_FILE, fetched
from pipeline.models.maskrcnn.zoo import LICENCE, PUBLISHED, pull, source

OWN_LICENCE = "Apache-2.0"


@dataclass(frozen=True, slots=True)
class Listed:
    """One model.

    Attributes:
        name: what `model.name` or `model.path` takes.
        what: what it is, in words.
        megabytes: of its weights; 0: it has none.
        licence: of the weights; empty where the file does not tell.
        classes: names.
        where: the file, or how to get it.
    """

    name: str
    what: str
    megabytes: float
    licence: str
    classes: tuple[str, ...]
    where: str


def listing(files: Sequence[Path] = ()) -> list[Listed]:
    """The models that go by name, then those in `files`.

    Raises:
        ModelError: one of the files is no model.
    """
    rows = [
        Listed(
            registry.STREET,
            "Mask R-CNN for rendered streets; ships",
            STREET_FILE.stat().st_size / 1e6,
            OWN_LICENCE,
            registry.classes_of(ModelConfig()),
            str(STREET_FILE),
        )
    ]
    for name in PUBLISHED:
        of = source(name)
        here = of.path.is_file()
        rows.append(
            Listed(
                name,
                "Mask R-CNN of torchvision, COCO",
                of.megabytes,
                LICENCE,
                registry.classes_of(ModelConfig(name=name)),
                str(of.path) if here else f"not here: tallycam models pull {name}",
            )
        )
    rows.append(
        Listed(
            "motion",
            "what moves before a fixed camera",
            0.0,
            OWN_LICENCE,
            registry.classes_of(ModelConfig(name="motion")),
            "needs none",
        )
    )
    for path in files:
        config = ModelConfig(path=path)
        kind = registry.kind(config)
        rows.append(
            Listed(str(path), kind, path.stat().st_size / 1e6, "", registry.classes_of(config), str(path))
        )
    return rows


def fetch_weights(name: str) -> str:
    """Fetches published weights; says where they are.

    Raises:
        ModelError: no such name, or they cannot be fetched.
    """
    if name == registry.STREET:
        return f"{STREET_FILE}: ships with Tallycam, nothing to fetch"
    if name not in PUBLISHED:
        raise ModelError(f"models pull: got {name}, expected {' or '.join(PUBLISHED)}")
    return str(pull(name))


def weights_of(config: ModelConfig) -> Path | None:
    """The file with a Mask R-CNN's weights; None: the one that ships.

    Raises:
        ModelError: it is no Mask R-CNN, or its weights cannot be fetched.
    """
    kind = registry.kind(config)
    if kind != "maskrcnn":
        raise ModelError(f"models export: {config.path or config.name} is {kind}, expected a Mask R-CNN")
    return fetched(config)
