"""What an ONNX file tells without ONNX Runtime: its metadata, its class names, and how many classes it scores.

The file is read as protobuf, field by field (onnx.proto3); weights are skipped.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.files import reading

NO_OBJECT = ("__background__", "background", "_background_", "bg", "n/a")
"""Names, in small letters, of outputs that mean no class of objects."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Class names, and which of them an output of the model means.

    Attributes:
        names: without gaps and without the background.
        positions: (S,) int16: output of the model -> index into `names`; -1 for those that mean no object.
    """

    names: tuple[str, ...]
    positions: NDArray[np.int16]

    @classmethod
    def of(cls, raw: Mapping[int, str], slots: int | None = None) -> Classes:
        """From the names by the number of the model's output; `slots` is how many outputs there are."""
        names: list[str] = []
        positions = np.full(max(raw, default=-1) + 1 if slots is None else slots, -1, np.int16)
        for number, name in sorted(raw.items()):
            if name.strip().lower() in NO_OBJECT or not 0 <= number < len(positions):
                continue
            if name not in names:
                names.append(name)
            positions[number] = names.index(name)
        return cls(tuple(names), positions)

    def meant(self, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) int64: index into `names` for each number of an output; -1: no object."""
        known = (outputs >= 0) & (outputs < len(self.positions))
        return np.where(known, self.positions[np.where(known, outputs, 0)], -1).astype(np.int64)


def classes_in(config: ModelConfig) -> dict[int, str] | None:
    """Names by number from the file's metadata, else from the configuration, else None.

    Known are `names` as YOLO exports write them, a JSON list under `classes`, and RF-DETR's own.

    Raises:
        ModelError: the file cannot be read, is not an ONNX model, or its names are not names.
    """
    assert config.path is not None
    held = metadata(config.path)
    for key, read in (("names", _literal), ("classes", _literal), ("rfdetr_inference", _rfdetr)):
        if key in held:
            return _checked(read, held[key], config.path)
    return None if config.classes is None else dict(enumerate(config.classes))


def _checked(read: Callable[[str], object], text: str, path: Path) -> dict[int, str]:
    try:
        names = read(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: class names are unreadable: {text[:60]!r}") from error
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if (
        not isinstance(names, dict)
        or not names
        or not all(isinstance(key, int) and 0 <= key < 1 << 15 for key in names)
        or not all(isinstance(name, str) and name for name in names.values())
    ):
        raise ModelError(f"{path}: class names are {text[:60]!r}; expected {{0: 'name', ...}}")
    return names


def _literal(text: str) -> object:
    try:
        names = json.loads(text)
    except ValueError:
        return ast.literal_eval(text)
    return {int(key): name for key, name in names.items()} if isinstance(names, dict) else names


def _rfdetr(text: str) -> object:
    about = json.loads(text)
    by_number = about.get("class_id_to_name") or dict(enumerate(about["class_names"]))
    return {int(key): name for key, name in by_number.items()}


def metadata(path: Path) -> dict[str, str]:
    """`metadata_props` of an ONNX file.

    Raises:
        ModelError: the file cannot be read or is not an ONNX model.
    """
    props: dict[str, str] = {}
    graphs = 0
    with _opened(path) as file:
        for field, end in _fields(file, path.stat().st_size):
            if field == 14:
                pair = {number: file.read(stop - file.tell()).decode() for number, stop in _fields(file, end)}
                props[pair.get(1, "")] = pair.get(2, "")
            graphs += field == 7
    if graphs != 1:
        raise ModelError(f"{path}: is not an ONNX model (it holds no graph)")
    return props


def weight_shape(path: Path, ending: str) -> tuple[int, ...] | None:
    """Shape of the first weight whose name ends so; None where there is none.

    Raises:
        ModelError: as `metadata`.
    """
    with _opened(path) as file:
        for field, end in _fields(file, path.stat().st_size):
            if field != 7:
                continue
            for inner, stop in _fields(file, end):
                if inner == 5 and (shape := _tensor_shape(file, stop, ending)) is not None:
                    return shape
    return None


def _tensor_shape(file: IO[bytes], end: int, ending: str) -> tuple[int, ...] | None:
    name, shape = "", []
    for field, stop in _fields(file, end, scalars=True):
        if field == 1:  # packed, or one number at a time
            while file.tell() < stop:
                shape.append(_varint(file))
        elif field == 8:
            name = file.read(stop - file.tell()).decode()
    return tuple(shape) if name.endswith(ending) else None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file for reading; what goes wrong with it, or with what is read, is a `ModelError`."""
    try:
        with reading(path, ModelError), path.open("rb") as file:
            yield file
    except ValueError as error:
        raise ModelError(f"{path}: is not an ONNX model ({error})") from error


def _fields(file: IO[bytes], end: int, *, scalars: bool = False) -> Iterator[tuple[int, int]]:
    """Number of each field and where it ends; the reader may read up to there, the rest is skipped.

    `scalars`: numbers are told as well, with the file standing before them.
    """
    while file.tell() < end:
        key = _varint(file)
        match key & 7:
            case 0:
                before = file.tell()
                _varint(file)
                stop = file.tell()
                if scalars:
                    file.seek(before)
                    yield key >> 3, stop
                file.seek(stop)
                continue
            case 1:
                stop = file.tell() + 8
            case 2:
                length = _varint(file)
                stop = file.tell() + length
            case 5:
                stop = file.tell() + 4
            case _:
                raise ValueError("no protobuf message")
        if stop > end:
            raise ValueError("cut off")
        yield key >> 3, stop
        file.seek(stop)


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no protobuf message")
