"""What is drawn into a frame, and above all what is not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import LineConfig, StreamConfig, VideoConfig, ZoneConfig
from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes, chroma, planes_bytes
from pipeline.video.overlay import Overlay
from pipeline.video.overlay import labels as overlay_labels
from pipeline.video.overlay.canvas import Canvas
from pipeline.video.overlay.colours import object_colour, to_yuv
from pipeline.video.overlay.count_panel import format_media_time
from pipeline.video.overlay.line_mark import midpoint, right_normal
from pipeline.video.overlay.stamp import Stamp
from pipeline.video.overlay.trails import MAX_TRAILS, TRAIL_S, Trails

CLASSES = ("person", "car")
BARE = VideoConfig(labels=False, trails=False)
NOTHING = StreamConfig(source="x")
PANEL = np.s_[:60, :130]
"""Where the panel of counts lies in a frame of 320 x 240, generously."""


def grey(width: int = 320, height: int = 240, padding: int = 0) -> Planes:
    """A frame with texture; rows may be padded."""
    random = np.random.default_rng(5)

    def plane(rows: int, columns: int) -> Any:
        return random.integers(90, 140, (rows, columns + padding), np.uint8)[:, :columns]

    half = (chroma(height), chroma(width))
    return Planes(plane(height, width), plane(*half), plane(*half))


def copy(planes: Planes) -> Planes:
    return Planes(planes.y.copy(), planes.u.copy(), planes.v.copy())


def same(one: Planes, other: Planes) -> bool:
    pairs = ((one.y, other.y), (one.u, other.u), (one.v, other.v))
    return all(np.array_equal(a, b) for a, b in pairs)


def disc() -> Any:
    mask = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
    cv2.circle(mask, (14, 14), 10, (255,), -1)
    return mask


def tracks(
    *boxes: tuple[float, ...], pts_s: float = 1.0, ids: list[int] | None = None, **more: Any
) -> FrameTracks:
    count = len(boxes)
    boxes_px = np.array(boxes, np.float32).reshape(count, 4)
    masks = more.pop("masks", np.repeat(disc()[None], count, axis=0))
    feet = np.stack([boxes_px[:, [0, 2]].mean(axis=1), boxes_px[:, 3]], axis=1)
    return FrameTracks(
        stream="gate", epoch=0, seq=0, index=0, pts_s=pts_s, wall_s=0.0,
        ids=np.array(ids if ids is not None else range(1, count + 1), np.int64), boxes_px=boxes_px,
        scores=np.ones(count, np.float32), class_ids=np.zeros(count, np.int16), masks=masks,
        feet_px=feet.astype(np.float32), **more,
    )  # fmt: skip


def drawn(
    found: FrameTracks, video: VideoConfig = BARE, stream: StreamConfig = NOTHING, **size: int
) -> Planes:
    planes = grey(**size)
    Overlay(stream, video, CLASSES, planes.width, planes.height).draw(planes, found)
    return planes


def test_object_is_tinted_inside_its_mask_and_nowhere_else() -> None:
    before, after = grey(), drawn(tracks((150.0, 100.0, 230.0, 200.0)))
    inside = after.u[65:85, 90:100].astype(int) - before.u[65:85, 90:100]
    assert (inside != 0).mean() > 0.9
    changed = np.argwhere(after.y != before.y)
    changed = changed[(changed[:, 0] >= 60) | (changed[:, 1] >= 130)]
    assert changed[:, 0].min() >= 100 and changed[:, 0].max() < 200
    assert changed[:, 1].min() >= 150 and changed[:, 1].max() < 230
    assert np.array_equal(after.y[100:108, 150:160], before.y[100:108, 150:160])  # the disc leaves the corner


def test_outline_has_the_objects_own_colour() -> None:
    planes = drawn(tracks((150.0, 100.0, 230.0, 200.0), ids=[7]))
    level = to_yuv(object_colour(7))[0]
    column = planes.y[100:200, 190].astype(int)
    top = int(np.argmin(np.abs(column[:40] - level)))
    assert abs(column[top] - level) < 12
    assert 8 < top < 25  # the disc begins at 4.5 of 28 rows


def test_colours_stay_with_the_object_and_differ_between_neighbours() -> None:
    levels = np.array([to_yuv(object_colour(identity)) for identity in range(200)], float)
    assert object_colour(3) == object_colour(3)
    for apart in range(1, 13):
        distance = np.linalg.norm(levels[apart:] - levels[:-apart], axis=1)
        assert distance.min() > 20, apart
    assert (levels[:, 0] > 90).all() and (levels[:, 0] < 215).all()


@pytest.mark.parametrize(
    "box",
    [
        (-40.0, 100.0, 40.0, 180.0),
        (280.0, 200.0, 400.0, 300.0),
        (-500.0, -500.0, 900.0, 900.0),
        (-1e9, -1e9, 1e9, 1e9),
        (400.0, 100.0, 500.0, 200.0),
        (100.0, -90.0, 200.0, -10.0),
        (100.0, 100.0, 100.0, 180.0),
        (100.2, 100.2, 100.4, 100.4),
        (180.0, 100.0, 120.0, 180.0),
        (float("nan"), 0.0, 10.0, 10.0),
        (0.0, 0.0, float("inf"), 10.0),
        (318.6, 238.6, 320.0, 240.0),
    ],
)
def test_box_over_an_edge_outside_or_without_area_is_drawn_as_far_as_it_can_be(
    box: tuple[float, ...],
) -> None:
    for video in (BARE, VideoConfig(), VideoConfig(masks=False)):
        stream = Overlay(NOTHING, video, CLASSES, 320, 240)
        planes = grey()
        stream.draw(planes, tracks(box, pts_s=0.0))
        stream.draw(planes, tracks(box, pts_s=0.1))


def test_box_outside_changes_nothing() -> None:
    nothing = drawn(tracks(), VideoConfig())
    for box in ((400.0, 100.0, 500.0, 200.0), (100.0, 100.0, 100.0, 180.0), (100.0, -90.0, 200.0, -10.0)):
        assert same(drawn(tracks(box), VideoConfig(trails=False)), nothing)


def test_object_cut_by_the_edge_looks_as_in_a_larger_frame() -> None:
    large = drawn(tracks((200.0, 100.0, 300.0, 220.0)), width=420, height=340)
    small = grey()
    whole = grey(420, 340)
    small = Planes(whole.y[:240, :250].copy(), whole.u[:120, :125].copy(), whole.v[:120, :125].copy())
    Overlay(NOTHING, BARE, CLASSES, 250, 240).draw(small, tracks((200.0, 100.0, 300.0, 220.0)))
    part = np.s_[100:220, 200:246]  # the outline along the cut itself is new
    different = np.abs(small.y[part].astype(int) - large.y[part]) > 12
    assert different.mean() < 0.03


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(17, 90),
    height=st.integers(17, 90),
    padding=st.integers(0, 33),
    box=st.tuples(*[st.floats(-60, 150)] * 4),
)
def test_frames_of_any_size_and_row_padding_are_drawn_alike(
    width: int, height: int, padding: int, box: tuple[float, ...]
) -> None:
    stream = StreamConfig(
        source="x",
        lines={"door": LineConfig(points=((0.0, 0.2), (1.0, 0.9)))},
        zones={"in": ZoneConfig(points=((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)))},
    )
    found = tracks(box, (3.0, 4.0, 15.0, 16.0), unique={"person": 2})
    padded = grey(width, height, padding)
    plain = copy(padded)
    edges = (
        [plane.base[:, plane.shape[1] :].copy() for plane in (padded.y, padded.u, padded.v)]
        if padding
        else []
    )
    for planes in (padded, plain):
        overlay = Overlay(stream, VideoConfig(), CLASSES, width, height)
        for _ in range(2):
            overlay.draw(planes, found)
    assert same(padded, plain)
    for plane, edge in zip((padded.y, padded.u, padded.v), edges, strict=False):
        assert np.array_equal(plane.base[:, plane.shape[1] :], edge)


def test_views_on_one_buffer_do_not_run_into_each_other() -> None:
    buffer = np.full(planes_bytes(320, 240) + 64, 77, np.uint8)
    planes = Planes.view(buffer, 320, 240)
    Overlay(NOTHING, VideoConfig(), CLASSES, 320, 240).draw(planes, tracks((250.0, 180.0, 400.0, 300.0)))
    assert (buffer[-64:] == 77).all()


def test_frame_of_another_size_is_refused() -> None:
    overlay = Overlay(NOTHING, BARE, CLASSES, 320, 240)
    with pytest.raises(ValueError, match="got a frame of 322x240, expected 320x240"):
        overlay.draw(grey(322, 240), tracks())


def test_object_without_mask_gets_its_box() -> None:
    box = (150.0, 100.0, 230.0, 200.0)
    empty = np.zeros((1, MASK_SIZE, MASK_SIZE), np.uint8)
    for planes in (
        drawn(tracks(box, masks=empty)),
        drawn(tracks(box), VideoConfig(masks=False, labels=False)),
    ):
        before = grey()
        assert (planes.y[100, 155:225] != before.y[100, 155:225]).mean() > 0.9
        assert np.array_equal(planes.y[110:190, 160:220], before.y[110:190, 160:220])


class Recorder:
    """Records where labels are drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rectangles: list[tuple[int, int, int, int]] = []
        monkeypatch.setattr(overlay_labels, "label_stamp", self._label)

    def _label(self, text: str, identity: int, size: int) -> Stamp:
        recorder = self

        class Recorded(Stamp):
            def blend(self, planes: Planes, x: int, y: int) -> None:
                recorder.rectangles.append((x, y, self.width, self.height))

        full = np.zeros((14, 60), np.uint8)
        half = np.zeros((7, 30), np.uint8)
        return Recorded((full, half), (full, half, half))


