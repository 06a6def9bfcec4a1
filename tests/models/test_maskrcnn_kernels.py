"""The GPU kernels against their plain counterparts: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.ops import nms

from pipeline.demo.scene.world import Scene
from pipeline.models.appearance import appearance_descriptors
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn import fixed_regions, network, preprocess, recorded, roi_align
from pipeline.models.maskrcnn.fuse import FusedConv2d, fuse
from pipeline.models.maskrcnn.heads import BoxHead, ImageStage, LinearBoxHead
from pipeline.models.maskrcnn.kernels.support import LARGEST_GROUP, usable
from pipeline.models.maskrcnn.loader import load_network
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.preprocess import RgbPreprocessor
from pipeline.models.maskrcnn.recorded import Recorder
from pipeline.models.maskrcnn.roi_align import LevelAssignment
from pipeline.models.maskrcnn.upload import flatten
from pipeline.transport.planes import Planes, planes_bytes

pytest.importorskip("triton", reason="Triton is missing: it comes with PyTorch for Linux")
DEVICE = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning:triton")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def channels_last(*shape: int, seed: int = 0) -> Tensor:
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.to(DEVICE).contiguous(memory_format=torch.channels_last)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("other", ["none", "same", "half"])
def test_what_follows_a_convolution_is_done_in_one_pass(activation: str, other: str) -> None:
    from pipeline.models.maskrcnn.kernels.convolution import add_bias

    images, bias = channels_last(2, 24, 6, 10), channels_last(24, 1, 1, 1)[:, 0, 0, 0]
    added = {"none": None, "same": channels_last(2, 24, 6, 10, seed=1), "half": channels_last(2, 24, 3, 5)}[
        other
    ]
    expected = images + bias[:, None, None]
    if added is not None:
        expected = expected + F.interpolate(added, (6, 10))
    found = add_bias(images.clone(memory_format=torch.channels_last), bias, added, activation)
    torch.testing.assert_close(found, ACTIVATIONS[activation](expected), atol=1e-5, rtol=1e-5)


def test_what_is_not_finite_stays_so() -> None:
    from pipeline.models.maskrcnn.kernels.convolution import add_bias, pool_relu

    images, bias = channels_last(1, 8, 7, 10), torch.ones(8, device=DEVICE)
    images[0, 0, 3, 4] = torch.nan
    for activation in ACTIVATIONS:
        found = add_bias(images.clone(memory_format=torch.channels_last), bias, None, activation)
        assert int(found.isnan().sum()) == 1
    expected = F.max_pool2d(F.relu(images + bias[:, None, None]), 3, 2, 1)
    torch.testing.assert_close(pool_relu(images, bias), expected, equal_nan=True)
    assert expected.isnan().any()


@pytest.mark.parametrize("labelled", [False, True])
def test_boxes_are_suppressed_as_by_torchvision_however_long_the_chain(labelled: bool) -> None:
    from pipeline.models.maskrcnn.kernels.suppression import suppress

    generator = torch.Generator().manual_seed(1)
    groups, count = 5, 100
    corner = torch.rand(groups, count, 2, generator=generator) * 60
    boxes = torch.cat((corner, corner + 10 + 20 * torch.rand(groups, count, 2, generator=generator)), -1)
    left = 10.0 * torch.arange(count)  # the last group is one chain: each box overlaps its neighbours alone
    boxes[-1] = torch.stack((left, torch.zeros(count), left + 25, torch.ones(count)), -1)
    valid = torch.rand(groups, count, generator=generator) < 0.9
    valid[-1] = True
    labels = torch.randint(0, 3, (groups, count), generator=generator)
    labels[-1] = 1
    expected = torch.zeros_like(valid)
    for group in range(groups):
        for label in range(3) if labelled else [None]:
            rows = (valid[group] if label is None else valid[group] & (labels[group] == label)).nonzero()[
                :, 0
            ]
            expected[group, rows[nms(boxes[group, rows], torch.linspace(1, 0.1, len(rows)), 0.4)]] = True
    found = suppress(boxes.to(DEVICE), valid.to(DEVICE), 0.4, labels.to(DEVICE) if labelled else None)
    assert torch.equal(found.cpu(), expected)
    assert expected[-1].tolist() == [True, False] * (count // 2)


def test_regions_are_pooled_as_from_the_table_of_pixels() -> None:
    from pipeline.models.maskrcnn.kernels import roi_align as kernel

    levels = LevelAssignment((4, 8, 16, 32), 224.0, 4)
    features = [channels_last(2, 24, 192 // stride, 336 // stride) for stride in levels.strides]
    corner = torch.rand(12, 2) * torch.tensor([336.0, 192.0])
    boxes = torch.cat((corner, corner + torch.rand(12, 2) * 150 + 0.01), 1)
    boxes[:4] = torch.tensor([[0, 0, 336, 192], [335.9, 191.9, 336, 192], [5, 5, 5.01, 90], [0, 0, 0, 0]])
    boxes, images = boxes.to(DEVICE), (torch.arange(12) % 2).to(DEVICE)
    found = kernel.roi_align(features, boxes, images, 7, stride=4, canonical_scale=224.0, canonical_level=4)
    expected = roi_align._PixelTable(features).roi_align(boxes, images, levels, 7)
    torch.testing.assert_close(found[4:], expected[4:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[:3], expected[:3], atol=1e-5, rtol=1e-5)
    assert not found[3].any(), "a region without area is padding"


def test_frames_become_the_same_input_of_odd_sides_as_well() -> None:
    from pipeline.models.maskrcnn.kernels.rgb_input import rgb_input

    how = RgbPreprocessor(40, 64, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for width, height in ((194, 108), (97, 131)):
        letterbox, size = how.letterbox(width, height)
        chroma = ((width + 1) // 2) * ((height + 1) // 2)
        raw = torch.randint(0, 256, (2, width * height + 2 * chroma), dtype=torch.uint8)
        inner = (letterbox.inner_width, letterbox.inner_height)
        found = rgb_input(
            raw.to(DEVICE), width, height, inner, size, how._mean, how._std, torch.float32
        ).cpu()
        expected = how.preprocess_cuda(raw, width, height, letterbox, size, torch.float32)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)  # a grey level is 0.017


def test_colours_are_opencvs() -> None:
    generator = np.random.default_rng(0)
    planes = Planes(
        *(generator.integers(0, 256, size, dtype=np.uint8) for size in ((90, 160), (45, 80), (45, 80)))
    )
    parts = (torch.from_numpy(plane)[None] for plane in (planes.y, planes.u, planes.v))
    found = preprocess.yuv420_to_rgb(*parts)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, planes.to_rgb())


def test_appearances_are_those_of_the_host() -> None:
    from pipeline.models.maskrcnn.kernels.appearance import appearance

    generator = np.random.default_rng(0)
    frames = [scene(160, 90), scene(160, 90)]
    raw = np.empty((2, planes_bytes(160, 90)), np.uint8)
    flatten(frames, raw)
    corner = generator.uniform(0, (120, 50), (12, 2))
    boxes = np.concatenate((corner, corner + generator.uniform(8, 60, (12, 2))), 1).astype(np.float32)
    boxes[3] = (-5, -5, 200, 100)
    masks = np.zeros((12, 28, 28), np.uint8)
    masks[:, 2:26, 4:24] = generator.integers(120, 256, (12, 24, 20))
    masks[4] = 255  # fills its box
    masks[5, :20] = 0  # hardly any cells of the upper part
    images = np.arange(12) % 2
    found = appearance(
        torch.from_numpy(raw).to(DEVICE),
        (160, 90),
        (2.0, 2.0),
        torch.from_numpy(boxes * 2).to(DEVICE),
        torch.from_numpy(images).to(DEVICE),
        torch.from_numpy(masks.astype(np.float32) / 255).to(DEVICE),
    ).cpu()
    inside = np.clip(boxes, 0, (160, 90, 160, 90)).astype(np.float32)
    for row in range(12):
        (expected,) = appearance_descriptors(frames[row % 2], inside[row : row + 1], masks[row : row + 1])
        np.testing.assert_allclose(found[row].numpy().astype(int), expected, atol=2)
        assert expected.any() == (row not in (4, 5))


# -- the whole network ------------------------------------------------------------------------------------


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are arranged as for a GPU, and use its kernels, which are interpreted."""
    if DEVICE.type == "cuda":
        pytest.skip("the interpreter is for machines without a GPU; here the real thing is tested")
    monkeypatch.setattr(network, "is_gpu", lambda device: True)
    for module in (network, fixed_regions, preprocess, roi_align):
        monkeypatch.setattr(module, "usable", lambda device: True)


