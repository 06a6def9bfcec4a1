"""What walkers do not do: cars at low frame rates, before a post, parked and hidden, called by two classes."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.schema import LineConfig, StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.tracking.border import came_in, outward_steps
from pipeline.tracking.kalman import KalmanFilter
from pipeline.transport.messages import Instances

WIDTH, HEIGHT = 1920, 1080
CLASSES = ("person", "car", "bus")
BORDERS = ("left", "top", "right", "bottom")
Box = tuple[float, float, float, float, int]
"""x0 y0 x1 y1 and class."""


def counted(frames: list[list[Box]], fps: float) -> tuple[int, int]:
    """Unique objects, and crossings of the line at half the width."""
    line = LineConfig(points=((0.5, 1.0), (0.5, 0.0)))
    subject = StreamCounter("road", StreamConfig(source="s", lines={"line": line}), TrackerConfig(), CLASSES)
    events = []
    for seq, found in enumerate(frames):
        rows = np.array(found, np.float32).reshape(-1, 5)
        boxes = np.clip(rows[:, :4], 0, [WIDTH, HEIGHT] * 2)
        rows, boxes = (part[boxes[:, 2] - boxes[:, 0] > 4] for part in (rows, boxes))
        count = len(rows)
        events += subject.update(
            Instances(
                stream="road", epoch=0, seq=seq, index=seq, pts_s=seq / fps, wall_s=0.0, width=WIDTH, height=HEIGHT,
                boxes_px=boxes, scores=np.full(count, 0.85, np.float32), class_ids=rows[:, 4].astype(np.int16),
                masks=np.full((count, 28, 28), 255, np.uint8),
            )
        ).events  # fmt: skip
    events += subject.finish()
    return sum(subject.summary()["unique"].values()), sum(event.kind == "line" for event in events)


def driving(
    lengths_per_s: float, fps: float, cars: int = 6, every_s: float = 3.0, length: float = 150.0
) -> list[list[Box]]:
    """Cars one after another, from the left border to the right one, with boxes that shake."""
    rng = np.random.default_rng(0)
    took_s = cars * every_s + WIDTH / (lengths_per_s * length) + 6
    frames: list[list[Box]] = []
    for seq in range(int(took_s * fps)):
        frames.append([])
        for car in range(cars):
            x = (seq / fps - car * every_s - 0.13 * car) * lengths_per_s * length - length
            if -length < x < WIDTH:
                x0, y0, x1, y1 = np.array([x, 500, x + length, 570]) + rng.normal(0, 2, 4)
                frames[-1].append((x0, y0, x1, y1, 1))
    return frames


@pytest.mark.parametrize(("lengths_per_s", "fps"), [(2, 1), (4, 2), (6, 5), (10, 5), (10, 25)])
def test_cars_are_counted_at_any_speed_and_frame_rate(lengths_per_s: float, fps: float) -> None:
    assert counted(driving(lengths_per_s, fps), fps) == (6, 6)


def test_a_car_that_a_post_splits_in_two_is_one_car_and_crosses_once() -> None:
    frames: list[list[Box]] = []
    for x in range(400, 1400, 5):
        parts = [(float(x), min(x + 300.0, 950.0)), (max(float(x), 970.0), x + 300.0)]
        seen = [(x0, x1) for x0, x1 in parts if x1 - x0 > 10]
        split = len(seen) == 2 and x < 950 < 970 < x + 300
        frames.append([(x0, 540, x1, 700, 1) for x0, x1 in seen] if split else [(x, 540, x + 300, 700, 1)])
    assert counted(frames, 25) == (1, 1)


@pytest.mark.parametrize("hidden_s", [6, 60, 600])
def test_a_parked_car_is_the_same_one_however_long_it_is_hidden(hidden_s: int) -> None:
    parked: list[list[Box]] = [[(300, 500, 450, 570, 1)]] * 20
    assert counted([*parked, *[[]] * (2 * hidden_s), *parked], 2) == (1, 0)


def test_another_car_that_drives_to_where_one_was_parked_is_another_one() -> None:
    parked: list[list[Box]] = [[(300, 500, 450, 570, 1)]] * 50
    comes: list[list[Box]] = [[(1900 - 16 * n, 500, 2050 - 16 * n, 570, 1)] for n in range(101)]
    assert counted([*parked, *[[]] * 100, *comes, *[[(300, 500, 450, 570, 1)]] * 50], 10)[0] == 2


def test_a_class_that_flips_while_the_object_enters_makes_no_second_object() -> None:
    flips = [
        [(max(0.0, x), 520.0, x + 300.0, 700.0, 1 + (number // 5) % 2)]
        for number, x in enumerate(range(-280, 1600, 15))
    ]
    assert counted(flips, 25) == (1, 1)


def test_a_runner_who_enters_over_the_border_is_one_object() -> None:
    runs: list[list[Box]] = [[(max(0.0, x), 400.0, x + 40.0, 500.0, 0)] for x in np.arange(-35, 1200, 15.0)]
    assert counted(runs, 10)[0] == 1


def test_cars_that_pass_one_after_another_are_not_stitched() -> None:
    """One leaves behind a lorry every second while another one appears: traffic, not one car."""
    frames: list[list[Box]] = []
    for seq in range(300):
        frames.append([])
        for car in range(30):
            x = (seq - 10 * car) * 60.0 - 100
            if 0 < x < 900:
                frames[-1].append((x, 500, x + 150, 570, 1))
    assert counted(frames, 10)[0] >= 27


def test_a_bus_that_enters_where_another_one_leaves_is_another_one() -> None:
    """Both touch the left border, and there is never more than one box there. Parked cars tell how exact boxes are."""
    parked: list[Box] = [(300.0 * place, 700, 300.0 * place + 150, 770, 1) for place in (1, 2, 3)]
    way = [*range(1400, -420, -12), *range(-418, 1300, 12)]
    frames = [[(max(0.0, x), 400, x + 500.0, 560, 2), *parked] for x in way]
    assert counted(frames, 25) == (5, 2)


@pytest.mark.parametrize("border", ["left", "right", "top", "bottom"])
def test_the_velocity_of_what_enters_is_that_of_its_free_edge(border: str) -> None:
    """The box grows by 10 pixels a frame; the centre moves by half of that, the object by all of it."""
    motion, sign = KalmanFilter(), 1 if border in ("left", "top") else -1
    axis, edges = int(border in ("top", "bottom")), np.array([[b == border for b in BORDERS]])
    for number in range(1, 12):
        box = np.array([[50.0, 50.0, 40.0, 40.0]])
        box[0, axis], box[0, 2 + axis] = sign * 5.0 * number, 10.0 * number
        if number == 1:
            motion.add(box)
            continue
        motion.predict(0.04)
        motion.update(np.array([0]), box, np.ones(1), edges)
    assert motion.velocity[0, axis] == pytest.approx(sign * 250, rel=0.05)
    assert motion.velocity[0, 2 + axis] == 0
    assert motion.mean[0, 2 + axis] == 110


@pytest.mark.parametrize(("inward", "another"), [(-12.0, False), (0.0, False), (12.0, True)])
def test_a_free_edge_that_turns_round_at_the_border_is_of_another_object(
    inward: float, another: bool
) -> None:
    """It went out to the left at 12 pixels a frame, and is 80 pixels wide; boxes are exact to 2 pixels."""
    left = np.array([[True, False, False, False]])
    steps = outward_steps(np.array([[-300.0, 0.0]]), np.array([[100.0, 100.0]]), left, 0.04)
    assert steps.tolist() == [[12.0, 0.0, 0.0, 0.0]]
    off = np.array([[12.0 + inward, 0.0, 0.0, 0.0]])
    assert came_in(off, steps, left, np.array([[2.0, 2.0]])).tolist() == [another]
