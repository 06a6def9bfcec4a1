"""What moves before a fixed camera: small rendered scenes in which everything is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import ModelConfig, MotionConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.detections import Detections
from pipeline.models.motion.background_model import gradient_agreement
from pipeline.models.motion.blobs import Blob, components, split_group
from pipeline.models.motion.motion_model import MotionSegmenter
from pipeline.models.motion.object_size import ObjectSize, ObjectSizeModel
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes

WIDTH, HEIGHT, FPS = 192, 144, 10
SIZE = (14, 36)
"""Width and height of a walker, pixels."""


def ground(seed: int = 1) -> np.ndarray[Any, Any]:
    """(H, W, 3) uint8: a street with some texture, brighter to the right."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(100, 150, (HEIGHT // 8, WIDTH // 8, 1)).astype(np.float32).repeat(3, axis=2)
    image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (image + np.linspace(0, 20, WIDTH)[None, :, None]).clip(0, 255).astype(np.uint8)


@dataclass
class Scene:
    """Draws frames: the ground, walkers, and the noise of a camera."""

    light: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        self._ground = ground(self.seed).astype(np.float32)
        self._rng = np.random.default_rng(5)

    def frame(
        self,
        *walkers: tuple[float, float],
        shadow: bool = False,
        shade: np.ndarray[Any, Any] | float = 1.0,
    ) -> Planes:
        """`walkers`: x of the middle, y of the foot. `shade`: (H, W, 1), how much light there is."""
        image = self._ground.copy()
        for x, y in walkers:
            if shadow:
                left, low = round(x), round(y)
                image[low - 8 : low + 1, left : left + 30] *= 0.68
        for x, y in walkers:
            image[walker_mask(x, y)] = (190, 40, 50)
        image = image * shade * self.light + self._rng.normal(0, 2, image.shape)
        return Planes.from_rgb(image.clip(0, 255).astype(np.uint8))


def walker_mask(x: float, y: float) -> np.ndarray[Any, Any]:
    """(H, W) bool: a head on a body."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    width, height = SIZE
    left, top = round(x - width / 2), round(y - height)
    cv2.rectangle(mask, (left, top + 9), (left + width - 1, round(y) - 1), 1, -1)
    cv2.circle(mask, (round(x), top + 5), 4, 1, -1)
    return mask > 0


@dataclass
class Camera:
    """A stream of frames into a model."""

    model: MotionSegmenter
    name: str = "gate"
    epoch: int = 0
    seq: int = 0

    def show(self, frame: Planes, seq: int | None = None) -> Detections:
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1
        (found,) = self.model.segment_refs([self.ref(seq)], [frame])
        return found

    def ref(self, seq: int) -> FrameRef:
        return FrameRef(
            stream=self.name, epoch=self.epoch, seq=seq, index=seq, pts_s=seq / FPS, wall_s=0.0, slot=0,
            ring="", width=WIDTH, height=HEIGHT,
        )  # fmt: skip

    def learn(self, scene: Scene, frames: int = 25) -> None:
        for _ in range(frames):
            assert not len(self.show(scene.frame()).scores)


def camera(**motion: Any) -> Camera:
    # The background learns for two seconds, unless a test says otherwise.
    return Camera(MotionSegmenter(ModelConfig(name="motion", motion=MotionConfig(**motion))))


def pasted(found: Detections, row: int = 0) -> np.ndarray[Any, Any]:
    """(H, W) bool."""
    x0, y0, x1, y1 = np.rint(found.boxes_px[row]).astype(int)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = cv2.resize(found.masks[row], (x1 - x0, y1 - y0)) >= 128
    return mask


def iou(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_a_walker_is_found_with_the_mask_that_it_has() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    for x in range(20, 170, 15):
        found = gate.show(scene.frame((x, 100)))
        assert len(found.scores) == 1
        assert iou(pasted(found), walker_mask(x, 100)) > 0.8
        kinds = [a.dtype for a in (found.boxes_px, found.scores, found.class_ids, found.masks)]
        assert kinds == [np.float32, np.float32, np.int16, np.uint8]
        assert found.masks.shape == (1, 28, 28) and 0.5 <= found.scores[0] <= 1


def test_a_large_frame_is_worked_on_small_and_its_boxes_are_its_own() -> None:
    scene, gate = Scene(), camera()

    def large(frame: Planes) -> Planes:
        return Planes.from_rgb(cv2.resize(frame.to_rgb(), (WIDTH * 6, HEIGHT * 6)))

    for _ in range(25):
        gate.show(large(scene.frame()))
    found = gate.show(large(scene.frame((80, 100))))
    np.testing.assert_allclose(found.boxes_px, [[73 * 6, 64 * 6, 87 * 6, 100 * 6]], atol=15)


def test_nothing_is_found_while_the_background_is_learnt() -> None:
    scene, gate = Scene(), camera(learn_s=1.0)
    learnt = [len(gate.show(scene.frame((20 + 3 * n, 100))).scores) for n in range(20)]
    assert learnt[:10] == [0] * 10 and sum(learnt[12:]) >= 7


def test_a_shadow_belongs_to_nobody() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    found = gate.show(scene.frame((60, 100), shadow=True))
    assert iou(pasted(found), walker_mask(60, 100)) > 0.75
    kept = camera(shadows=False)
    kept.learn(scene)
    found = kept.show(scene.frame((60, 100), shadow=True))
    assert found.boxes_px[0, 2] > 85


def fleck(width_px: float) -> np.ndarray[Any, Any]:
    """(H, W, 1): more light at one place, with an edge that is so wide."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((18 - np.hypot(xs - 60, ys - 70)) / width_px + 0.5).clip(0, 1)
    return (1 + 0.6 * inside)[:, :, None]