def test_labels_of_a_crowd_do_not_cover_each_other_and_stay_in_the_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder(monkeypatch)
    boxes = [(150.0 + 12 * n, 100.0 + 3 * n, 190.0 + 12 * n, 190.0) for n in range(6)]
    boxes += [(-20.0, 150.0, 30.0, 239.0), (300.0, 120.0, 330.0, 200.0), (250.0, -20.0, 300.0, 50.0)]
    drawn(tracks(*boxes), VideoConfig(trails=False))
    assert len(recorder.rectangles) == 9
    for n, (x, y, width, height) in enumerate(recorder.rectangles):
        assert 0 <= x <= 320 - width and 0 <= y <= 240 - height
        for x2, y2, _, _ in recorder.rectangles[:n]:
            assert abs(x - x2) >= width or abs(y - y2) >= height


def test_label_that_had_to_move_does_not_jump_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(monkeypatch)
    overlay = Overlay(NOTHING, VideoConfig(trails=False), CLASSES, 320, 240)
    near, far = (200.0, 120.0, 240.0, 200.0), (205.0, 118.0, 245.0, 190.0)
    overlay.draw(grey(), tracks(near, far, ids=[1, 2], pts_s=0.0))
    moved = recorder.rectangles[-1]
    overlay.draw(grey(), tracks(far, ids=[2], pts_s=0.2))
    assert recorder.rectangles[-1] == moved
    overlay.draw(grey(), tracks(far, ids=[2], pts_s=2.0))
    assert recorder.rectangles[-1] != moved


