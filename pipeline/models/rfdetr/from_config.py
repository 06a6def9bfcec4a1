"""RF-DETR's functions in the table of models: fetching, loading from a `ModelConfig`, class names.

The published weights are downloaded and exported to ONNX once; afterwards only ONNX Runtime is needed.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.files import make_folder, reading, replacing, write_text
from pipeline.models.coco_classes import COCO
from pipeline.models.download import Hash, hash_of
from pipeline.models.model_info import ModelInfo
from pipeline.models.rfdetr.variants import LICENCE, PACKAGE, VARIANTS, VERSION, Variant
from pipeline.models.segmenter import Segmenter


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device; fetched where it is missing.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: as `onnx_file`; there is no such device.
    """
    from pipeline.models.onnx.onnx_model import OnnxSegmenter

    return OnnxSegmenter(config.model_copy(update={"path": onnx_file(config), "name": None, "classes": None}))


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The classes of COCO.

    Args:
        config: the `model` part of a configuration.
    """
    return COCO


def onnx_file(config: ModelConfig) -> Path:
    """The exported model, fetched and exported where it is missing. Its hash is checked each time.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: ONNX Runtime is missing; the weights cannot be downloaded or the package that exports them cannot be
            installed; a file in the cache is damaged.
    """
    return pull(_variant(config.name))


def take(name: str, file: Path | None, python: Path | None = None) -> Path:
    """Puts a model into the cache from a file that was downloaded or exported elsewhere.

    Args:
        name: the value of `model.name`.
        file: its published weights, or its ONNX export; None: the weights are downloaded.
        python: an interpreter that has the package `rfdetr`; default: a temporary environment is made.

    Raises:
        ModelError: as `onnx_file`, or the file is another one.
    """
    variant = _variant(name)
    if file is None:
        return pull(variant, python)
    if file.suffix.lower() == ".onnx":
        with reading(file, ModelError), file.open("rb"):
            return _keep(variant, file)
    return _export(variant, variant.weights.take(file), python)


def pull(variant: Variant, python: Path | None = None) -> Path:
    """The exported model, as `onnx_file`.

    Args:
        variant: which one.
        python: as for `take`.

    Raises:
        ModelError: as `onnx_file`.
    """
    _need_onnx_runtime(variant)
    if variant.onnx.is_file():
        return _checked(variant)
    return _export(variant, variant.weights.fetch(), python)


def is_here(name: str) -> bool:
    """Whether a model can be used without the network.

    Args:
        name: the value of `model.name`.
    """
    return _variant(name).onnx.is_file()


def infos() -> list[ModelInfo]:
    """One of each size."""
    return [
        ModelInfo(
            name=one.name,
            description=f"RF-DETR, COCO, {one.side_px} px, mask AP {one.mask_ap}",
            where=str(one.onnx) if one.onnx.is_file() else f"not here: tallycam models pull {one.name}",
            megabytes=one.onnx.stat().st_size / 1e6 if one.onnx.is_file() else 0.0,
            licence=LICENCE,
            classes=COCO,
        )
        for one in VARIANTS.values()
    ]


def _variant(name: str | None) -> Variant:
    assert name is not None  # the table of models has led here by the name
    return VARIANTS[name]


def _need_onnx_runtime(variant: Variant) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ModelError(
            f"model.name: {variant.name} needs ONNX Runtime, which is not installed; pip install onnxruntime"
        )


def _export(variant: Variant, weights: Path, python: Path | None) -> Path:
    from pipeline.models.rfdetr.onnx_export import export

    _need_onnx_runtime(variant)
    how = f"with {python}" if python else f"in a temporary environment with the package {PACKAGE} {VERSION}"
    print(f"Exporting {variant.name} to ONNX {how}; this is done once", file=sys.stderr, flush=True)
    make_folder(variant.onnx.parent)
    with tempfile.TemporaryDirectory(prefix="export-", dir=variant.onnx.parent) as temporary:
        folder = Path(temporary, "onnx")
        folder.mkdir()
        try:
            return _keep(variant, export(variant, weights, folder, python))
        except ModelError as error:
            raise ModelError(
                f"{error}; run `tallycam models pull {variant.name}` on another machine, and bring the file that it "
                f"names: `tallycam models pull {variant.name} --from {variant.onnx.name}`"
            ) from error


def _keep(variant: Variant, file: Path) -> Path:
    """Copies an export into the cache once it is known to be one of this model."""
    _check_export(variant, file)
    make_folder(variant.onnx.parent)
    digest = hash_of(file)
    with suppress(FileNotFoundError):  # the model never lies beside the hash of another
        variant.onnx_hash.unlink()
    with replacing(variant.onnx) as part:
        shutil.copyfile(file, part)
    write_text(variant.onnx_hash, f"{digest}  {variant.onnx.name}\n")
    return variant.onnx


def _check_export(variant: Variant, file: Path) -> None:
    """Runs an export once. Raises `ModelError`."""
    from pipeline.models.onnx.onnx_model import OnnxSegmenter

    model = OnnxSegmenter(ModelConfig(path=file, device="cpu"))
    side = (variant.side_px, variant.side_px)
    if model.classes != COCO or model.input_hw != side:
        raise ModelError(
            f"{file}: has an input of {model.input_hw[1]}x{model.input_hw[0]} and {len(model.classes)} classes; "
            f"{variant.name} has {variant.side_px}x{variant.side_px} and the {len(COCO)} of COCO; it is another model"
        )
    model.warm_up()


def _checked(variant: Variant) -> Path:
    """The export in the cache, with the hash that it had when it was made."""
    try:
        expected = Hash(variant.onnx_hash.read_text(encoding="utf-8").partition(" ")[0])
    except (OSError, UnicodeDecodeError):  # put there by hand
        return _keep(variant, variant.onnx)
    with reading(variant.onnx, ModelError):
        digest = hash_of(variant.onnx)
    if not expected.digits or not expected.fits(digest):
        raise ModelError(
            f"{variant.onnx}: damaged (its hash begins with {digest[:8]}, expected {expected.digits[:8]}); remove it, "
            "and it is made again"
        )
    return variant.onnx
