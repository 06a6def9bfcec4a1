"""State as bytes: what comes back is what went in, and nothing else is taken."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.state import (
    State,
    StateError,
    attributes,
    checkpointed,
    decode_state,
    encode_state,
    set_attributes,
)


@checkpointed
@dataclass(slots=True)
class Walker:
    name: str
    votes: Counter[int] = field(default_factory=Counter)
    past: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=3))
    mask: Any = None


@checkpointed
@dataclass(frozen=True, slots=True)
class Place:
    x: float
    y: float


def again(value: Any) -> Any:
    return decode_state(encode_state({"value": value}))["value"]


plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
keys = st.integers(-100, 100) | st.text(max_size=3) | st.tuples(st.integers(0, 3), st.text(max_size=2))
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(Place, inner, inner)
    ),
    max_leaves=12,
)


@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    back = again(value)
    assert back == value
    assert type(back) is type(value)
    assert encode_state({"value": back}) == encode_state({"value": value})


def test_dicts_and_counters_keep_their_order_and_kind() -> None:
    votes: Counter[int] = Counter({3: 1, 1: 2})
    votes[2] += 0.5  # type: ignore[assignment]
    back = again(votes)
    assert type(back) is Counter
    assert list(back.items()) == [(3, 1), (1, 2), (2, 0.5)]
    assert again({(1, "a"): 1, 2: {}}) == {(1, "a"): 1, 2: {}}
    assert again({3, 1, 2}) == {1, 2, 3}


def test_a_deque_keeps_its_bound() -> None:
    back = again(deque([1, 2], maxlen=2))
    back.append(3)
    assert list(back) == [2, 3]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i2", "u1", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (3,), (2, 3, 4)])
def test_arrays_keep_type_shape_and_bits(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    back = again(array)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    back[...] = 1  # it may be written to
    strided = np.arange(24.0).reshape(4, 6)[::2, ::3]
    assert np.array_equal(again(strided), strided)


def test_numbers_of_numpy_stay_what_they_are() -> None:
    for number in (np.float32(0.1), np.float64(0.1), np.int64(7), np.bool_(True)):
        back = again(number)
        assert (back, type(back)) == (number, type(number))
    assert np.isnan(again(float("nan")))
    assert again(float("-inf")) == float("-inf")


def test_what_is_shared_is_shared_again() -> None:
    mask = np.zeros((2, 2), np.uint8)
    walker = Walker("ann", Counter({1: 2}), deque([(0.0, 1.0)], maxlen=3), mask)
    first, second, other = again([walker, walker, mask])
    assert first is second
    assert (first.mask == other).all() and first.mask is not other, "arrays are copied"
    assert (first.name, first.votes, first.past, first.past.maxlen) == ("ann", {1: 2}, deque([(0.0, 1.0)]), 3)


def test_frozen_instances_come_back() -> None:
    assert again({"a": Place(1.0, 2.0)}) == {"a": Place(1.0, 2.0)}


@dataclass
class Stranger:
    x: int = 0


class _Circle:
    pass


@pytest.mark.parametrize("value", [Stranger(), _Circle(), object, defaultdict(int), 1j, np.array([object()])])
def test_what_has_no_place_in_a_state_is_refused(value: Any) -> None:
    with pytest.raises(StateError, match="no place in a state"):
        encode_state({"value": value})


def test_what_holds_itself_is_refused() -> None:
    walker = Walker("ann")
    walker.mask = walker
    with pytest.raises(StateError, match="Walker holds itself"):
        encode_state({"walker": walker})
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(StateError, match="nested too deeply"):
        encode_state({"list": endless})


def test_only_dataclasses_are_marked() -> None:
    with pytest.raises(TypeError, match="is no dataclass"):
        checkpointed(_Circle)


def test_an_instance_of_another_version_is_refused() -> None:
    data = encode_state({"place": Place(1, 2)})
    with pytest.raises(StateError, match="Place of another version"):
        decode_state(data.replace(b"\xa1x", b"\xa1z"))
    with pytest.raises(StateError, match="is not a state"):
        decode_state(data.replace(b"Place", b"Plane"))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        decode_state(data)


@given(st.data())
def test_damaged_bytes_give_a_state_or_are_refused(data: st.DataObject) -> None:
    whole = encode_state(
        {"walker": Walker("ann", Counter({1: 2}), mask=np.arange(6.0)), "n": [1, (2, {3: "x"})]}
    )
    broken = bytearray(whole)
    for _ in range(3):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_state(bytes(broken))
    except StateError as error:
        assert "\n" not in str(error)


class Counts:
    NAMES = ("counts", "inner")

    def __init__(self, inner: Counts | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.inner = inner

    def state(self) -> State:
        return attributes(self, self.NAMES)

    def restore(self, state: State) -> None:
        set_attributes(self, self.NAMES, state)


def test_a_stateful_part_gives_and_takes_its_own_state() -> None:
    one, other = Counts(Counts()), Counts(Counts())
    one.counts["a"] = 1
    assert one.inner is not None and other.inner is not None
    one.inner.counts["b"] = 2
    inner = other.inner
    other.restore(decode_state(encode_state(one.state())))
    assert other.counts == {"a": 1}
    assert other.inner is inner
    assert other.inner.counts == {"b": 2}
    with pytest.raises(StateError, match="got state of"):
        other.restore({"counts": {}})