def untrained(builder: Any) -> nn.Module:
    torch.manual_seed(3)
    model: nn.Module = builder(
        weights=None,
        weights_backbone=None,
        num_classes=4,
        rpn_pre_nms_top_n_test=60,
        rpn_post_nms_top_n_test=20,
        box_score_thresh=0.0,
        box_detections_per_img=10,
    ).eval()
    return model


def test_sums_with_what_is_enlarged_and_pooling_are_part_of_the_convolution() -> None:
    stage = ImageStage(untrained(maskrcnn_resnet50_fpn), 8)
    traced = fuse(copy.deepcopy(stage), for_gpu=True)
    fused = [module for module in traced.modules() if isinstance(module, FusedConv2d)]
    assert sum(module.enlarges for module in fused) == 3
    assert sum(module.pools for module in fused) == 1
    assert not [node for node in traced.graph.nodes if node.target is F.interpolate]
    images = channels_last(1, 3, 64, 96).cpu()
    with torch.inference_mode():
        features, outputs = stage(images)
        found, rpn = traced(images)
    for one, other in zip([*found, *rpn], [*features, *outputs], strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    assert {one.shape[1] for one in rpn} == {16} and not rpn[0][:, 15:].any(), "padded for tensor cores"


@pytest.mark.parametrize("builder", [maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2])
def test_linear_layers_of_the_box_head_give_what_convolutions_give(builder: Any) -> None:
    head = untrained(builder).roi_heads.box_head
    regions = channels_last(5, 256, 7, 7).cpu()
    with torch.inference_mode():
        expected = BoxHead(head, 7)(regions)[0, :, :, 0].t()
        torch.testing.assert_close(LinearBoxHead(head, 7)(regions), expected, atol=1e-5, rtol=1e-4)


def assert_equal(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 3
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes_px, expected.boxes_px, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(found.masks, expected.masks, atol=3)


def scene(width: int, height: int) -> Planes:
    return Planes.from_rgb(Scene.from_seed(20_001, width=width, height=height).frame(200).image)


def street(proposals: int) -> MaskRcnn:
    """The model that ships, with few proposals, since each of them takes the interpreter long."""
    model, classes, how = load_network(None, score=0.3, nms=0.6, names=None)
    model.rpn._pre_nms_top_n["testing"] = model.rpn._post_nms_top_n["testing"] = proposals
    return MaskRcnn(model, classes, how, DEVICE)


@pytest.mark.slow
@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_network_arranged_for_a_gpu_finds_what_the_cpus_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "INPUT_SIZE", (320, 192))  # the interpreter takes a minute for the whole
    frame, ours = scene(320, 180), street(8)
    assert ours._network.fixed_tables and ours._network._linear is not None
    convolutions = [one for one in ours._network._mask_head.modules() if isinstance(one, FusedConv2d)]
    assert convolutions and all(one.kernels for one in convolutions)
    (found,) = ours.segment([frame])
    monkeypatch.undo()
    monkeypatch.setattr(preprocess, "INPUT_SIZE", (320, 192))
    assert_equal(found, street(8).segment([frame])[0])


def test_on_a_cpu_the_kernels_are_not_tried(caplog: pytest.LogCaptureFixture) -> None:
    assert not usable(torch.device("cpu")) and not caplog.records


def test_where_they_cannot_be_compiled_one_line_says_so_and_they_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*given: Any, **named: Any) -> Tensor:
        raise RuntimeError("Failed to find C compiler\nmore")

    usable.cache_clear()
    monkeypatch.setattr(torch, "zeros", failing)
    assert not usable(torch.device("cuda:7"))
    usable.cache_clear()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "Failed to find C compiler" in line and "slower" in line and "\n" not in line


