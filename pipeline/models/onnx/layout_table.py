"""The table of ONNX families, and which of them a model belongs to."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from pipeline.errors import ModelError, TallycamError
from pipeline.models.onnx.layout import OnnxLayout, ProbedModel
from pipeline.models.onnx.maskrcnn_layout import MaskRcnnLayout
from pipeline.models.onnx.rfdetr_layout import RfDetrLayout
from pipeline.models.onnx.yolo_layout import YoloLayout

LAYOUTS: tuple[type[OnnxLayout], ...] = (RfDetrLayout, YoloLayout, MaskRcnnLayout)
"""Families that come with Tallycam. The first one that matches is taken."""
ENTRY_POINTS = "tallycam.onnx_layouts"
"""Entry-point group of families in other packages, each a class like those of the table."""


def find_layout(model: ProbedModel) -> OnnxLayout:
    """The layout of a model.

    Families of installed packages come first, in alphabetical order: installing one is a deliberate choice, and the
    shapes of its outputs may match a family of the table by accident.

    Args:
        model: the model, probed with one image.

    Raises:
        ModelError: the model is of no known family, or an installed family cannot be imported.
    """
    layouts = (*installed_layouts(), *LAYOUTS)
    for layout in layouts:
        try:
            matched = layout.match(model)
        except TallycamError:
            raise
        except Exception as error:  # a family of another package may raise anything
            what = f"{type(error).__name__}: {error}"
            raise ModelError(f"{model.path}: the ONNX family {layout.__name__} failed: {what}") from error
        if matched is not None:
            return matched
    found = ", ".join(f"{name} {list(value.shape)}" for name, value in model.outputs.items())
    known = "; ".join(layout.DESCRIPTION for layout in layouts)
    raise ModelError(f"{model.path}: outputs {found or 'of no arrays'} are of no layout known here: {known}")


def installed_layouts() -> list[type[OnnxLayout]]:
    """Families that other packages declare as entry points.

    Raises:
        ModelError: one cannot be imported, or lacks a part of `OnnxLayout`.
    """
    layouts: list[type[OnnxLayout]] = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        where = f"entry point {entry.name} of {ENTRY_POINTS} ({entry.value})"
        try:
            layout: Any = entry.load()
        except Exception as error:  # a module of another package may raise anything
            raise ModelError(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error
        parts = ("DESCRIPTION", "classes", "max_batch", "match", "input_size", "preprocess", "postprocess")
        if missing := [name for name in parts if not hasattr(layout, name)]:
            raise ModelError(
                f"{where}: has no {', '.join(missing)} (see pipeline.models.onnx.layout.OnnxLayout)"
            )
        layouts.append(layout)
    return layouts
