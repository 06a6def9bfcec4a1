"""The network to be trained: what it keeps of the weights it starts from, and what stays frozen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.detection import maskrcnn_resnet50_fpn

from pipeline.errors import ConfigError
from pipeline.finetuning.new_heads import LossNetwork, start_network
from pipeline.finetuning.settings import Settings
from pipeline.models.maskrcnn.loader import load_network
from pipeline.models.maskrcnn.preprocess import RgbPreprocessor
from pipeline.models.maskrcnn.weight_file import save_weight_file
from pipeline.models.maskrcnn.zoo import STREET_FILE


def test_known_classes_keep_their_rows_and_new_ones_begin_at_the_mean_of_the_boxes_and_masks() -> None:
    old, known, _ = load_network(None, score=0.5, nms=0.5)
    start = start_network(None, ["pallet", "bus"], seed=1)
    bus = known.names.index("bus") + 1
    old_heads, heads = old.roi_heads, start.model.roi_heads
    assert start.kept == ("bus",)
    assert heads.box_predictor.cls_score.weight.shape[0] == 3
    for new_row, old_row in ((0, 0), (2, bus)):
        assert torch.equal(
            heads.box_predictor.cls_score.weight[new_row], old_heads.box_predictor.cls_score.weight[old_row]
        )
        assert torch.equal(
            heads.box_predictor.bbox_pred.weight[4 * new_row : 4 * new_row + 4],
            old_heads.box_predictor.bbox_pred.weight[4 * old_row : 4 * old_row + 4],
        )
    masks = old_heads.mask_predictor.mask_fcn_logits.weight
    torch.testing.assert_close(heads.mask_predictor.mask_fcn_logits.weight[1], masks[1:].mean(0))


def test_new_weights_follow_from_the_seed() -> None:
    first, again, other = (
        start_network(None, ["pallet"], seed).model.roi_heads.box_predictor.cls_score.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first[1], other[1])


@pytest.mark.parametrize(("freeze", "last"), [(0, None), (1, 1), (3, 6), (5, 15)])
def test_frozen_stages_have_no_gradient_and_keep_their_statistics(freeze: int, last: int | None) -> None:
    network = LossNetwork(start_network(None, ["pallet"], 1), freeze, adapt_norms=True).train()
    for name, layer in network.model.backbone.body.named_children():
        frozen = last is not None and int(name) <= last
        assert all(value.requires_grad != frozen for value in layer.parameters())
        assert all(one.training != frozen for one in layer.modules() if isinstance(one, nn.BatchNorm2d))


def test_batch_norms_that_do_not_adapt_keep_their_statistics_everywhere() -> None:
    network = LossNetwork(start_network(None, ["pallet"], 1), 0, adapt_norms=False).train()
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    assert norms
    assert not any(one.training for one in norms)


def test_the_small_network_has_no_other_input() -> None:
    with pytest.raises(ConfigError, match="input of street has a fixed size"):
        Settings.for_weights(small=True, classes=("pallet",), shortest=480)
    assert Settings.for_weights(small=False, classes=("pallet",), shortest=480).shortest == 480


@pytest.mark.slow
def test_a_large_network_is_stored_with_its_classes_and_the_size_of_its_input(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    save_weight_file(tmp_path / "two.safetensors", model, ["cat", "dog"], (800, 1333))
    start = start_network(tmp_path / "two.safetensors", ["dog", "pallet"], 1, shortest=96)
    assert (start.kept, start.compact) == (("dog",), False)
    network = LossNetwork(start, 2, adapt_norms=False)
    frozen = {
        name for name, value in network.model.backbone.body.named_parameters() if not value.requires_grad
    }
    assert {name.split(".")[0] for name in frozen} == {"conv1", "bn1", "layer1"}
    sides = (start.model.transform.min_size[0], start.model.transform.max_size)
    save_weight_file(tmp_path / "own.safetensors", start.model, ["dog", "pallet"], sides)
    again, classes, preprocessor = load_network(tmp_path / "own.safetensors", score=0.5, nms=0.5)
    assert classes.names == ("dog", "pallet")
    assert isinstance(preprocessor, RgbPreprocessor)
    assert preprocessor.letterbox(1920, 1080)[0].inner_height == 90  # its longer side is the limit: 160
    torch.testing.assert_close(
        again.roi_heads.box_predictor.cls_score.weight, start.model.roi_heads.box_predictor.cls_score.weight,
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip


def test_the_weights_that_ship_are_found_by_their_file_too() -> None:
    assert start_network(STREET_FILE, ["pallet"], 1).compact
