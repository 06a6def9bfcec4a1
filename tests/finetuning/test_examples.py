"""Examples: masks and boxes go through augmentation together, and a position always gives the same example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchvision.transforms import v2

from pipeline.finetuning.examples import Examples, Target, batches
from pipeline.finetuning.settings import Settings
from pipeline.finetuning.transforms import augmentation, transformed
from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.preprocess import RgbPreprocessor, YuvPreprocessor
from tests.finetuning import toys


def test_boxes_lie_around_what_is_left_of_the_masks() -> None:
    image, things = toys.picture(3)
    masks = np.stack([mask for _, mask in things])
    transform = augmentation()
    for seed in range(30):
        torch.manual_seed(seed)
        new, left, class_ids, boxes = transformed(image, masks, np.array([0, 1]), transform)
        assert left.shape[1:] == new.shape[:2]
        assert len(left) == len(class_ids) == len(boxes)
        for mask, box in zip(left, boxes, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert set(np.unique(mask)) <= {0, 1}


def test_a_mirrored_image_has_mirrored_masks() -> None:
    image, things = toys.picture(3)
    masks = np.stack([mask for _, mask in things])
    new, left, _, boxes = transformed(image, masks, np.array([0, 1]), v2.RandomHorizontalFlip(1.0))
    assert (new == image[:, ::-1]).all()
    assert (left == masks[:, :, ::-1]).all()
    assert boxes[0, 0] > toys.SIZE[0] / 2


def test_objects_that_a_crop_leaves_out_are_no_longer_to_be_found() -> None:
    image, things = toys.picture(3)
    masks = np.stack([mask for _, mask in things])
    _, left, class_ids, _ = transformed(image, masks, np.array([0, 1]), v2.CenterCrop((10, 10)))
    assert (len(left), len(class_ids)) == (0, 0)


def test_a_position_gives_the_same_example_whoever_prepares_it(tmp_path: Path) -> None:
    data = toys.data(tmp_path)
    settings = Settings(data.classes, steps=3, batch=2)
    examples = Examples(data.train, YuvPreprocessor(), settings)
    torch.manual_seed(5)
    first = [batch.images for batch in batches(examples, settings, 0, 0, 0)]
    torch.rand(7)
    again = [batch.images for batch in batches(examples, settings, 1, 0, 0)]
    assert all(torch.equal(one, other) for one, other in zip(first[1:], again, strict=True))
    assert not torch.equal(first[0], first[1])


def test_devices_share_the_images_of_a_step(tmp_path: Path) -> None:
    data = toys.data(tmp_path)
    alone = Settings(data.classes, steps=1, batch=2, augment=False)
    team = Settings(data.classes, steps=1, batch=1, devices=2, augment=False)
    (whole,) = batches(Examples(data.train, YuvPreprocessor(), alone), alone, 0, 0, 0)
    parts = [
        next(batches(Examples(data.train, YuvPreprocessor(), team), team, 0, rank, 0)) for rank in (0, 1)
    ]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))


def test_each_image_comes_once_in_a_round(tmp_path: Path) -> None:
    data = toys.data(tmp_path, train=4)
    examples = Examples(data.train, YuvPreprocessor(), Settings(data.classes))
    rounds = [[examples.index(4 * number + place) for place in range(4)] for number in range(6)]
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_large_images_are_scaled_down_with_their_masks_and_small_ones_are_not(tmp_path: Path) -> None:
    data = toys.data(tmp_path)
    preprocessor = RgbPreprocessor(32, 64, (0.5,) * 3, (0.2,) * 3)
    examples = Examples(data.train, preprocessor, Settings(data.classes, augment=False))
    _, target = examples[0]
    assert target.masks.shape[1:] == (48, 80)  # one and a half times the input
    _, target = Examples(data.train, YuvPreprocessor(), Settings(data.classes, augment=False))[0]
    assert target.masks.shape[1:] == (toys.SIZE[1], toys.SIZE[0])


def test_targets_of_the_mask_head_are_the_share_that_an_object_covers() -> None:
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[1, :, :3] = 1
    target = Target(
        Letterbox(0, 0, 16, 16, 2.0, 2.0), np.zeros((2, 4), np.float32), np.zeros(2, np.int64), masks
    )
    rois = np.array([[0, 0, 8, 8], [0, 0, 8, 8]], np.float32)
    cells = target.mask_targets(np.array([0, 1]), rois, 2)
    assert cells[0].tolist() == [[0, 0], [0, 0]]
    assert cells[1].tolist() == [[1, 0.5], [1, 0.5]]
