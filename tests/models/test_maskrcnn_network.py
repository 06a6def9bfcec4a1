"""The inference path gives what torchvision's own forward gives, with its paste; and what it does when it cannot."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign, box_iou

from pipeline.demo.scene.world import Scene
from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, MEAN, STD, build_compact_net
from pipeline.models.maskrcnn.compact_weights import load_weights, set_weights
from pipeline.models.maskrcnn.device import choose_precision, cpu_has_bf16
from pipeline.models.maskrcnn.fuse import FusedConv2d, can_pack, fuse, pack
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.network_output import BegunBatch
from pipeline.models.maskrcnn.preprocess import Preprocessor, RgbPreprocessor, YuvPreprocessor
from pipeline.models.maskrcnn.roi_align import FeaturePyramid, LevelAssignment
from pipeline.models.maskrcnn.upload import flatten
from pipeline.models.maskrcnn.zoo import STREET_FILE
from pipeline.stages.instances import NOT_FINITE, instances_of
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes, planes_bytes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def scene(width: int, height: int, seed: int = 20_001) -> Planes:
    return Planes.from_rgb(Scene.from_seed(seed, width=width, height=height).frame(200).image)


def rgb(frame: Planes) -> Tensor:
    """(3, H, W) float32, 0..1: what torchvision takes."""
    return torch.from_numpy(frame.to_rgb()).permute(2, 0, 1).float() / 255


def numbered(labels: int) -> ClassMap:
    return ClassMap.from_names({label: f"class{label}" for label in range(1, labels)})


def unrounded(model: MaskRcnn, frame: Planes) -> Tensor:
    """(N, 28, 28) float32: the masks before they become uint8."""
    upload = model._uploader.start([frame])
    size = (upload.letterbox.inner_width, upload.letterbox.inner_height)
    return model._network(model._uploader.finish(upload), size).masks


def pasted(found: Detections, frame: Planes, grids: Tensor | None = None) -> NDArray[np.bool_]:
    """(N, H, W): our 28x28 masks in the frame, pasted by torchvision."""
    grids = (torch.from_numpy(found.masks).float() / 255 if grids is None else grids)[:, None]
    boxes = torch.from_numpy(found.boxes_px)
    return np.asarray(paste_masks_in_image(grids, boxes, (frame.height, frame.width))[:, 0].numpy() > 0.5)


def assert_same(
    found: Detections, frame: Planes, reference: dict[str, Tensor], grids: Tensor | None = None
) -> None:
    """Every instance of torchvision is there: box IoU and mask IoU 0.99 at least, scores within 1e-3."""
    assert len(found.scores) == len(reference["scores"])
    overlaps = box_iou(reference["boxes"], torch.from_numpy(found.boxes_px))
    overlaps[reference["labels"][:, None] != torch.from_numpy(found.class_ids)[None] + 1] = 0
    apart = (reference["scores"][:, None] - torch.from_numpy(found.scores)[None]).abs()
    masks, true = pasted(found, frame, grids), (reference["masks"][:, 0] > 0.5).numpy()
    for row in range(len(true)):
        column = int((overlaps[row] - apart[row]).argmax())
        assert overlaps[row, column] >= 0.99
        assert apart[row, column] <= 1e-3
        union = (masks[column] | true[row]).sum()
        assert union == 0 or (masks[column] & true[row]).sum() / union >= 0.99


@pytest.mark.parametrize("builder", [maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2])
def test_torchvisions_models_give_what_their_own_forward_gives(builder: type[MaskRCNN]) -> None:
    torch.manual_seed(1)
    model = builder(
        weights=None,
        weights_backbone=None,
        num_classes=6,
        min_size=128,
        max_size=224,
        rpn_post_nms_top_n_test=60,
        box_score_thresh=0.0,
        box_detections_per_img=50,
    ).eval()
    frame = scene(400, 226)
    with torch.inference_mode():
        (reference,) = model([rgb(frame)])
    transform = model.transform
    how = RgbPreprocessor(128, 224, transform.image_mean, transform.image_std)
    ours = MaskRcnn(copy.deepcopy(model), numbered(6), how, CPU)
    (found,) = ours.segment([frame])
    assert len(reference["scores"]) == 50
    # Untrained masks are 0.5 nearly everywhere, where the rounding to uint8 decides: compared before it.
    assert_same(found, frame, reference, unrounded(ours, frame))


def test_the_model_that_ships_gives_what_torchvisions_forward_gives() -> None:
    tensors, names = load_weights(STREET_FILE)
    model = build_compact_net(len(names), score=0.3, nms=0.6)
    set_weights(model, tensors, STREET_FILE)
    scale = [value / 255 for value in MEAN], [value / 255 for value in STD]
    model.transform = GeneralizedRCNNTransform(INPUT_SIZE[1], INPUT_SIZE[0], *scale)
    model.eval()
    frame = scene(*INPUT_SIZE)
    image = YuvPreprocessor().preprocess_cpu([frame], *YuvPreprocessor().letterbox(*INPUT_SIZE))[0]
    image = image * torch.tensor(scale[1])[:, None, None] + torch.tensor(scale[0])[:, None, None]
    with torch.inference_mode():
        (reference,) = model([image])
    (found,) = MaskRcnn.load(device="cpu", score=0.3, nms=0.6).segment([frame])
    assert len(reference["scores"]) > 3
    assert_same(found, frame, reference)


# -- the parts -------------------------------------------------------------------------------------------


def test_regions_are_pooled_as_torchvision_does_also_beyond_the_edge() -> None:
    torch.manual_seed(0)
    features = [torch.randn(2, 8, 96 // stride, 128 // stride) for stride in (4, 8, 16, 32)]
    corner = torch.rand(200, 2) * torch.tensor([128.0, 96.0])
    boxes = torch.cat((corner, corner + torch.rand(200, 2) * 120 + 0.01), 1)
    boxes[:3] = torch.tensor([[0, 0, 128, 96], [127.9, 95.9, 128, 96], [5, 5, 5.01, 90]])
    images = torch.arange(200) % 2
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2, canonical_scale=60)
    named = {str(number): one for number, one in enumerate(features)}
    parts = [boxes[images == 0], boxes[images == 1]]
    expected = pool(named, parts, [(96, 128)] * 2)
    levels = LevelAssignment((4, 8, 16, 32), 60.0, pool.canonical_level)
    order = torch.argsort(images, stable=True)
    pooled = FeaturePyramid(features).roi_align(boxes[order], images[order], levels, 7)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-4)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.end = nn.Conv2d(4, 4, 1)
        self.act = nn.Hardswish()

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.two(self.one(x)) + x)
        return hidden + self.act(self.end(hidden)) + self.end(self.one(hidden))  # type: ignore[no-any-return]


@pytest.mark.parametrize("packed", [False, pytest.param(True, marks=pytest.mark.skipif(
    not can_pack(), reason="this PyTorch has no fused convolutions of oneDNN"))])  # fmt: skip
def test_fused_network_computes_the_same(packed: bool) -> None:
    torch.manual_seed(0)
    block = _Block().eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    image = torch.randn(2, 4, 9, 7)
    with torch.inference_mode():
        expected = block(image)
        fused = fuse(copy.deepcopy(block)).requires_grad_(False)
        if packed:
            pack(fused)
        torch.testing.assert_close(fused(image.clone()), expected, rtol=1e-4, atol=1e-5)
    kinds = {type(module) for module in fused.modules()}
    assert FusedConv2d in kinds and nn.BatchNorm2d not in kinds and nn.ReLU not in kinds


def test_folding_the_batch_norms_of_the_model_that_ships_changes_nothing_that_counts() -> None:
    torch.manual_seed(0)
    model = build_compact_net(4).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = model.backbone(image)["1"]
        fused = fuse(model.backbone).requires_grad_(False)
        after = fused(image)["1"]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (641, 361), (120, 200)])
@pytest.mark.parametrize(
    "how", [YuvPreprocessor(), RgbPreprocessor(200, 333, (0.5, 0.4, 0.3), (0.25, 0.2, 0.22))]
)
def test_frames_are_scaled_on_the_device_as_on_the_host(how: Preprocessor, width: int, height: int) -> None:
    frame = scene(width, height)
    box, size = how.letterbox(width, height)
    preprocess_cpu = how.preprocess_cpu([frame, frame], box, size)
    flat = np.empty((2, planes_bytes(width, height)), np.uint8)
    flatten([frame, frame], flat)
    preprocess_cuda = how.preprocess_cuda(torch.from_numpy(flat), width, height, box, size, torch.float32)
    assert preprocess_cpu.shape == preprocess_cuda.shape == (2, 3, size[1], size[0])
    assert preprocess_cpu.is_contiguous(memory_format=torch.channels_last)
    assert preprocess_cuda.is_contiguous(memory_format=torch.channels_last)
    one_grey_level = 1.05 / (20 if isinstance(how, YuvPreprocessor) else 0.2 * 255)
    assert (preprocess_cpu - preprocess_cuda).abs().max() <= one_grey_level


def test_input_of_a_stream_always_has_one_shape_as_torchvision_would_choose() -> None:
    how = RgbPreprocessor(800, 1333, (0.5,) * 3, (0.2,) * 3)
    box, size = how.letterbox(1920, 1080)
    assert (box.inner_width, box.inner_height) == (1333, 749) and size == (1344, 768)
    assert how.letterbox(1920, 1080) == (box, size)


# -- what may go wrong -----------------------------------------------------------------------------------


@pytest.fixture
def street() -> MaskRcnn:
    return MaskRcnn.load(device="cpu")


def small_memory(model: MaskRcnn, frames: int, error: Exception) -> list[int]:
    """Lets the model have memory for so many frames. Returns the list of batches that it tries."""
    start, tried = model._network.start, []

    def limited(images: Tensor, size: tuple[int, int]) -> BegunBatch:
        tried.append(len(images))
        if len(images) > frames:
            raise error
        return start(images, size)

    model._network.start = limited  # type: ignore[method-assign]
    return tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 90.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        MemoryError(),
    ],
)
def test_a_batch_that_memory_does_not_hold_is_cut_for_good_and_it_says_so(
    street: MaskRcnn, error: Exception
) -> None:
    frames = [scene(320, 180)] * 4
    expected = street.segment(frames[:1])[0]
    tried = small_memory(street, 1, error)
    found = street.segment(frames)
    assert [len(one.scores) for one in found] == [len(expected.scores)] * 4
    assert tried == [4, 2, 1, 1, 2, 1, 1]
    assert street.device == "cpu, batch reduced to 1 for lack of memory"
    del tried[:]
    street.segment(frames)
    assert tried == [1, 1, 1, 1]


def test_one_frame_that_memory_does_not_hold_is_told_in_one_line(street: MaskRcnn) -> None:
    small_memory(street, 0, torch.OutOfMemoryError("CUDA out of memory.\nSome more lines"))
    with pytest.raises(ModelError, match="not enough memory for one frame of 320x180") as caught:
        street.segment([scene(320, 180)])
    assert "\n" not in str(caught.value)


def test_another_error_is_not_taken_for_want_of_memory(street: MaskRcnn) -> None:
    small_memory(street, 0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        street.segment([scene(320, 180)])


def spoil_anchors(model: MaskRcnn, spoil: Callable[[list[Tensor]], None]) -> None:
    """Lets `spoil` change the outputs of the RPN head, for each level (B, 5 a, h, w)."""
    image_stage = model._network._image_stage

    def run(images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features, outputs = image_stage(images)
        spoil(outputs)
        return features, outputs

    model._network._image_stage = run


def spoil_proposals(model: MaskRcnn, count: int) -> None:
    """The box head gives NaN for the first `count` proposals of a batch."""
    predict = model._network._box_predictor

    def run(hidden: Tensor) -> Tensor:
        out = predict(hidden)
        out[0, 3, :count, 0] = float("nan")
        return out

    model._network._box_predictor = run  # type: ignore[assignment]


def test_an_anchor_that_is_not_finite_is_left_out_and_nothing_else(street: MaskRcnn) -> None:
    def spoil(outputs: list[Tensor]) -> None:
        outputs[0][0, 0, 0, 0] = float("nan")  # objectness of the first anchor
        outputs[1][0, 5, 0, 0] = float("-inf")

    spoil_anchors(street, spoil)
    first, second = street.segment([scene(640, 360)] * 2)
    assert (first.non_finite, first.invalid) == (2, False)
    assert (second.non_finite, second.invalid) == (0, False)
    np.testing.assert_array_equal(first.boxes_px, second.boxes_px)
    assert len(first) > 0


def test_proposals_that_are_not_finite_are_left_out(street: MaskRcnn) -> None:
    spoil_proposals(street, 40)
    first, second = street.segment([scene(640, 360)] * 2)
    assert (first.non_finite, first.invalid) == (40, False)
    assert (second.non_finite, second.invalid) == (0, False)
    assert 0 < len(first) <= len(second)
    assert np.isfinite(first.boxes_px).all() and np.isfinite(first.scores).all()


def test_a_mask_that_is_not_finite_costs_its_object(street: MaskRcnn) -> None:
    expected = street.segment([scene(640, 360)])[0]
    masks = street._network._masks

    def broken(*arguments: Any) -> Tensor:
        answer = masks(*arguments)
        answer[0, 2, 2] = float("nan")
        return answer

    street._network._masks = broken  # type: ignore[method-assign]
    (found,) = street.segment([scene(640, 360)])
    assert len(found) == len(expected) - 1 > 0
    assert (found.non_finite, found.invalid) == (1, False)


@pytest.mark.parametrize("part", ["anchors", "proposals"])
def test_an_image_without_any_finite_number_is_unusable_and_no_other(street: MaskRcnn, part: str) -> None:
    def spoil(outputs: list[Tensor]) -> None:
        for level in outputs:
            level[0] = float("nan")

    if part == "anchors":
        spoil_anchors(street, spoil)
    else:
        spoil_proposals(street, 100)  # so many there are in each image
    first, second = street.segment([scene(640, 360)] * 2)
    assert first.invalid and not second.invalid and len(second) > 0
    ref = FrameRef(
        stream="a", epoch=0, seq=0, index=0, pts_s=0.0, wall_s=0.0, width=640, height=360, slot=0, ring=""
    )
    assert instances_of(ref, first).skipped == NOT_FINITE


def test_precision_is_what_the_device_can_do() -> None:
    expected = torch.bfloat16 if cpu_has_bf16() else torch.float32
    assert choose_precision("auto", CPU, small=False) == expected
    assert choose_precision("auto", CPU, small=True) == torch.float32
    assert choose_precision("bf16", CPU, small=True) == torch.bfloat16
    with pytest.raises(ModelError, match="fp16 is for CUDA"):
        choose_precision("fp16", CPU, small=False)
    with pytest.raises(ModelError, match="got fp8, expected auto, fp32, bf16, fp16"):
        choose_precision("fp8", CPU, small=False)


def test_batches_one_after_another_give_what_they_give_alone(street: MaskRcnn) -> None:
    frames = [scene(320, 180), scene(200, 300), scene(320, 180, seed=20_002)]
    alone = [street.segment([frame])[0] for frame in frames]
    batches = list(street.stream([frames[:2], [], frames[2:]]))
    assert [len(batch) for batch in batches] == [2, 0, 1]
    for one, other in zip([*batches[0], *batches[2]], alone, strict=True):
        np.testing.assert_allclose(one.boxes_px, other.boxes_px, atol=0.05)
