"""Reads metadata, class names and weight shapes from an ONNX file without loading it.

Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.files import reading
from pipeline.models.onnx.protobuf import field_bytes, read_fields, read_string, read_varint

MODEL_GRAPH, MODEL_METADATA_PROPS = 7, 14
"""Fields of ModelProto."""
GRAPH_INITIALIZER, GRAPH_INPUT = 5, 11
"""Fields of GraphProto."""
INPUT_FIRST_DIMENSION = (2, 1, 2, 1)
"""From ValueInfoProto over `type`, `tensor_type` and `shape` to the first `dim`."""
DIM_PARAM = 2
"""Field of Dimension: the name of a size that is open."""
TENSOR_DIMS, TENSOR_NAME = 1, 8
"""Fields of TensorProto."""
ENTRY_KEY, ENTRY_VALUE = 1, 2
"""Fields of StringStringEntryProto."""
MAX_CHANNELS = 1 << 15
"""Class ids are int16."""
MAX_DIMENSIONS = 64


def class_names(config: ModelConfig) -> dict[int, str] | None:
    """Class names by output channel: from the file's metadata, else from the configuration, else None.

    Recognised are `names` as YOLO exports write them, a JSON list under `classes`, and RF-DETR's `rfdetr_inference`.

    Args:
        config: The section `model`, with `path` set.

    Raises:
        ModelError: the file cannot be read or is not an ONNX model, or its class names are malformed.
    """
    assert config.path is not None
    properties = metadata(config.path)
    for key, parse in (("names", _literal), ("classes", _literal), ("rfdetr_inference", _rfdetr)):
        if key in properties:
            return _checked(parse, properties[key], config.path)
    return None if config.classes is None else dict(enumerate(config.classes))


def _checked(parse: Callable[[str], object], text: str, path: Path) -> dict[int, str]:
    try:
        names = parse(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: class names are unreadable: {text[:60]!r}") from error
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if (
        not isinstance(names, dict)
        or not names
        or not all(isinstance(channel, int) and 0 <= channel < MAX_CHANNELS for channel in names)
        or not all(isinstance(name, str) and name for name in names.values())
    ):
        raise ModelError(f"{path}: class names are {text[:60]!r}; expected {{0: 'name', ...}}")
    return names


def _literal(text: str) -> object:
    """Names written as JSON, or as a Python literal."""
    try:
        names = json.loads(text)
    except ValueError:
        return ast.literal_eval(text)
    return {int(key): name for key, name in names.items()} if isinstance(names, dict) else names


def _rfdetr(text: str) -> object:
    about = json.loads(text)
    by_channel = about.get("class_id_to_name") or dict(enumerate(about["class_names"]))
    return {int(key): name for key, name in by_channel.items()}


def metadata(path: Path) -> dict[str, str]:
    """Key -> value of `metadata_props` in an ONNX file.

    Args:
        path: The file.

    Raises:
        ModelError: the file cannot be read or is not an ONNX model.
    """
    properties: dict[str, str] = {}
    graphs = 0
    with _opened(path) as file:
        for field, end in read_fields(file, path.stat().st_size):
            if field == MODEL_METADATA_PROPS:
                entry = {number: read_string(file, stop) for number, stop in read_fields(file, end)}
                properties[entry.get(ENTRY_KEY, "")] = entry.get(ENTRY_VALUE, "")
            graphs += field == MODEL_GRAPH
    if graphs != 1:
        raise ModelError(f"{path}: is not an ONNX model (it holds no graph)")
    return properties


def metadata_entry(key: str, value: str) -> bytes:
    """Encodes one entry of `metadata_props`. Appended to an ONNX file it becomes part of its model.

    Args:
        key: Of the entry.
        value: Of the entry.
    """
    pair = field_bytes(ENTRY_KEY, key.encode()) + field_bytes(ENTRY_VALUE, value.encode())
    return field_bytes(MODEL_METADATA_PROPS, pair)


def weight_shape(path: Path, suffix: str) -> tuple[int, ...] | None:
    """Shape of the first weight with a given name.

    Args:
        path: The ONNX file.
        suffix: End of the weight's name.

    Returns:
        Its shape; None where there is no such weight.

    Raises:
        ModelError: as `metadata`.
    """
    with _opened(path) as file:
        for field, end in read_fields(file, path.stat().st_size):
            if field != MODEL_GRAPH:
                continue
            for inner, stop in read_fields(file, end):
                if inner == GRAPH_INITIALIZER:
                    name, shape = _tensor_header(file, stop)
                    if name.endswith(suffix):
                        return shape
    return None


def batch_name(path: Path) -> str | None:
    """Name of the first size of a model's first input, where the model leaves it open: mostly `batch` or `N`.

    Args:
        path: The ONNX file.

    Raises:
        ModelError: as `metadata`.
    """
    with _opened(path) as file:
        for field, end in read_fields(file, path.stat().st_size):
            if field == MODEL_GRAPH:
                for inner, stop in read_fields(file, end):
                    if inner == GRAPH_INPUT:
                        return _first_dimension(file, stop)
    return None


def _first_dimension(file: IO[bytes], end: int) -> str | None:
    """Name of the first dimension in a ValueInfoProto."""
    for wanted in INPUT_FIRST_DIMENSION:
        end = next((stop for field, stop in read_fields(file, end) if field == wanted), -1)
        if end < 0:
            return None
    names = (read_string(file, stop) for field, stop in read_fields(file, end) if field == DIM_PARAM)
    return next(names, None) or None


def _tensor_header(file: IO[bytes], end: int) -> tuple[str, tuple[int, ...]]:
    """Name and shape of a TensorProto."""
    name, shape = "", list[int]()
    for field, stop in read_fields(file, end, scalars=True):
        if field == TENSOR_DIMS:  # packed, or one number at a time
            while file.tell() < stop:
                shape.append(read_varint(file))
                if len(shape) > MAX_DIMENSIONS:
                    raise ValueError(f"a tensor of more than {MAX_DIMENSIONS} dimensions")
        elif field == TENSOR_NAME:
            name = read_string(file, stop)
    return name, tuple(shape)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file for reading. Errors of the system and malformed content become a `ModelError`."""
    try:
        with reading(path, ModelError), path.open("rb") as file:
            yield file
    except ValueError as error:
        raise ModelError(f"{path}: is not an ONNX model ({error})") from error
