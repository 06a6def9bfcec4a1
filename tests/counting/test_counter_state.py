"""The state of tracking and counting in a checkpoint: whoever goes on from it counts as if nothing had happened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from pydantic import BaseModel

from pipeline.config.schema import LineConfig, RuleConfig, StreamConfig, TrackerConfig, ZoneConfig
from pipeline.counting.counter import StreamCounter
from pipeline.counting.frame_result import FrameResult
from pipeline.counting.rule import CountingRule
from pipeline.records.checkpoint import Position, encode_checkpoint, read_checkpoint
from pipeline.records.state import StateError
from pipeline.transport.messages import APPEARANCE_SIZE, Instances
from tests.counting.counting_scenes import CLASSES, FPS, UPRIGHT, Thing, instances

ROOT = Path(__file__).parents[2]
LINES = {
    "upright": UPRIGHT,
    "lying": LineConfig(points=((0.1, 0.6), (0.5, 0.7), (0.9, 0.6)), directions=("in", "out"), anchor="mask"),
}
ZONES = {
    "square": ZoneConfig(points=((0.3, 0.4), (0.7, 0.4), (0.7, 1.0), (0.3, 1.0))),
    "masked": ZoneConfig(points=((0.0, 0.3), (0.5, 0.3), (0.5, 1.0), (0.0, 1.0)), by="mask"),
}
GROUND = {
    "points": [[0.1, 0.3], [0.9, 0.3], [1.0, 1.0], [0.0, 1.0]],
    "metres": [[0, 0], [20, 0], [20, 30], [0, 30]],
}
FRAMES = 200


def config(**changes: Any) -> StreamConfig:
    whole = {"source": "scene", "lines": LINES, "zones": ZONES, "ground": GROUND} | changes
    return StreamConfig.model_validate(whole)


def made(
    stream: StreamConfig | None = None, tracker: TrackerConfig | None = None, *, rows: bool = True
) -> StreamCounter:
    return StreamCounter("gate", stream or config(), tracker or TrackerConfig(), CLASSES, rows)


def crowd(seed: int, frames: int, *, moving: bool = False, population: int = 8) -> Iterator[Instances]:
    """Objects of all classes that come, walk, stand, hide and leave, with missed and false detections; as long as one
    likes, since those that leave are replaced."""
    random = np.random.default_rng(seed)
    walkers: list[dict[str, Any]] = []
    for seq in range(frames):
        while len(walkers) < population:
            left = bool(random.random() < 0.5)
            walkers.append(
                {
                    "x": -10.0 if left else 650.0,
                    "y": float(random.uniform(90, 350)),
                    "v": float(random.uniform(1.5, 7)) * (1 if left else -1),
                    "class_id": int(random.integers(len(CLASSES))),
                    "stands": 0,
                    "hidden": 0,
                    "look": random.integers(0, 255, APPEARANCE_SIZE),
                }
            )
        things, looks = [], []
        for one in walkers:
            one["stands"] = max(0, one["stands"] - 1) or int(random.random() < 0.01) * 40
            one["hidden"] = max(0, one["hidden"] - 1) or int(random.random() < 0.01) * 25
            if not one["stands"]:
                one["x"] += one["v"]
            if one["hidden"] or random.random() < 0.05:
                continue
            class_id = one["class_id"] if random.random() < 0.9 else int(random.integers(len(CLASSES)))
            foot = one["x"] + float(random.normal(0, 1)), one["y"] + float(random.normal(0, 1))
            thing = Thing(foot, class_id=class_id, score=float(random.uniform(0.35, 1)))
            box = thing.box
            if box[0] < box[2] - 2:
                things.append(thing)
                looks.append(one["look"])
        walkers = [one for one in walkers if -30 < one["x"] < 670]
        if random.random() < 0.1:
            things.append(Thing((float(random.uniform(20, 620)), float(random.uniform(70, 350))), score=0.5))
            looks.append(random.integers(0, 255, APPEARANCE_SIZE))
        frame = instances(things, seq, seq / FPS)
        frame = msgspec.structs.replace(
            frame,
            appearances=np.array(looks, np.uint8).reshape(-1, APPEARANCE_SIZE),
            masks=random.integers(0, 2, frame.masks.shape).astype(np.uint8) * 255,
            camera=(0, 1.0, 0.0, float(seq % 50), float(seq % 30)) if moving else None,
        )
        yield frame


def encoded(counter: StreamCounter, seq: int = 0) -> bytes:
    position = Position(seq=seq, index=seq, epoch=0, pts_s=seq / FPS, wall_s=0.0)
    return encode_checkpoint("gate", "r1", position, counter.sections())


def restored(counter: StreamCounter, data: bytes) -> StreamCounter:
    checkpoint = read_checkpoint(data, "gate", counter.section_keys())
    assert not checkpoint.unusable, checkpoint.unusable
    counter.restore(checkpoint.states)
    return counter


def said(result: FrameResult) -> bytes:
    return msgspec.msgpack.encode([result.tracks, result.events, result.rows], enc_hook=_plain)


def _plain(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else value.item()


SETTINGS = {
    "plain": (config(), TrackerConfig()),
    "moving": (config(camera="moving"), TrackerConfig()),
    "norfair": (config(), TrackerConfig(engine="norfair")),
    "some classes": (config(classes=("person", "car")), TrackerConfig(join_s=0.0, appearance=False)),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", range(2))
def test_a_counter_goes_on_from_a_checkpoint_bit_for_bit(name: str, seed: int) -> None:
    stream, tracker = SETTINGS[name]
    frames = list(crowd(seed, FRAMES, moving=name == "moving"))
    cuts = [1, *np.random.default_rng(seed).integers(20, FRAMES - 20, 2).tolist()]
    undisturbed = made(stream, tracker)
    results, checkpoints = [], {}
    for frame in frames:
        results.append(said(undisturbed.update(frame)))
        if frame.seq in cuts or frame.seq % 20 == 19:
            checkpoints[frame.seq] = encoded(undisturbed, frame.seq)
    ending = undisturbed.finish()
    for cut in cuts:
        later = restored(made(stream, tracker), checkpoints[cut])
        for frame in frames[cut + 1 :]:
            assert said(later.update(frame)) == results[frame.seq], frame.seq
            if frame.seq in checkpoints:
                assert encoded(later, frame.seq) == checkpoints[frame.seq], frame.seq
        assert later.finish() == ending
        assert later.totals() == undisturbed.totals()
        assert later.final_ids() == undisturbed.final_ids()
        assert later.last_rows() is not None


def test_a_stream_whose_first_frames_no_model_has_seen_has_a_state_too() -> None:
    frames = list(crowd(7, 40))
    frames[:3] = [msgspec.structs.replace(one, skipped="quarantined") for one in frames[:3]]
    undisturbed, first = made(), made()
    for frame in frames[:2]:
        first.update(frame)
    second = restored(made(), encoded(first))
    for frame in frames[:2]:
        undisturbed.update(frame)
    for frame in frames[2:]:
        assert said(second.update(frame)) == said(undisturbed.update(frame))


def test_a_counter_that_is_restored_again_and_again_counts_the_same() -> None:
    frames = list(crowd(7, 120))
    undisturbed, patched = made(), made()
    for frame in frames:
        expected = said(undisturbed.update(frame))
        assert said(patched.update(frame)) == expected
        patched = restored(made(), encoded(patched))
    assert patched.totals() == undisturbed.totals()


CACHES = (
    *("._shown", "._shown_classes", "._unsaved"),
    # of `CrossingDetectors`, made from the state of the lines
    *(f"._detectors.{name}" for name in ("_recent", "_rows", "_free", "_sides", "_near", "_restored")),
)


def contents(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Every plain value in an object and all that hangs on it, by its path, in a form that can be compared. Objects
    that are not dataclasses are gone into once."""
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic | type):
        yield name, repr(value)
    elif isinstance(value, np.ndarray):
        yield name, f"{value.dtype} {value.shape} {value.tobytes()!r}"
    elif isinstance(value, set | frozenset):
        yield name, f"set {sorted(map(repr, value))}"
    elif isinstance(value, BaseModel):
        yield name, value.model_dump_json()
    elif isinstance(value, dict):
        yield name, f"keys {[repr(key) for key in value]}"
        for key, one in value.items():
            yield from contents(one, f"{name}[{key!r}]", seen)
    elif isinstance(value, list | tuple | deque):
        yield name, f"length {len(value)}"
        for number, one in enumerate(value):
            yield from contents(one, f"{name}[{number}]", seen)
    elif type(value).__module__.startswith("pipeline") and id(value) not in seen:
        if not is_dataclass(value):
            seen.add(id(value))
        slots = [slot for cls in type(value).__mro__ for slot in getattr(cls, "__slots__", ())]
        for attribute in [*slots, *getattr(value, "__dict__", ())]:
            if hasattr(value, attribute):
                yield from contents(getattr(value, attribute), f"{name}.{attribute}", seen)