def test_light_that_fades_out_is_no_object_and_one_with_an_edge_is() -> None:
    """On a plain wall, where there is nothing whose edges could stay the same."""
    scene, gate = Scene(), camera()
    scene._ground[:] = 130
    gate.learn(scene)
    assert len(gate.show(scene.frame(shade=fleck(1.0))).scores) == 1
    other = camera()
    other.learn(scene)
    assert not len(other.show(scene.frame(shade=fleck(30.0))).scores)


def test_clouds_and_the_sun_are_no_objects() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    for light in np.linspace(1.0, 1.35, 30):
        scene.light = float(light)
        assert not len(gate.show(scene.frame()).scores)
    assert iou(pasted(gate.show(scene.frame((60, 100)))), walker_mask(60, 100)) > 0.7


def test_a_camera_that_was_turned_is_learnt_anew() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    other = Scene(seed=9, light=0.4)
    for _ in range(25):
        assert not len(gate.show(other.frame()).scores)
    assert len(gate.show(other.frame((60, 100))).scores) == 1


def test_what_stands_still_long_enough_becomes_background() -> None:
    scene, gate = Scene(), camera(absorb_s=3.0)
    gate.learn(scene)
    seen = [len(gate.show(scene.frame((60, 100))).scores) for _ in range(80)]
    assert seen[:20] == [1] * 20 and seen[-1] == 0


def test_a_place_where_people_often_stand_does_not_become_like_them() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    for _ in range(4):
        stood = [gate.show(scene.frame((60, 100))) for _ in range(60)]
        assert all(len(found.scores) == 1 for found in stood)
        for _ in range(15):
            assert not len(gate.show(scene.frame()).scores)
    assert iou(pasted(stood[-1]), walker_mask(60, 100)) > 0.8


def test_what_became_background_may_leave_again() -> None:
    scene, gate = Scene(), camera(absorb_s=2.0)
    gate.learn(scene)
    for _ in range(40):
        gate.show(scene.frame((60, 100)))
    assert not len(gate.show(scene.frame((60, 100))).scores)
    assert not any(len(gate.show(scene.frame()).scores) for _ in range(5))


def test_who_was_there_at_the_start_leaves_no_ghost() -> None:
    scene, gate = Scene(), camera()
    for _ in range(25):
        gate.show(scene.frame((60, 100)))
    left = [gate.show(scene.frame((60 + 4 * n, 100))) for n in range(5, 25)]
    assert [len(found.scores) for found in left[3:]] == [1] * 17
    assert iou(pasted(left[-1]), walker_mask(156, 100)) > 0.7