def test_groups_that_the_kernel_cannot_hold_take_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_regions, "usable", lambda device: True)
    count = LARGEST_GROUP + 1
    boxes = (torch.arange(count)[None, :, None] * 10.0 + torch.tensor([0.0, 0.0, 5.0, 5.0])).contiguous()
    kept, settled = fixed_regions._suppressed(boxes, torch.ones(1, count, dtype=torch.bool), 0.5)
    assert kept.all() and settled.all()


# -- recording --------------------------------------------------------------------------------------------


def run_again(run: Callable[[], Any], pool: Any) -> tuple[Callable[[], None], Any]:
    """Stands in for CUDA: runs the function again, and writes into the output of the first time."""
    output = run()
    return (lambda: _overwrite(output, run())), output


def _overwrite(old: Any, new: Any) -> None:
    if isinstance(old, Tensor):
        old.copy_(new)
    elif is_dataclass(old):
        for field in fields(old):
            _overwrite(getattr(old, field.name), getattr(new, field.name))
    elif isinstance(old, list):
        for one, other in zip(old, new, strict=True):
            _overwrite(one, other)


def test_a_function_is_recorded_once_and_replayed_with_other_numbers() -> None:
    runs: list[int] = []

    def total(images: Tensor) -> Tensor:
        runs.append(len(images))
        return images.sum((1, 2, 3))

    recorder = Recorder(lambda run, pool: run_again(run, pool))
    for number in range(3):
        images = channels_last(3, 3, 4, 6, seed=number).cpu()
        assert recorder.is_recorded("4x6") == (number > 0)
        found = recorder.run("4x6", "total", total, images, rows=4)
        torch.testing.assert_close(found[:3], images.sum((1, 2, 3)))
    assert runs == [4] * 4, "filled up; once to record, and each time"