def test_labels_and_trails_can_be_left_out() -> None:
    box = (150.0, 100.0, 230.0, 200.0)
    above = np.s_[75:98, 150:230]
    assert (drawn(tracks(box), VideoConfig()).y[above] != grey().y[above]).any()
    assert np.array_equal(drawn(tracks(box)).y[above], grey().y[above])


def test_trail_follows_and_is_gone_after_its_time() -> None:
    overlay = Overlay(NOTHING, VideoConfig(labels=False), CLASSES, 320, 240)
    for step in range(20):
        planes = grey()
        overlay.draw(planes, tracks((100.0 + 5 * step, 100.0, 130.0 + 5 * step, 180.0), pts_s=step * 0.1))
    path = np.s_[178:183, 140:195]
    assert (planes.y[path] != grey().y[path]).mean() > 0.2
    planes = grey()
    overlay.draw(planes, tracks(pts_s=1.9 + TRAIL_S / 2))
    assert (planes.y[path] != grey().y[path]).any()  # it fades, it is not cut off
    planes = grey()
    overlay.draw(planes, tracks(pts_s=2.0 + TRAIL_S))
    assert np.array_equal(planes.y[path], grey().y[path])


def test_standing_object_leaves_no_trail() -> None:
    trails = Trails(2, 2.0)
    planes = grey()
    for step in range(50):
        trails.update(step * 0.1, np.array([1]), np.array([[100.0 + step % 2 * 0.5, 100.0]], np.float32))
        trails.draw(planes)
    assert same(planes, grey())