def test_small_and_large_things_are_left_out() -> None:
    scene = Scene()
    for limits in ({"min_area": 0.05}, {"max_area": 0.01}):
        gate = camera(**limits)
        gate.learn(scene)
        assert not len(gate.show(scene.frame((60, 100))).scores)


def test_two_who_walk_side_by_side_are_two() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    found = gate.show(scene.frame((60, 100), (72, 100)))
    assert len(found.scores) == 2
    assert sorted(np.rint(found.boxes_px[:, [0, 2]].mean(axis=1)).tolist()) == pytest.approx([60, 72], abs=3)
    whole = camera(split=False)
    whole.learn(scene)
    assert len(whole.show(scene.frame((60, 100), (72, 100))).scores) == 1


def test_one_behind_another_is_told_by_the_size_that_walkers_have() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    for n in range(60):
        gate.show(scene.frame((20 + 2 * n, 60 + n)))
    found = gate.show(scene.frame((96, 100), (90, 76)))
    assert len(found.scores) == 2
    assert sorted(found.boxes_px[:, 3].tolist()) == pytest.approx([76, 100], abs=14)


def test_each_stream_has_its_background_and_a_new_epoch_begins_anew() -> None:
    model = MotionSegmenter(ModelConfig(name="motion"))
    first, second = Camera(model, "first"), Camera(model, "second")
    street, yard = Scene(), Scene(seed=4)
    for _ in range(25):
        refs = [first.ref(first.seq), second.ref(second.seq)]
        first.seq, second.seq = first.seq + 1, second.seq + 1
        assert not any(
            len(found.scores) for found in model.segment_refs(refs, [street.frame(), yard.frame()])
        )
    assert (
        len(first.show(street.frame((60, 100))).scores) == len(second.show(yard.frame((60, 100))).scores) == 1
    )
    first.epoch = 1
    assert not len(first.show(yard.frame((60, 100))).scores)  # it learns
    assert len(second.show(yard.frame((80, 100))).scores) == 1


def test_frames_of_a_batch_are_taken_in_the_order_of_their_numbers_and_late_ones_teach_nothing() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    frames = {seq: scene.frame((20 + 4 * (seq - 25), 100)) for seq in (25, 26, 27)}
    found = gate.model.segment_refs(
        [gate.ref(seq) for seq in (27, 25, 26)], [frames[s] for s in (27, 25, 26)]
    )
    assert [round(float(one.boxes_px[0, 0])) for one in found] == pytest.approx([21, 13, 17], abs=2)
    late = gate.show(Planes.from_rgb(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), seq=26)
    np.testing.assert_array_equal(late.boxes_px, found[0].boxes_px)


def test_pictures_without_numbers_follow_each_other() -> None:
    scene, model = Scene(), MotionSegmenter(ModelConfig(name="motion", motion=MotionConfig(learn_s=1.0)))
    model.warm_up()
    found = model.segment([scene.frame() for _ in range(40)]) + model.segment([scene.frame((60, 100))])
    assert [len(one.scores) for one in found] == [0] * 40 + [1]


