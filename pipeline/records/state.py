"""State of tracking and counting as bytes, without pickle: what a checkpoint holds.

A class whose state belongs into a checkpoint is `Stateful`; mostly it names the attributes that are its state:

    class CrossingDetector(AttributeState):
        STATE = ("_counts", "_tracks", "_clock_s")

Values may be numbers and text of Python and NumPy, arrays, lists, tuples, sets, dicts with any keys, `Counter`,
`deque`, and instances of dataclasses that are marked `@checkpointed`. An instance that is referred to several times is
one object again when restored; frozen ones are so where they are equal. Arrays are copied. Encoding is deterministic:
equal states give equal bytes.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np

from pipeline.errors import TallycamError

State: TypeAlias = dict[str, Any]

_T = TypeVar("_T")
_ALIGN = 8
_MAX_DEPTH = 64
_Document = tuple[Any, list[tuple[str, list[int]]], list[Any]]
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


class AttributeState:
    """A class whose state is some of its attributes.

    Attributes:
        STATE: their names. Attributes that follow from the constructor's arguments are left out.
    """

    STATE: ClassVar[tuple[str, ...]] = ()

    def state(self) -> State:
        """See `Stateful.state`."""
        return attributes(self, self.STATE)

    def restore(self, state: State) -> None:
        """See `Stateful.restore`."""
        set_attributes(self, self.STATE, state)


def encode_state(state: State) -> bytes:
    """Serialises a state: a MessagePack tree, then the buffers of its arrays.

    Args:
        state: may hold the types listed at the top of this module.

    Raises:
        StateError: it holds an unsupported type, is nested too deeply, or contains itself.
    """
    writer = _Writer()
    root = writer.value(state, 0)
    tree = msgspec.msgpack.encode([root, writer.shapes, writer.pool])
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
        tree, shapes, pool = msgspec.msgpack.decode(data[8:end], type=_Document)
        state = _Reader(data, end + -(end - 8) % _ALIGN, shapes, pool).value(tree)
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
    """Makes a tree of lists: `[tag, ...]` for every type that MessagePack does not distinguish.

    What cannot change is stored by value, once for equal values: arrays, and frozen dataclasses, which go to `pool`.
    Other dataclasses are stored by identity, once for each object. So the bytes tell nothing of which equal values
    happen to be one object.
    """

    def __init__(self) -> None:
        self.shapes: list[tuple[str, tuple[int, ...]]] = []
        self.buffers: list[bytes] = []
        self.pool: list[Any] = []
        self._arrays: dict[tuple[str, tuple[int, ...], bytes], int] = {}
        self._pooled: dict[bytes, int] = {}
        self._places: dict[int, int] = {}
        """Id of a frozen instance -> its place in the pool."""
        self._seen: dict[int, int] = {}
        self._objects = 0
        self._kept: list[object] = []
        """Objects whose ids are known: an id may be used again once its object is gone."""
        self._unfinished: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise StateError("a state is nested too deeply")
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic):
            return ["n", value.dtype.str, value.tobytes()]
        if type(value).__name__ in _KINDS:
            return self._instance(value, depth)
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

    def _array(self, value: np.ndarray[Any, Any]) -> list[Any]:
        if value.dtype.hasobject:
            raise StateError("an array of objects has no place in a state")
        key = value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes()
        if (number := self._arrays.get(key)) is None:
            number = self._arrays[key] = len(self.shapes)
            self.shapes.append(key[:2])
            self.buffers.append(key[2])
        return ["a", number]

    def _instance(self, value: Any, depth: int) -> list[Any]:
        kind = type(value)
        if _KINDS[kind.__name__] is not kind:
            raise StateError(
                f"{kind.__module__}.{kind.__name__} has no place in a state; mark it @checkpointed"
            )
        if id(value) in self._unfinished:
            raise StateError(f"{kind.__name__} holds itself")
        if id(value) in self._places:
            return ["p", self._places[id(value)]]
        if id(value) in self._seen:
            return ["r", self._seen[id(value)]]
        frozen = kind.__dataclass_params__.frozen
        if not frozen:
            self._seen[id(value)] = self._objects
            self._objects += 1
        self._kept.append(value)
        self._unfinished.add(id(value))
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        tree = [
            "o",
            kind.__name__,
            *(part for name, one in fields for part in (name, self.value(one, depth + 1))),
        ]
        self._unfinished.remove(id(value))
        if not frozen:
            return tree
        key = msgspec.msgpack.encode(tree)
        if key not in self._pooled:
            self._pooled[key] = len(self.pool)
            self.pool.append(tree)
        self._places[id(value)] = self._pooled[key]
        return ["p", self._pooled[key]]


class _Reader:
    """Inverse of `_Writer`. References are numbered in the order in which writing of the objects began."""

    def __init__(self, data: bytes, start: int, shapes: list[tuple[str, list[int]]], pool: list[Any]) -> None:
        self._objects: list[Any] = []
        self._arrays: list[np.ndarray[Any, Any]] = []
        self._pool: list[Any] = []
        offset = start
        for dtype, shape in shapes:
            count = int(np.prod(shape, dtype=object)) if shape else 1
            kind = np.dtype(dtype)
            array = np.frombuffer(data, kind, count, offset) if count else np.zeros(0, kind)
            self._arrays.append(array.reshape(shape))
            offset += array.nbytes + -array.nbytes % _ALIGN
        for tree in pool:
            self._pool.append(self._instance(tree[1:]))

    def value(self, tree: Any) -> Any:
        if not isinstance(tree, list):
            return tree
        tag, *parts = tree
        if tag == "a":
            return self._arrays[parts[0]].copy()
        if tag == "o":
            place = len(self._objects)
            self._objects.append(None)
            self._objects[place] = self._instance(parts)
            return self._objects[place]
        if tag == "r":
            return self._objects[parts[0]]
        if tag == "p":
            return self._pool[parts[0]]
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