def test_of_many_shapes_the_oldest_ones_are_forgotten_with_all_their_parts() -> None:
    recorder = Recorder(run_again)
    for shape in range(recorded.MOST_SHAPES + 1):
        for part in ("first", "second"):
            recorder.run(shape, part, lambda: torch.zeros(1))
    assert not recorder.is_recorded(0)
    assert all(recorder.is_recorded(shape) for shape in range(1, recorded.MOST_SHAPES + 1))


def test_a_batch_that_was_filled_up_has_the_detections_of_its_frames_alone() -> None:
    model = MaskRcnn.load(device="cpu", score=0.3)
    frames = [scene(320, 180), scene(200, 300), scene(320, 180)]
    expected = model.segment(frames)
    model._network.fixed_tables = True
    model._network.recorder = Recorder(run_again)
    assert model.prepares(frames)
    for _ in range(2):
        for one, other in zip(model.segment(frames), expected, strict=True):
            assert_equal(one, other)
    assert not model.prepares(frames) and model.prepares([frames[0]] * 3)
    for count in (3, 4, 3):
        found = model.segment([frames[0]] * count)
        assert len(found) == count
        assert_equal(found[-1], expected[0])


def test_frames_of_two_sizes_that_become_inputs_of_one_do_not_overwrite_each_other() -> None:
    model = MaskRcnn.load(device="cpu", score=0.3)
    other = Planes.from_rgb(Scene.from_seed(20_002, width=640, height=360).frame(200).image)
    frames = [scene(320, 180), other]
    expected = model.segment(frames)
    model._network.fixed_tables = True
    model._network.recorder = Recorder(run_again)
    for _ in range(2):
        for one, two in zip(model.segment(frames), expected, strict=True):
            assert_equal(one, two)


def test_an_image_without_detections_needs_no_rows() -> None:
    model = MaskRcnn.load(device="cpu")
    model._network.fixed_tables = True
    model._network.recorder = Recorder(run_again)
    grey = np.full((180, 320), 110, np.uint8), *[np.full((90, 160), 128, np.uint8)] * 2
    assert [len(one) for one in model.segment([Planes(*grey)] * 3)] == [0, 0, 0]