def held(counter: StreamCounter) -> dict[str, str]:
    return {
        name: text
        for name, text in contents(counter, "counter", set())
        if not any(cache in name for cache in CACHES)
    }


@pytest.mark.parametrize("name", ["plain", "moving", "some classes"])
def test_no_attribute_is_forgotten(name: str) -> None:
    """Whatever tracking and counting hold after a restore is what they held before, except for caches."""
    stream, tracker = SETTINGS[name]
    first = made(stream, tracker)
    for frame in crowd(3, 150, moving=name == "moving"):
        first.update(frame)
    second = restored(made(stream, tracker), encoded(first))
    before, after = held(first), held(second)
    different = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    assert not different, sorted(different)[:20]
    assert len(before) > 500, "something is compared at all"


def test_equal_states_are_equal_bytes_in_every_process() -> None:
    code = (
        "from tests.counting.test_counter_state import *\n"
        "counter = made()\n"
        "for frame in crowd(1, 100): counter.update(frame)\n"
        "import hashlib; print(hashlib.sha256(encoded(counter)).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(2)
    }
    assert len(found) == 1 and len(found.pop()) == 65


def test_the_state_does_not_grow_with_the_age_of_a_stream() -> None:
    counter = made(rows=False)
    sizes = []
    for frame in crowd(5, 2_400, population=3):
        counter.update(frame)
        if frame.seq >= 600 and frame.seq % 50 == 0:
            sizes.append(len(encoded(counter)))
    early, late = np.median(sizes[:12]), np.median(sizes[-12:])
    assert late < 1.25 * early + 20_000, (early, late)


