"""Regions in tables of a fixed size, CUDA's path, on the CPU: equal results, and hardly any waiting."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.ops import nms

from pipeline.demo.scene.world import Scene
from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn import fixed_regions, network
from pipeline.models.maskrcnn.copy_to_host import HostCopy
from pipeline.models.maskrcnn.device import choose_precision, constant
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.padded_nms import padded_nms
from pipeline.models.maskrcnn.preprocess import RgbPreprocessor, YuvPreprocessor, resize_weights
from pipeline.models.maskrcnn.proposals import Regions, nms_by_group
from pipeline.transport.planes import Planes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def street() -> MaskRcnn:
    return MaskRcnn.load(device="cpu", score=0.05)


@pytest.fixture(scope="module")
def untrained() -> MaskRcnn:
    """Many classes and many weak detections."""
    torch.manual_seed(3)
    model = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=6,
        rpn_post_nms_top_n_test=60,
        box_score_thresh=0.0,
        box_detections_per_img=50,
    ).eval()
    mean = model.transform
    how = RgbPreprocessor(128, 224, mean.image_mean, mean.image_std)
    classes = ClassMap.from_names({label: f"class{label}" for label in range(1, 6)})
    return MaskRcnn(model, classes, how, CPU)


def scene(width: int, height: int, seed: int = 20_001) -> Planes:
    return Planes.from_rgb(Scene.from_seed(seed, width=width, height=height).frame(200).image)


def boxes_of(groups: int, count: int, generator: torch.Generator) -> Tensor:
    """(groups, count, 4) crowded boxes of a 1344x768 input."""
    corner = torch.rand(groups, count, 2, generator=generator) * torch.tensor([1200.0, 700.0])
    corner = corner.view(groups, -1, 4, 2)
    corner = (corner[:, :, :1] + torch.randn(corner.shape, generator=generator) * 12).view(groups, count, 2)
    return torch.cat((corner, corner + 20 + 60 * torch.rand(groups, count, 2, generator=generator)), -1)


def test_ten_thousand_groups_are_suppressed_as_by_torchvision_at_any_place_in_the_batch() -> None:
    generator = torch.Generator().manual_seed(1)
    count, groups = 40, 10_000
    boxes = boxes_of(groups, count, generator)
    valid = torch.rand(groups, count, generator=generator) < 0.9
    scores = torch.linspace(1, 0.1, count)
    kept, settled = padded_nms(boxes, valid, 0.5)
    assert settled.all()
    expected = torch.zeros_like(valid)
    for group in range(groups):
        rows = valid[group].nonzero()[:, 0]
        expected[group, rows[nms(boxes[group, rows], scores[rows], 0.5)]] = True
    assert torch.equal(kept, expected)
    assert 0.5 < kept.sum() / valid.sum() < 0.95, "the groups are crowded, and not everything is suppressed"


def test_boxes_of_other_labels_do_not_suppress() -> None:
    box = torch.tensor([10.0, 10.0, 50.0, 50.0]).repeat(1, 3, 1)
    kept, _ = padded_nms(box, torch.ones(1, 3, dtype=torch.bool), 0.5, torch.tensor([[1, 2, 1]]))
    assert kept.tolist() == [[True, True, False]]


def test_a_chain_of_suppressors_longer_than_the_rounds_is_told() -> None:
    left = 10.0 * torch.arange(20)  # each overlaps its neighbours alone by more than a third
    boxes = torch.stack((left, torch.zeros(20), left + 25, torch.ones(20)), -1)[None]
    valid = torch.ones(1, 20, dtype=torch.bool)
    kept, settled = padded_nms(boxes, valid, 0.4, rounds=20)
    assert bool(settled)
    assert kept[0].tolist() == [True, False] * 10
    assert not bool(padded_nms(boxes, valid, 0.4, rounds=5)[1])


def test_many_groups_far_apart_in_a_batch_are_not_rounded() -> None:
    generator = torch.Generator().manual_seed(2)
    boxes = boxes_of(1, 400, generator)[0]
    scores = torch.linspace(1, 0.1, 400)
    labels = torch.arange(400) % 91

    def kept(place: int) -> Tensor:
        found = Regions(boxes, scores, labels, torch.full((400,), place))
        return nms_by_group(found, labels, 0.5, 400, place + 1)

    assert torch.equal(kept(0), kept(63))


def with_tables(model: MaskRcnn) -> MaskRcnn:
    """The same model with the regions of the CUDA path."""
    other = copy.copy(model)
    other._network = copy.copy(model._network)
    other._network.fixed_tables = True
    return other


def assert_equal(found: Sequence[Detections], expected: Sequence[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.non_finite, one.invalid) == (other.non_finite, other.invalid)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        np.testing.assert_allclose(one.boxes_px, other.boxes_px, atol=0.02)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        np.testing.assert_allclose(one.masks, other.masks, atol=1)


FRAMES = [(640, 360, 20_001), (640, 360, 20_002), (200, 300, 20_001), (640, 360, 20_001)]


@pytest.mark.parametrize("name", ["street", "untrained"])
def test_tables_of_a_fixed_size_give_the_same_instances(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: MaskRcnn = request.getfixturevalue(name)
    frames = [scene(*size) for size in FRAMES]
    expected = model.segment(frames)
    assert all(len(one) > 5 for one in expected)
    monkeypatch.setattr(network, "propose", None)  # it is not needed
    assert_equal(with_tables(model).segment(frames), expected)


def test_an_image_without_any_instance_is_fine(street: MaskRcnn) -> None:
    grey = np.full((360, 640), 110, np.uint8), *[np.full((180, 320), 128, np.uint8)] * 2
    frames = [Planes(*grey), scene(640, 360)]
    expected = street.segment(frames)
    assert_equal(with_tables(street).segment(frames), expected)
    assert len(with_tables(street).segment(frames[:1])[0]) == len(expected[0])


@pytest.mark.parametrize("limit", ["candidates", "rounds"])
def test_where_a_table_does_not_suffice_the_exact_path_takes_over(
    street: MaskRcnn, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    frames = [scene(640, 360)] * 2
    expected = street.segment(frames)
    if limit == "candidates":
        monkeypatch.setattr(fixed_regions, "CANDIDATES", 3)
    else:
        monkeypatch.setattr(fixed_regions, "padded_nms", lambda *arguments: padded_nms(*arguments, rounds=0))
    model = with_tables(street)
    calls: list[int] = []
    propose = network.propose

    def counting(*given: Any) -> tuple[Regions, Tensor]:
        calls.append(1)
        return propose(*given)

    monkeypatch.setattr(network, "propose", counting)
    assert_equal(model.segment(frames), expected)
    assert calls == [1]


class _Waits(TorchDispatchMode):
    """Collects the operations that make the host wait for a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "aten::equal")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.name()
        if any(word in name for word in self.WAITING):
            self.seen.append(name)
        if name.startswith(("aten::index.", "aten::index_put")) and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        ):
            self.seen.append(f"{name} by a mask")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> _Waits:
    """What waits, also what no operation on the CPU shows: copies from and to the host."""
    mode = _Waits()

    def counted(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            mode.seen.append(name)
            with torch.utils._python_dispatch._disable_current_modes():
                return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, run)

    for name in ("cpu", "tolist", "item", "__int__", "__bool__", "__float__"):
        counted(torch.Tensor, name)
    for name in ("tensor", "as_tensor", "from_numpy"):
        counted(torch, name)
    return mode