def test_a_stream_that_changes_its_size_is_learnt_anew() -> None:
    scene, gate = Scene(), camera()
    gate.learn(scene)
    half = Planes.from_rgb(cv2.resize(scene.frame((60, 100)).to_rgb(), (WIDTH // 2, HEIGHT // 2)))
    assert not len(gate.show(half).scores)


def test_all_that_moves_is_of_one_class_with_the_name_that_is_wanted() -> None:
    assert registry.classes_of(ModelConfig(name="motion")) == ("moving",)
    model = registry.load(ModelConfig(name="motion", classes=("person",)))
    assert isinstance(model, MotionSegmenter)
    assert model.classes == ("person",) and model.device == "cpu"
    with pytest.raises(ModelError, match="got person, car; motion finds one class"):
        registry.load(ModelConfig(name="motion", classes=("person", "car")))


# Blobs and sizes, without pictures


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    mask = np.zeros((100, 160), np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = 255
    return mask


def test_threads_are_no_objects() -> None:
    tape, person = (10, 20, 70, 23), (100, 20, 110, 50)
    (found,) = components(mask_of(tape, person), min_area=150, max_area=5000)
    assert (found.x, found.y, found.width, found.height, found.area) == (100, 20, 10, 30, 300)


def test_the_size_of_walkers_follows_the_perspective_and_groups_do_not_spoil_it() -> None:
    rng = np.random.default_rng(0)
    sizes = ObjectSizeModel()
    for n in range(200):
        foot = float(rng.uniform(50, 200))
        height = (10 + 0.3 * foot) * float(rng.normal(1, 0.05))
        width = 0.35 * height * (1.8 if n % 4 == 0 else 1.0)  # every fourth is a couple
        sizes.add(foot, width, height, 0.6 * 0.35 * height * height)
    sizes.add(100, 90, 30, 1000)  # a car
    size = sizes.size_at(100)
    assert size is not None
    assert size.height == pytest.approx(40, rel=0.05)
    assert size.width == pytest.approx(14, rel=0.1)


def test_objects_of_all_sizes_teach_no_size() -> None:
    rng = np.random.default_rng(0)
    sizes = ObjectSizeModel()
    for _ in range(200):
        height = float(rng.uniform(10, 120))
        sizes.add(float(rng.uniform(50, 200)), 0.4 * height, height, height * height / 5)
    assert sizes.size_at(100) is None


@given(
    boxes=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(4, 30), st.integers(4, 40)),
        min_size=1,
        max_size=6,
    ),
    known=st.booleans(),
)
def test_splitting_shares_out_every_pixel_once(boxes: list[tuple[int, ...]], known: bool) -> None:
    mask = mask_of(*((x, y, x + w, y + h) for x, y, w, h in boxes))
    size = ObjectSize(10.0, 26.0, 170.0) if known else None
    for blob in components(mask, min_area=1, max_area=mask.size):
        shared = np.zeros(mask.shape, int)
        for part in split_group(blob, lambda foot: size):
            shared[part.y : part.foot, part.x : part.x + part.width] += part.mask > 0
            assert part.mask.any(axis=1)[[0, -1]].all() and part.mask.any(axis=0)[[0, -1]].all()
        whole = np.zeros(mask.shape, int)
        whole[blob.y : blob.foot, blob.x : blob.x + blob.width] = blob.mask > 0
        np.testing.assert_array_equal(shared, whole)


def test_a_van_is_not_split() -> None:
    van = mask_of((20, 30, 90, 70))
    van[30:45, 20:35] = 0  # its bonnet
    (blob,) = components(van, 100, 9000)
    assert len(split_group(blob, lambda foot: None)) == 1


def test_edges_agree_with_themselves_in_another_light_and_not_with_others() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 2, 20, 20)).astype(np.float32)
    inside = np.ones((20, 20), bool)
    assert gradient_agreement(one, one * 1.3, inside) > 0.9
    assert abs(gradient_agreement(one, other, inside)) < 0.3
    assert gradient_agreement(one * 0, one * 0, inside) == 0
    assert Blob(0, 0, np.full((3, 3), 255, np.uint8)).outline.sum() == 8


@pytest.mark.slow
def test_people_of_a_real_clip_are_found(shared_data: Path) -> None:
    av = pytest.importorskip("av")
    truth = np.loadtxt(shared_data / "mot15/PETS09-S2L1/gt.txt", delimiter=",")
    model, hit, people = MotionSegmenter(ModelConfig(name="motion")), 0, 0
    with av.open(str(shared_data / "clips/pets09-s2l1.avi")) as clip:
        for seq, picture in enumerate(clip.decode(video=0)):
            if seq == 160:
                break
            planes = Planes.from_rgb(picture.to_ndarray(format="rgb24"))
            (found,) = model.segment_refs([Camera(model).ref(seq)], [planes])
            if seq < 60:
                continue
            boxes = truth[truth[:, 0] == seq + 1][:, 2:6]
            for x, y, w, h in boxes:
                mine = found.boxes_px
                sides = np.minimum(mine[:, 2:], [x + w, y + h]) - np.maximum(mine[:, :2], [x, y])
                inter = sides.clip(0).prod(axis=1)
                union = w * h + (mine[:, 2:] - mine[:, :2]).prod(axis=1) - inter
                hit += bool((inter / union >= 0.5).any())
                people += 1
    assert hit / people > 0.6
