"""State of tracking and counting as bytes, without pickle: what a checkpoint holds.

A class whose state belongs into a checkpoint is `Stateful`. Its two methods are short with the helpers of this module:

    class LineCounter:
        STATE = ("_counts", "_tracks", "_clock_s")

        def state(self) -> State:
            return attributes(self, self.STATE)

        def restore(self, state: State) -> None:
            set_attributes(self, self.STATE, state)

Values may be numbers and text of Python and NumPy, arrays, lists, tuples, sets, dicts with any keys, `Counter`,
`deque`, and instances of dataclasses that are marked `@checkpointed`. An array or instance that is referred to several
times is stored once, and is one object again when restored. Encoding is deterministic: equal states that were reached
in the same way give equal bytes.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np

from pipeline.errors import TallycamError

State: TypeAlias = dict[str, Any]

_T = TypeVar("_T")
_ALIGN = 8
_MAX_DEPTH = 64
_KINDS: dict[str, type[Any]] = {}
"""Names of the dataclasses that may be restored."""


class StateError(TallycamError):
    """A state that cannot be encoded or restored: an unknown type, or bytes of another version."""


class Stateful(Protocol):
    """Has state that a checkpoint can hold."""

    def state(self) -> State:
        """Everything that later results depend on. The caller must not modify it."""

    def restore(self, state: State) -> None:
        """Continues from a state, in an object made with the same arguments.

        Args:
            state: from `state`.

        Raises:
            StateError: it is not such a state.
        """


def checkpointed(kind: type[_T]) -> type[_T]:
    """Class decorator: allows instances of a dataclass in a state. Its field names are part of the format.

    Args:
        kind: a dataclass; its name must be unique among those marked.

    Raises:
        TypeError: it is not a dataclass, or its name is taken.
    """
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind.__name__} is no dataclass")
    if (other := _KINDS.setdefault(kind.__name__, kind)) is not kind and other.__module__ != kind.__module__:
        raise TypeError(f"there are two dataclasses {kind.__name__}: {other.__module__}, {kind.__module__}")
    _KINDS[kind.__name__] = kind
    return kind


def attributes(owner: object, names: Iterable[str]) -> State:
    """Collects attributes into a state; for one that is `Stateful`, its own state.

    Args:
        owner: the object.
        names: of its attributes.
    """
    values = {name: getattr(owner, name) for name in names}
    return {name: value.state() if hasattr(value, "restore") else value for name, value in values.items()}


def set_attributes(owner: object, names: Iterable[str], state: Mapping[str, Any]) -> None:
    """Inverse of `attributes`; an attribute that is `Stateful` restores itself.

    Args:
        owner: the object.
        names: of its attributes.
        state: from `attributes` with the same names.

    Raises:
        StateError: the names differ from those of `state`.
    """
    names = tuple(names)
    if set(names) != set(state):
        raise StateError(f"{type(owner).__name__}: got state of {sorted(state)}, expected {sorted(names)}")
    for name in names:
        if hasattr(value := getattr(owner, name), "restore"):
            value.restore(state[name])
        else:
            setattr(owner, name, state[name])


def encode_state(state: State) -> bytes:
    """Serialises a state: a MessagePack tree, then the buffers of its arrays.

    Args:
        state: may hold the types listed at the top of this module.

    Raises:
        StateError: it holds an unsupported type, is nested too deeply, or contains itself.
    """
    writer = _Writer()
    tree = msgspec.msgpack.encode([writer.value(state, 0), writer.shapes])
    parts = [len(tree).to_bytes(8, "little"), tree, bytes(-len(tree) % _ALIGN)]
    for buffer in writer.buffers:
        parts += (buffer, bytes(-len(buffer) % _ALIGN))
    return b"".join(parts)


def decode_state(data: bytes) -> State:
    """Deserialises a state.

    Args:
        data: from `encode_state`.

    Returns:
        The state; its arrays are writable copies.

    Raises:
        StateError: not a state of this version.
    """
    try:
        end = 8 + int.from_bytes(data[:8], "little")
        tree, shapes = msgspec.msgpack.decode(data[8:end], type=tuple[Any, list[tuple[str, list[int]]]])
        state = _Reader(data, end + -(end - 8) % _ALIGN, shapes).value(tree)
    except (
        msgspec.MsgspecError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        RecursionError,
        OverflowError,
    ) as error:
        raise StateError(f"is not a state: {' '.join(str(error).split())}") from None
    if not isinstance(state, dict):
        raise StateError("is not a state: got no dict")
    return state


class _Writer:
    """Makes a tree of lists: `[tag, ...]` for every type that MessagePack does not distinguish."""

    def __init__(self) -> None:
        self.shapes: list[tuple[str, tuple[int, ...]]] = []
        self.buffers: list[bytes] = []
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []
        """Objects whose ids are in `_seen`: an id may be used again once its object is gone."""
        self._unfinished: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise StateError("a state is nested too deeply")
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if isinstance(value, np.ndarray):
            return self._once(value, lambda: self._array(value))
        if isinstance(value, np.generic):
            return ["n", value.dtype.str, value.tobytes()]
        if type(value).__name__ in _KINDS:
            return self._once(value, lambda: self._instance(value, depth))
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> list[Any]:
        kind = type(value)
        if kind in (list, tuple):
            return ["l" if kind is list else "t", *(self.value(one, depth + 1) for one in value)]
        if kind is deque:
            return ["q", value.maxlen, *(self.value(one, depth + 1) for one in value)]
        if kind in (set, frozenset):
            return ["s", *(self.value(one, depth + 1) for one in sorted(value))]
        if kind in (dict, Counter):
            tag = "c" if kind is Counter else "d"
            pairs = [(self.value(key, depth + 1), self.value(one, depth + 1)) for key, one in value.items()]
            return [tag, *(part for pair in pairs for part in pair)]
        raise StateError(f"{kind.__module__}.{kind.__name__} has no place in a state; mark it @checkpointed")

    def _once(self, value: object, encoded: Any) -> list[Any]:
        number = self._seen.get(id(value))
        if number is None:
            self._seen[id(value)] = number = len(self._kept)
            self._kept.append(value)
            self._unfinished.add(number)
            tree = list(encoded())
            self._unfinished.remove(number)
            return tree
        if number in self._unfinished:
            raise StateError(f"{type(value).__name__} holds itself")
        return ["r", number]

    def _array(self, value: np.ndarray[Any, Any]) -> list[Any]:
        if value.dtype.hasobject:
            raise StateError("an array of objects has no place in a state")
        self.shapes.append((value.dtype.str, value.shape))
        self.buffers.append(np.ascontiguousarray(value).tobytes())
        return ["a", len(self.shapes) - 1]

    def _instance(self, value: Any, depth: int) -> list[Any]:
        kind = type(value)
        if _KINDS[kind.__name__] is not kind:
            raise StateError(
                f"{kind.__module__}.{kind.__name__} has no place in a state; mark it @checkpointed"
            )
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return [
            "o",
            kind.__name__,
            *(part for name, one in fields for part in (name, self.value(one, depth + 1))),
        ]


class _Reader:
    """Inverse of `_Writer`. References are numbered in the order in which writing of the objects began."""

    def __init__(self, data: bytes, start: int, shapes: list[tuple[str, list[int]]]) -> None:
        self._objects: list[Any] = []
        self._arrays: list[np.ndarray[Any, Any]] = []
        offset = start
        for dtype, shape in shapes:
            count = int(np.prod(shape, dtype=object)) if shape else 1
            kind = np.dtype(dtype)
            array = np.frombuffer(data, kind, count, offset) if count else np.zeros(0, kind)
            self._arrays.append(array.reshape(shape).copy())
            offset += array.nbytes + -array.nbytes % _ALIGN

    def value(self, tree: Any) -> Any:
        if not isinstance(tree, list):
            return tree
        tag, *parts = tree
        if tag in ("a", "o"):
            place = len(self._objects)
            self._objects.append(None)
            self._objects[place] = self._arrays[parts[0]] if tag == "a" else self._instance(parts)
            return self._objects[place]
        if tag == "r":
            return self._objects[parts[0]]
        if tag == "n":
            return np.frombuffer(parts[1], np.dtype(parts[0]))[0]
        if tag == "q":
            return deque(map(self.value, parts[1:]), maxlen=parts[0])
        if tag in ("d", "c"):
            pairs = dict(zip(map(self.value, parts[::2]), map(self.value, parts[1::2]), strict=True))
            return Counter(pairs) if tag == "c" else pairs
        return {"l": list, "t": tuple, "s": set}[tag](map(self.value, parts))

    def _instance(self, parts: list[Any]) -> Any:
        kind = _KINDS[parts[0]]
        names = parts[1::2]
        if names != [field.name for field in dataclasses.fields(kind)]:
            raise ValueError(f"{kind.__name__} of another version")
        values = dict(zip(names, map(self.value, parts[2::2]), strict=True))
        made = object.__new__(kind)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made