@pytest.mark.parametrize("name", ["street", "untrained"])
def test_the_host_waits_for_the_device_twice_a_batch(
    name: str, request: pytest.FixtureRequest, waits: _Waits
) -> None:
    model = with_tables(request.getfixturevalue(name))
    how = YuvPreprocessor() if name == "street" else RgbPreprocessor(128, 224, [0.5] * 3, [0.2] * 3)
    raw = torch.stack(
        [
            torch.cat([torch.asarray(plane).flatten() for plane in (one.y, one.u, one.v)])
            for one in [scene(640, 360)] * 2
        ]
    )
    letterbox, size = how.letterbox(640, 360)
    inside = (letterbox.inner_width, letterbox.inner_height)

    def batch() -> int:
        images = how.preprocess_cuda(raw, 640, 360, letterbox, size, torch.float32)
        (output,) = HostCopy([model._network(images, inside)]).finish()
        return len(output.rows)

    assert batch() > 5  # the first one makes constants
    waits.seen.clear()
    with waits:
        batch()
    assert waits.seen == ["cpu", "tolist", "cpu"], "the list is made of what was copied"


def test_resize_matrices_and_constants_are_made_once() -> None:
    assert resize_weights(1080, 360, True, CPU) is resize_weights(1080, 360, True, CPU)
    assert resize_weights(1080, 360, True, CPU) is not resize_weights(1080, 360, False, CPU)
    assert constant((1.0, 2.0), torch.float32, CPU) is constant((1.0, 2.0), torch.float32, CPU)
    assert not constant((1.0, 2.0), torch.float32, CPU).is_inference()


def test_precision_on_cuda_is_fp16_and_never_emulated_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    class Current:
        def __init__(self, device: torch.device) -> None:
            assert device == cuda

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    cuda = torch.device("cuda:1")
    able = False

    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or able

    monkeypatch.setattr(torch.cuda, "device", Current)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision("auto", cuda, small=False) == torch.float16
    assert choose_precision("auto", cuda, small=True) == torch.float16
    assert choose_precision("fp32", cuda, small=True) == torch.float32
    with pytest.raises(ModelError, match="this GPU has no bf16"):
        choose_precision("bf16", cuda, small=False)
    able = True
    assert choose_precision("bf16", cuda, small=False) == torch.bfloat16