def test_a_moved_line_costs_its_own_counts_only() -> None:
    first = made()
    for frame in crowd(2, FRAMES):
        first.update(frame)
    moved = replace_line(config(), "upright", ((0.6, 1.0), (0.6, 0.0)))
    second = made(moved)
    checkpoint = read_checkpoint(encoded(first), "gate", second.section_keys())
    assert set(checkpoint.unusable) == {"lines/upright", "speeds/upright"}
    second.restore(checkpoint.states)
    before, after = first.summary(), second.summary()
    assert sum(sum(one.values()) for one in before["lines"]["upright"].values()) > 0
    assert sum(sum(one.values()) for one in after["lines"]["upright"].values()) == 0
    assert after["lines"]["lying"] == before["lines"]["lying"]
    assert after["zones"] == before["zones"] and after["unique"] == before["unique"]


def replace_line(stream: StreamConfig, name: str, points: tuple[tuple[float, float], ...]) -> StreamConfig:
    line = stream.lines[name].model_copy(update={"points": points})
    return stream.model_copy(update={"lines": stream.lines | {name: line}})


def test_another_tracker_or_other_classes_of_the_model_make_a_checkpoint_useless() -> None:
    first = made()
    for frame in crowd(2, 20):
        first.update(frame)
    data = encoded(first)
    for other in (
        made(tracker=TrackerConfig(confirm_s=1.0)),
        StreamCounter("gate", config(), TrackerConfig(), (*CLASSES, "dog")),
        made(config(camera="moving")),
    ):
        checkpoint = read_checkpoint(data, "gate", other.section_keys())
        assert "is of another configuration" in checkpoint.unusable["tracking"]


def test_a_stream_that_counts_other_classes_goes_on_with_its_objects() -> None:
    first = made(config(classes=("person",)))
    frames = list(crowd(2, FRAMES))
    for frame in frames[:150]:
        first.update(frame)
    second = made(config(classes=("person", "car")))
    second.restore(read_checkpoint(encoded(first), "gate", second.section_keys()).states)
    for frame in frames[150:]:
        second.update(frame)
    assert second.summary()["unique"]["person"] >= first.summary()["unique"]["person"] > 0
    assert second.finish() is not None


class Visits(CountingRule):
    """A rule from outside with plain attributes."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: dict[int, int] = {}

    def observe(self, object_id: int, *arguments: Any) -> tuple[()]:
        self.seen[object_id] = self.seen.get(object_id, 0) + 1
        return ()

    def totals(self) -> dict[str, Any]:
        return {"observations": sum(self.seen.values())}


class Odd(Visits):
    """One that keeps what cannot be saved."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.odd = object()


def test_a_rule_of_another_package_is_restored_or_said_to_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    rules = {
        name: RuleConfig.model_validate({"use": f"{__name__}:{kind}"})
        for name, kind in (("visits", "Visits"), ("odd", "Odd"))
    }
    stream = config(rules=rules)
    first = made(stream)
    for frame in crowd(2, 80):
        first.update(frame)
    data = encoded(first)
    encoded(first)
    second = made(stream)
    checkpoint = read_checkpoint(data, "gate", second.section_keys())
    assert set(checkpoint.unusable) == {"odd/"}
    second.restore(checkpoint.states)
    before, after = first.summary()["rules"], second.summary()["rules"]
    assert after["visits"] == before["visits"] and before["visits"]["observations"] > 0
    assert after["odd"]["observations"] == 0
    assert len([one for one in caplog.records if "the rule odd" in one.message]) == 1


@pytest.mark.parametrize("change", ["no counts", "other directions", "no tracking"])
def test_a_state_that_holds_something_else_is_refused_in_one_line(change: str) -> None:
    counter = made()
    for frame in crowd(7, 120):
        counter.update(frame)
    states = {name: dict(state) for name, (_, state) in counter.sections().items()}
    if change == "no counts":
        del states["lines/upright"]["counted"]
    elif change == "other directions":
        assert states["lines/upright"]["counted"], "somebody has crossed"
        states["lines/upright"]["counted"] = {"person": {"up": 1, "down": 2}}
    else:
        states["tracking"] = {}
    with pytest.raises(StateError) as caught:
        made().restore(states)
    assert str(caught.value).isprintable()


def test_a_stream_of_which_no_pictures_are_drawn_counts_the_same() -> None:
    drawn, plain = made(rows=False), StreamCounter("gate", config(), TrackerConfig(), CLASSES, False, False)
    for frame in crowd(5, FRAMES):
        assert plain.update(frame).events == drawn.update(frame).events
    assert plain.finish() == drawn.finish()
    assert plain.summary() == drawn.summary()
    assert drawn.heat()
    with pytest.raises(LookupError, match="HeatMap"):
        plain.heat()