def test_slow_object_is_kept_as_few_points() -> None:
    trails = Trails(2, 4.0)
    for step in range(40):
        trails.update(step * 0.04, np.array([1]), np.array([[100.0 + step * 0.5, 100.0]], np.float32))
    assert len(trails._paths[1]) <= 8


@settings(max_examples=60, deadline=None)
@given(x=st.integers(-40, 60), y=st.integers(-40, 60), width=st.integers(7, 33), height=st.integers(7, 33))
def test_stamp_covers_what_lies_inside_the_frame_and_nothing_else(
    x: int, y: int, width: int, height: int
) -> None:
    canvas = Canvas(20, 14)
    canvas.panel(0, 0, 20, 14, 5, (0.1, 0.8, 0.3), 0.6)
    stamp, before, after = canvas.stamp(), grey(width, height), grey(width, height)
    stamp.blend(after, x, y)
    for number, (old, new) in enumerate(
        zip((before.y, before.u, before.v), (after.y, after.u, after.v), strict=True)
    ):
        keep, add = stamp.keep[min(number, 1)], stamp.add[number]
        left, top = (x // 2 * 2, y // 2 * 2) if number == 0 else (x // 2, y // 2)
        margin = 60
        expected = np.pad(old.astype(float), margin)
        part = expected[top + margin :, left + margin :][: keep.shape[0], : keep.shape[1]]
        part[:] = part * keep[: part.shape[0], : part.shape[1]] / 255 + add[: part.shape[0], : part.shape[1]]
        expected = expected[margin:-margin, margin:-margin]
        assert np.abs(new - expected).max() <= 1
        untouched = np.ones_like(expected, bool)
        untouched[max(0, top) : max(0, top + keep.shape[0]), max(0, left) : max(0, left + keep.shape[1])] = (
            False
        )
        assert np.array_equal(new[untouched], old[untouched])


def test_memory_is_bounded_however_many_objects_pass() -> None:
    overlay = Overlay(NOTHING, VideoConfig(), CLASSES, 320, 240)
    planes = grey()
    for frame in range(40):
        ids = list(range(frame * 40, frame * 40 + 40))
        overlay.draw(planes, tracks(*[(10.0, 10.0, 20.0, 30.0)] * 40, ids=ids, pts_s=frame * 0.01))
    assert len(overlay._trails) <= MAX_TRAILS
    assert len(overlay._labels) <= overlay_labels.MAX_LABELS
    overlay.draw(planes, tracks(pts_s=60.0))
    assert len(overlay._trails) == 0


def test_time_that_starts_again_leaves_no_old_trail() -> None:
    trails = Trails(2, 2.0)
    trails.update(100.0, np.array([1]), np.array([[10.0, 10.0]], np.float32))
    trails.update(0.0, np.array([2]), np.array([[10.0, 10.0]], np.float32))
    assert len(trails) == 1


DOOR = StreamConfig(
    source="x", lines={"door": LineConfig(points=((0.2, 0.5), (0.8, 0.5)), directions=("in", "out"))}
)
OUT_OF_PANEL = np.s_[70:, :]


def test_first_direction_is_from_the_left_hand_to_the_right_hand() -> None:
    # Walking to the right on the screen, the right hand is below; walking down, it is at the left.
    assert right_normal((0.0, 0.0), (10.0, 0.0)) == (0.0, 1.0)
    assert right_normal((0.0, 0.0), (0.0, 10.0)) == (-1.0, 0.0)


def test_line_stands_on_its_points() -> None:
    planes = drawn(tracks(), stream=DOOR)
    bright = planes.y[116:124] > 200
    columns = np.flatnonzero(bright.any(axis=0))
    assert abs(columns.min() - 64) < 6 and abs(columns.max() - 256) < 6


def test_line_is_highlighted_for_a_moment_after_a_crossing() -> None:
    overlay = Overlay(DOOR, BARE, CLASSES, 320, 240)

    def appearance(pts_s: float, crossed: tuple[str, ...] = ()) -> Any:
        planes = grey()
        overlay.draw(planes, tracks(pts_s=pts_s, crossed=crossed))
        return planes.y[OUT_OF_PANEL]

    normal = appearance(0.0)
    highlighted = appearance(1.0, ("door",))
    assert not np.array_equal(normal, highlighted)
    assert np.array_equal(appearance(1.5), highlighted)
    assert np.array_equal(appearance(1.7), normal)


def test_badge_shows_the_counts_of_both_directions_over_all_classes() -> None:
    def appearance(counts: dict[str, dict[str, int]]) -> Any:
        return drawn(tracks(lines={"door": counts}), stream=DOOR).y[OUT_OF_PANEL]

    none = appearance({})
    assert np.array_equal(appearance({"person": {"in": 0, "out": 0}}), none)
    assert not np.array_equal(appearance({"person": {"in": 1}}), none)
    assert not np.array_equal(appearance({"person": {"in": 1}}), appearance({"person": {"out": 1}}))
    assert np.array_equal(appearance({"person": {"in": 1}, "car": {"in": 2}}), appearance({"car": {"in": 3}}))


def test_badge_shows_the_net_where_it_is_asked_for() -> None:
    net = StreamConfig(source="x", lines={"door": DOOR.lines["door"].model_copy(update={"net": True})})

    def appearance(stream: StreamConfig, first: int, second: int) -> Any:
        return drawn(tracks(lines={"door": {"person": {"in": first, "out": second}}}), stream=stream).y[
            OUT_OF_PANEL
        ]

    assert not np.array_equal(appearance(net, 4, 1), appearance(DOOR, 4, 1))
    assert not np.array_equal(appearance(net, 4, 1), appearance(net, 1, 4))


def test_a_bent_line_stands_on_its_bend_and_its_arrows_on_its_middle() -> None:
    assert midpoint([(0.0, 0.0), (10.0, 0.0), (10.0, 30.0)]) == ((10.0, 10.0), (-1.0, 0.0))
    bent = StreamConfig(source="x", lines={"door": LineConfig(points=((0.2, 0.8), (0.5, 0.4), (0.8, 0.8)))})
    planes = drawn(tracks(), stream=bent)
    rows, columns = np.nonzero(planes.y[90:200] > 200)
    top = 90 + int(rows[(columns > 155) & (columns < 165)].min())
    assert abs(top - 0.4 * 240) < 5


def test_zone_is_tinted_inside_and_its_badge_shows_how_many_are_in() -> None:
    stream = StreamConfig(
        source="x", zones={"yard": ZoneConfig(points=((0.5, 0.4), (0.9, 0.4), (0.9, 0.9), (0.5, 0.9)))}
    )
    before, empty = grey(), drawn(tracks(), stream=stream)
    inside, outside = np.s_[60:100, 90:135], np.s_[60:100, 10:70]
    assert (empty.u[inside] != before.u[inside]).mean() > 0.8
    assert np.array_equal(empty.u[outside], before.u[outside])
    two = drawn(tracks(zones={"yard": {"person": 1, "car": 1}}), stream=stream)
    assert not same(two, empty)
    assert same(two, drawn(tracks(zones={"yard": {"person": 2}}), stream=stream))


def test_panel_shows_unique_counts_and_the_time() -> None:
    def appearance(pts_s: float = 0.0, **unique: int) -> Any:
        return drawn(tracks(pts_s=pts_s, unique=unique)).y[PANEL]

    assert np.array_equal(appearance(person=0), appearance())
    assert not np.array_equal(appearance(person=3), appearance(person=4))
    assert not np.array_equal(appearance(person=3), appearance(car=3))
    assert not np.array_equal(appearance(pts_s=1.0), appearance(pts_s=2.0))
    appearance(**{f"thing{n}": n + 1 for n in range(40)})
    assert [format_media_time(s) for s in (0.0, 59.99, 61.0, 3725.4, -1.0)] == [
        "0:00",
        "0:59",
        "1:01",
        "1:02:05",
        "0:00",
    ]


def test_colours_are_those_of_the_planes() -> None:
    for colour in ((1.0, 0.0, 0.0), (0.2, 0.9, 0.4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)):
        image = np.rint(np.full((4, 4, 3), colour) * 255).astype(np.uint8)
        planes = Planes.from_rgb(image)
        expected = np.array([planes.y[0, 0], planes.u[0, 0], planes.v[0, 0]], int)
        assert np.abs(np.array(to_yuv(colour)) - expected).max() <= 1


def test_unknown_class_still_has_a_label() -> None:
    found = tracks((150.0, 100.0, 230.0, 200.0))
    planes = grey()
    Overlay(NOTHING, VideoConfig(trails=False), (), 320, 240).draw(planes, found)
    assert (planes.y[80:98, 150:230] != grey().y[80:98, 150:230]).any()
