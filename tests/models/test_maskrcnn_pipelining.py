"""A Mask R-CNN with two batches in flight, as on CUDA, and one that is compiled: what is done in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.demo.scene.world import Scene
from pipeline.errors import ModelError
from pipeline.models.maskrcnn import mask_rcnn
from pipeline.models.maskrcnn.compile import CompiledImageStage, batch_sizes
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.transport.planes import Planes

SMALL, TALL = (320, 180), (200, 300)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def scene(size: tuple[int, int], seed: int = 20_001) -> Planes:
    return Planes.from_rgb(Scene.from_seed(seed, width=size[0], height=size[1]).frame(200).image)


@pytest.fixture
def street() -> MaskRcnn:
    """The model on a CPU that it takes for a device beside it."""
    model = MaskRcnn.load(device="cpu")
    model.ahead = 1
    return model


def watched(model: MaskRcnn, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the model does from now on."""
    order: list[str] = []

    def noted(word: Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            order.append(word(*arguments))
            return function(*arguments)

        return call

    network, uploader = model._network, model._uploader
    monkeypatch.setattr(uploader, "start", noted(lambda frames: f"send {len(frames)}", uploader.start))
    monkeypatch.setattr(network, "start", noted(lambda images, _: f"start {len(images)}", network.start))
    monkeypatch.setattr(network, "finish", noted(lambda batch: f"regions {batch.images}", network.finish))
    back = noted(lambda outputs, _: f"back {len(outputs)}", mask_rcnn.HostCopy)
    monkeypatch.setattr(mask_rcnn, "HostCopy", back)
    return order


def test_a_batch_is_sent_before_the_one_before_is_finished_and_begun_before_that_ones_answer_is_used(
    street: MaskRcnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = watched(street, monkeypatch)
    batches = [[scene(SMALL)] * count for count in (1, 2, 3)]
    answers = list(street.stream(batches))
    assert [len(answer) for answer in answers] == [1, 2, 3]
    assert order == [
        *("send 1", "start 1"),
        *("send 2", "regions 1", "back 1", "start 2"),
        *("send 3", "regions 2", "back 1", "start 3"),
        *("regions 3", "back 1"),
    ]


def test_where_nothing_overlaps_a_batch_is_finished_before_the_next_is_sent(
    street: MaskRcnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    street.ahead = 0
    order = watched(street, monkeypatch)
    list(street.stream([[scene(SMALL)], [scene(SMALL)] * 2]))
    assert order == ["send 1", "start 1", "regions 1", "back 1", "send 2", "start 2", "regions 2", "back 1"]


def test_a_batch_comes_back_from_the_device_in_one_copy_whatever_sizes_its_frames_have(
    street: MaskRcnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [scene(SMALL), scene(TALL), scene(SMALL, seed=20_002), scene((64, 64))]
    alone = [street.segment([frame])[0] for frame in frames]
    copies: list[int] = []
    to_cpu = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda self: copies.append(self.numel()) or to_cpu(self))
    together = street.segment(frames)
    assert len(copies) == 1
    for one, other in zip(together, alone, strict=True):
        assert one.class_ids.tolist() == other.class_ids.tolist()
        np.testing.assert_allclose(one.boxes_px, other.boxes_px, atol=0.05)
        np.testing.assert_allclose(one.masks.astype(int), other.masks.astype(int), atol=3)


def test_want_of_memory_while_two_batches_are_in_flight_loses_no_frame(
    street: MaskRcnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [scene(SMALL, seed=20_001 + n) for n in range(6)]
    expected = [street.segment([frame])[0] for frame in frames]
    start = street._network.start

    def limited(images: Tensor, size: tuple[int, int]) -> Any:
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return start(images, size)

    monkeypatch.setattr(street._network, "start", limited)
    batches = list(street.stream([frames[:3], frames[3:]]))
    assert street.max_batch == 1 and "batch reduced to 1" in street.device
    for one, other in zip([*batches[0], *batches[1]], expected, strict=True):
        np.testing.assert_allclose(one.boxes_px, other.boxes_px, atol=0.05)


def test_frames_that_memory_does_not_hold_on_their_way_are_sent_again_in_smaller_batches(
    street: MaskRcnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, tried = street._uploader.start, list[int]()

    def limited(frames: Sequence[Planes]) -> Any:
        tried.append(len(frames))
        if len(frames) > 2:
            raise MemoryError
        return start(frames)

    monkeypatch.setattr(street._uploader, "start", limited)
    assert len(street.segment([scene(SMALL)] * 4)) == 4
    assert tried == [4, 4, 2, 2]


# -- model.compile ----------------------------------------------------------------------------------------


class Tiny(nn.Module):
    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return [images * 2], [images.sum(1, keepdim=True), images + 1]


class Compiler:
    """Stands in for PyTorch's: notes how it is asked, and the shapes that it would have to compile."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: dict[str, Any] = {}
        self.shapes: list[tuple[int, ...]] = []
        self.error = error

    def __call__(self, module: nn.Module, **asked: Any) -> Callable[[Tensor], Any]:
        self.asked = asked

        def run(images: Tensor) -> Any:
            if self.error is not None:
                raise self.error
            if tuple(images.shape) not in self.shapes:
                self.shapes.append(tuple(images.shape))
            return module(images)

        return run


def test_batches_are_filled_up_so_that_few_shapes_are_compiled() -> None:
    compiler = Compiler()
    compiled = CompiledImageStage(Tiny(), torch.device("cpu"), compiler)
    assert not compiled.is_compiled(1, (8, 4))
    for count in (1, 2, 3, 4, 5, 6, 7, 8):
        images = torch.randn(count, 3, 4, 8)
        features, outputs = compiled(images)
        torch.testing.assert_close(features, [images * 2])
        torch.testing.assert_close(outputs, [images.sum(1, keepdim=True), images + 1])
    assert [shape[0] for shape in compiler.shapes] == [1, 2, 4, 8] == batch_sizes(8)
    assert (
        compiled.is_compiled(7, (8, 4))
        and not compiled.is_compiled(9, (8, 4))
        and not compiled.is_compiled(1, (4, 8))
    )
    assert compiler.asked["dynamic"] is False


def test_what_cannot_be_compiled_is_told_in_one_line_and_want_of_memory_is_not_that() -> None:
    compiled = CompiledImageStage(
        Tiny(), torch.device("cpu"), Compiler(RuntimeError("No working C++ compiler\nmore"))
    )
    with pytest.raises(
        ModelError, match=r"cannot compile the model here \(No working C\+\+ compiler\)"
    ) as told:
        compiled(torch.randn(1, 3, 4, 8))
    assert "\n" not in str(told.value)
    compiled = CompiledImageStage(
        Tiny(), torch.device("cpu"), Compiler(torch.OutOfMemoryError("CUDA out of memory"))
    )
    with pytest.raises(torch.OutOfMemoryError):
        compiled(torch.randn(1, 3, 4, 8))


def test_warm_up_compiles_for_every_size_of_batch_and_says_what_is_new_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiler = Compiler()
    monkeypatch.setattr(CompiledImageStage.__init__, "__defaults__", (compiler,))
    model = MaskRcnn.load(device="cpu", compiled=True, batch=3)
    assert model.prepares([scene(SMALL)])
    model.warm_up()
    assert [shape[0] for shape in compiler.shapes] == [1, 2, 4] and model.warm_up_s > 0
    assert not model.prepares([scene(SMALL)] * 3), "its input has one size, whatever the frames'"
    assert model.prepares([scene(SMALL)] * 5)
    assert not MaskRcnn.load(device="cpu").prepares([scene(SMALL)])
