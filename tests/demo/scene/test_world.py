"""Scenes: the same seed gives the same frames, and the truth is what the picture shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.demo.scene.world import CLASSES, Scene, sample


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.from_seed(5, width=320, height=180)


def test_the_same_seed_gives_the_same_frame(scene: Scene) -> None:
    again = Scene.from_seed(5, width=320, height=180).frame(200)
    first = scene.frame(200)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert first.instances == again.instances


def test_another_seed_gives_another_street(scene: Scene) -> None:
    other = Scene.from_seed(6, width=320, height=180)
    assert other.layout != scene.layout
    assert np.abs(other.backdrop.astype(int) - scene.backdrop).mean() > 5


def test_frames_may_be_asked_for_in_any_order(scene: Scene) -> None:
    in_order = {i: scene.frame(i) for i in (10, 11, 12)}
    for i in (12, 10, 11):
        alone = scene.frame(i)
        assert np.array_equal(alone.image, in_order[i].image)
        assert alone.instances == in_order[i].instances


@pytest.mark.parametrize("index", [0, 130, 420, 749])
def test_truth_equals_the_label_map(scene: Scene, index: int) -> None:
    rendered = scene.frame(index)
    labels = rendered.labels
    assert labels.dtype == np.int16 and labels.shape == (180, 320) and rendered.image.shape == (180, 320, 3)
    assert [t.label for t in rendered.instances] == list(range(1, len(rendered.instances) + 1))
    assert set(np.unique(labels)) - {0} == {t.label for t in rendered.instances}
    for t in rendered.instances:
        ys, xs = np.nonzero(rendered.mask(t.label))
        assert t.area_px == len(xs)
        assert t.box_px == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        x0, y0, x1, y1 = t.full_box_px
        assert x0 <= t.box_px[0] and y0 <= t.box_px[1] and x1 >= t.box_px[2] and y1 >= t.box_px[3]
        assert 0 < t.visible <= 1
    assert len({t.track_id for t in rendered.instances}) == len(rendered.instances)


def test_nearer_objects_stand_in_front_and_are_larger() -> None:
    scene = Scene.from_seed(4, width=320, height=180)
    covered = 0
    heights: list[tuple[float, float]] = []
    for index in range(0, 750, 25):
        for t in scene.frame(index).instances:
            covered += 0.2 < t.visible < 0.8
            if t.class_name == "person" and t.visible == 1.0:
                heights.append((t.foot_px[1], t.full_box_px[3] - t.full_box_px[1]))
    assert covered > 10  # occlusion happens
    feet, tall = np.array(heights).T
    assert np.corrcoef(feet, tall)[0, 1] > 0.8


def test_pixels_of_an_object_differ_from_the_empty_street(scene: Scene) -> None:
    rendered = scene.frame(300)
    empty = scene._still.astype(int)
    inside = np.abs(rendered.image.astype(int) - empty)[rendered.labels > 0].mean()
    outside = np.abs(rendered.image.astype(int) - empty)[rendered.labels == 0].mean()
    assert inside > 2.5 * outside


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_a_minute_has_at_least_24_objects_of_all_classes(seed: int) -> None:
    scene = Scene.from_seed(seed, width=320, height=180)
    count = Counter(actor.class_name for actor in scene.actors())
    assert set(count) == set(CLASSES)
    assert 24 <= sum(count.values()) <= 40


def test_an_endless_scene_goes_on_in_bounded_memory() -> None:
    scene = Scene.from_seed(9, width=320, height=180, endless=True, fps=10.0)
    seen: set[int] = set()
    for second in range(0, 240, 6):
        instances = scene.frame(second * 10).instances
        seen |= {t.track_id for t in instances}
    assert len(seen) > 100
    assert len(scene._chapters) <= 4
    late = scene.frame(100_000)
    again = Scene.from_seed(9, width=320, height=180, endless=True, fps=10.0).frame(100_000)
    assert late.instances == again.instances and len(late.instances) > 0


def test_other_sizes_show_the_same_street() -> None:
    small = Scene.from_seed(5, width=320, height=180).frame(100)
    large = Scene.from_seed(5, width=1920, height=1080).frame(100)
    assert large.image.shape == (1080, 1920, 3)
    big = {t.track_id: t for t in large.instances}
    for t in small.instances:
        if t.area_px > 200:
            assert big[t.track_id].foot_px == pytest.approx((t.foot_px[0] * 6, t.foot_px[1] * 6), abs=1.0)
            assert big[t.track_id].area_px == pytest.approx(t.area_px * 36, rel=0.3)


def test_samples_for_training_differ_and_repeat() -> None:
    first, again, other = (sample(s, width=320, height=180) for s in (11, 11, 12))
    assert np.array_equal(first.image, again.image) and first.instances == again.instances
    assert not np.array_equal(first.image, other.image)
    found = Counter(t.class_name for seed in range(6) for t in sample(seed, width=320, height=180).instances)
    assert set(found) == set(CLASSES)
