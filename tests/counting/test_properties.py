"""What holds for every scene: mirrored, moved, with frames missing, and the books of zones."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.config.schema import LineConfig, ZoneConfig
from tests.counting.counting_scenes import HEIGHT, WIDTH, Frame, Outcome, Thing, Xy, along, counter, play_at

FPS = 12.5
LANES = (110.0, 190.0, 270.0, 350.0)
"""Foot points so far apart that nobody hides anybody."""
PLACE = st.integers(80, 560).map(float)
ROUTES = st.lists(st.tuples(PLACE, PLACE, PLACE), min_size=1, max_size=len(LANES))
"""One walker a lane: from, over, to."""
LINES = st.lists(
    st.tuples(
        st.sampled_from([0.3, 0.4, 0.5, 0.6, 0.7]),
        st.sampled_from([0.0, 0.2, 0.4]),
        st.sampled_from([-0.1, 0.1]),
    ),
    min_size=1,
    max_size=2,
)
FEW = settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
"""Examples are scenes of seconds: making a failing one smaller would take minutes."""


def scene(routes: list[tuple[float, float, float]]) -> list[tuple[float, list[Thing]]]:
    """Walkers who stand for a moment, walk to a place and on to another, and stand there: long enough that who was lost
    for stopping on the spot is an object again."""
    paths = [
        along(
            [(a, y), (a, y), (b, y), (c, y), (c, y)],
            [0.6, abs(a - b) / 120 + 0.1, abs(b - c) / 120 + 0.1, 1.2],
            FPS,
        )
        for (a, b, c), y in zip(routes, LANES, strict=False)
    ]
    longest = max(map(len, paths))
    return [
        (number / FPS, [Thing(path[min(number, len(path) - 1)]) for path in paths])
        for number in range(longest)
    ]


def lines(shapes: list[tuple[float, float, float]]) -> dict[str, LineConfig]:
    """Lines with a bend, from the bottom to somewhere near the top."""
    return {
        f"line{number}": LineConfig(
            points=((x, 1.0), (x + lean, 0.6), (x, top)), directions=("right", "left")
        )
        for number, (x, top, lean) in enumerate(shapes)
    }


def moved(config: LineConfig, change: object) -> LineConfig:
    points = [change(point) for point in config.points]  # type: ignore[operator]
    return LineConfig.model_validate({**config.model_dump(), "points": points})


def counted(outcome: Outcome) -> Counter[tuple[str, str]]:
    return Counter((event.name, event.direction) for event in outcome.events if event.kind == "line")


def run(frames: list[tuple[float, Frame]], subject: dict[str, LineConfig]) -> Counter[tuple[str, str]]:
    return counted(play_at(counter(subject), frames))


def changed(frames: list[tuple[float, list[Thing]]], change: object) -> list[tuple[float, Frame]]:
    return [
        (pts_s, [Thing(change(thing.foot), thing.size) for thing in things])  # type: ignore[operator]
        for pts_s, things in frames
    ]


@FEW
@given(routes=ROUTES, shapes=LINES)
def test_in_a_mirror_the_directions_swap(
    routes: list[tuple[float, float, float]], shapes: list[tuple[float, float, float]]
) -> None:
    frames, subject = scene(routes), lines(shapes)
    mirrored = {name: moved(line, lambda p: (1 - p[0], p[1])) for name, line in subject.items()}
    swap = {"left": "right", "right": "left"}
    seen = run(frames, subject)
    assert run(changed(frames, lambda p: (WIDTH - p[0], p[1])), mirrored) == Counter(
        {(name, swap[direction]): count for (name, direction), count in seen.items()}
    )


@FEW
@given(
    routes=ROUTES,
    shapes=LINES,
    by=st.tuples(st.integers(-40, 40), st.integers(-30, 5)),
)
def test_all_points_moved_together_count_the_same(
    routes: list[tuple[float, float, float]], shapes: list[tuple[float, float, float]], by: tuple[int, int]
) -> None:
    frames = scene(routes)
    inner = {name: moved(line, lambda p: (p[0], 0.1 + 0.85 * p[1])) for name, line in lines(shapes).items()}
    shifted = {
        name: moved(line, lambda p: (p[0] + by[0] / WIDTH, p[1] + by[1] / HEIGHT))
        for name, line in inner.items()
    }

    def away(place: Xy) -> Xy:
        return place[0] + by[0], place[1] + by[1]

    assert run(changed(frames, away), shifted) == run(frames, inner)


@FEW
@given(routes=ROUTES, shapes=LINES, seed=st.integers(0, 99), share=st.sampled_from([0.1, 0.3]))
def test_frames_dropped_at_random_leave_the_net_of_every_line(
    routes: list[tuple[float, float, float]],
    shapes: list[tuple[float, float, float]],
    seed: int,
    share: float,
) -> None:
    """Up to 30 % of the frames are missing: the net of each line stays, and only who turns back right behind it may
    be missed, there and back."""
    frames, subject = scene(routes), lines(shapes)
    random = np.random.default_rng(seed)
    kept = [frame for number, frame in enumerate(frames) if number == 0 or random.random() > share]
    few, all_of_them = run(kept, subject), run(frames, subject)
    for line in subject:
        lost = [all_of_them[line, direction] - few[line, direction] for direction in ("right", "left")]
        assert lost[0] == lost[1]
        assert abs(lost[0]) <= len(routes)


@FEW
@given(routes=ROUTES, until=st.integers(8, 120), by_mask=st.booleans())
def test_the_books_of_a_zone_balance_at_every_moment(
    routes: list[tuple[float, float, float]], until: int, by_mask: bool
) -> None:
    by = "mask" if by_mask else "anchor"
    zones = {
        "west": ZoneConfig(points=((0.0, 0.0), (0.45, 0.0), (0.35, 1.0), (0.0, 1.0)), by=by),
        "middle": ZoneConfig(points=((0.3, 0.2), (0.7, 0.2), (0.7, 1.0), (0.3, 1.0)), by=by),
    }
    subject = counter(zones=zones)
    outcome = play_at(subject, scene(routes)[:until])
    for name, classes in outcome.totals["zones"].items():
        for numbers in classes.values():
            assert (
                numbers["entries"] + numbers["appeared"] - numbers["exits"] - numbers["vanished"]
                == numbers["now"]
            )
            assert numbers["now"] <= numbers["peak"] <= len(routes)
        events = Counter(event.direction for event in outcome.events if event.name == name)
        assert events["entry"] == sum(numbers["entries"] for numbers in classes.values())
        assert events["exit"] == sum(numbers["exits"] for numbers in classes.values())


@FEW
@given(ends=st.lists(st.tuples(st.integers(80, 560).map(float), PLACE), min_size=1, max_size=len(LANES)))
def test_where_all_begin_outside_entries_less_exits_are_those_inside(ends: list[tuple[float, float]]) -> None:
    """Three zones side by side, and nobody begins in one: summed over the zones, entries less exits are inside."""
    zones = {
        f"zone{i}": ZoneConfig(points=((x, 0.0), (x + 0.2, 0.0), (x + 0.2, 1.0), (x, 1.0)))
        for i, x in enumerate((0.2, 0.4, 0.6))
    }
    outcome = play_at(counter(zones=zones), scene([(50.0, a, b) for a, b in ends]))
    sums = Counter[str]()
    for classes in outcome.totals["zones"].values():
        for numbers in classes.values():
            sums.update(numbers)  # type: ignore[arg-type]
    assert sums["entries"] - sums["exits"] == sums["now"]
    assert sums["appeared"] == sums["vanished"] == 0
