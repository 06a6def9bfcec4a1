"""Many lines at once find what each line finds when it is asked about every observation of every object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import LineConfig
from pipeline.counting.crossing_detector import CrossingDetector
from pipeline.counting.crossing_detectors import CrossingDetectors
from pipeline.records.state import decode_state, encode_state
from pipeline.tracking.observation import FrameTime, Observation, touched

FRAME = (640, 360)
LINES = {
    "upright": LineConfig(points=((0.5, 1.0), (0.5, 0.0)), directions=("in", "out")),
    "level": LineConfig(points=((0.0, 0.5), (1.0, 0.5)), directions=("in", "out"), anchor="center"),
    "diagonal": LineConfig(points=((0.1, 0.2), (0.8, 0.9)), directions=("in", "out"), anchor="mask"),
    "bent": LineConfig(points=((0.2, 1.0), (0.4, 0.5), (0.2, 0.1)), directions=("in", "out")),
    "bent, mask": LineConfig(
        points=((0.9, 1.0), (0.7, 0.5), (0.9, 0.1)), directions=("in", "out"), anchor="mask"
    ),
    "border": LineConfig(points=((0.0, 0.96), (1.0, 0.96)), directions=("in", "out"), deadband=0.4),
    "patient": LineConfig(points=((0.6, 0.0), (0.6, 1.0)), directions=("in", "out"), cooldown_s=1.0),
}
MASKS = [
    np.full((28, 28), 255, np.uint8),
    np.zeros((28, 28), np.uint8),
    np.tri(28, dtype=np.uint8) * np.uint8(255),
]


@dataclass(frozen=True)
class Step:
    """What happens in one frame: observations by object, then one that is stitched to another, then one that ends."""

    observed: dict[int, Observation]
    stitched: tuple[int, int] | None
    ended: int | None


def story(seed: int, frames: int) -> list[Step]:
    """Objects that wander, jump, stand at borders, are not seen for a while, are one, and end."""
    random = np.random.default_rng(seed)
    place = random.uniform((-10, 20), (650, 360), (8, 2))
    speed = random.normal(0, [12, 6], (8, 2)) * random.choice([0.1, 1.0, 4.0], (8, 1))
    size = random.uniform(0.5, 1.5, (8, 1)) * [24.0, 60.0]
    alive = list(range(8))
    steps = []
    for index in range(frames):
        place += speed + random.normal(0, 1.5, place.shape)
        turn = random.random(8) < 0.05
        speed[turn] *= -1
        observed = {}
        for one in alive:
            (x, y), (width, height) = place[one], size[one] * random.normal(1, 0.03)
            box = np.clip([x - width / 2, y - height, x + width / 2, y], 0, [*FRAME, *FRAME])
            x0, y0, x1, y1 = (float(value) for value in box)
            if random.random() < 0.1 or x1 - x0 < 2 or y1 - y0 < 2:
                continue
            observed[one] = Observation(
                FrameTime(index, 0, index, index / 12.5, 0.0),
                (x0, y0, x1, y1),
                (x0, y0, x1, y1),
                ((x0 + x1) / 2, y1),
                ((x0 + x1) / 2, (y0 + y1) / 2),
                float(height),
                0.9,
                0,
                touched((x0, y0, x1, y1), FRAME),
                MASKS[int(random.integers(3))],
            )
        pair = ended = None
        if len(alive) > 2 and random.random() < 0.05:
            older, later = (int(one) for one in random.choice(alive, 2, replace=False))
            pair = (older, later)
            ended = older
        elif len(alive) > 2 and random.random() < 0.03:
            ended = int(random.choice(alive))
        if ended is not None:
            alive.remove(ended)
        steps.append(Step(observed, pair, ended))
    return steps


Crossings = Counter[tuple[int, str, int, str | None]]
"""Frame, line, object, and direction or None."""


def one_by_one(steps: list[Step]) -> tuple[Crossings, dict[str, bytes]]:
    """All crossings and the state of each line at the end, each line by itself."""
    detectors = {name: CrossingDetector(line, FRAME) for name, line in LINES.items()}
    found: Crossings = Counter()
    for index, step in enumerate(steps):
        for name, detector in detectors.items():
            for one, observation in step.observed.items():
                found[index, name, one, detector.observe(one, observation, arriving=index > 0)] += 1
            if step.stitched is not None:
                found[index, name, step.stitched[1], detector.stitch(*step.stitched, index / 12.5)] += 1
            if step.ended is not None:
                left = detector.end(step.ended)
                found[index, name, step.ended, None if left is None else left[0]] += 1
    crossings = Counter({what: count for what, count in found.items() if what[-1] is not None})
    return crossings, {name: encode_state(detector.state()) for name, detector in detectors.items()}


def together(steps: list[Step], restart_every: int = 0) -> tuple[Crossings, dict[str, bytes]]:
    """The same of all lines at once, and of ones that go on from their state every so many frames."""
    detectors = CrossingDetectors(LINES, FRAME)
    found: Crossings = Counter()
    for index, step in enumerate(steps):
        detectors.look(step.observed.items())
        for one, observation in step.observed.items():
            for name, direction in detectors.observe(one, observation, arriving=index > 0):
                found[index, name, one, direction] += 1
        if step.stitched is not None:
            for name, direction in detectors.stitch(*step.stitched, index / 12.5):
                found[index, name, step.stitched[1], direction] += 1
        if step.ended is not None:
            for name, direction, _ in detectors.end(step.ended):
                found[index, name, step.ended, direction] += 1
        if restart_every and index % restart_every == restart_every - 1:
            before, detectors = detectors, CrossingDetectors(LINES, FRAME)
            for name, state in states(before).items():
                detectors.restore(name, decode_state(state))
    return found, states(detectors)


def states(detectors: CrossingDetectors) -> dict[str, bytes]:
    return {name: encode_state(detectors.detector(name).state()) for name in LINES}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), restart_every=st.sampled_from([0, 0, 7]))
def test_all_lines_at_once_find_what_each_line_finds(seed: int, restart_every: int) -> None:
    steps = story(seed, 60)
    assert together(steps, restart_every) == one_by_one(steps)


def test_these_stories_hold_crossings_of_every_line() -> None:
    assert {name for seed in range(6) for _, name, _, _ in one_by_one(story(seed, 60))[0]} == set(LINES)


def test_a_line_is_not_asked_about_objects_that_are_far_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Counter[str]()
    observe = CrossingDetector.observe

    def counted(
        self: CrossingDetector, object_id: int, observation: Observation, arriving: bool = False
    ) -> str | None:
        asked[str(self.line.points)] += 1
        return observe(self, object_id, observation, arriving)

    monkeypatch.setattr(CrossingDetector, "observe", counted)
    lines = {
        f"{x:.2f}": LineConfig(points=((x, 0.0), (x, 1.0)), directions=("in", "out"))
        for x in np.linspace(0.05, 0.95, 20)
    }
    detectors = CrossingDetectors(lines, FRAME)
    crossings = 0
    for index in range(200):
        x = 100.0 + 2 * index
        box = (x - 10, 100.0, x + 10, 160.0)
        seen = Observation(
            FrameTime(index, 0, index, index / 25, 0.0), box, box, (x, 160.0), (x, 130.0), 60.0, 0.9, 0, "", MASKS[0]
        )  # fmt: skip
        detectors.look([(1, seen)])
        crossings += len(detectors.observe(1, seen))
    assert crossings == sum(100 < 640 * x < 500 for x in np.linspace(0.05, 0.95, 20))
    assert sum(asked.values()) < 0.2 * 200 * 20
