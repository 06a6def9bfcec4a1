"""The shipped model: what it accepts, what it returns, which files it refuses, and that it finds what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.demo.scene.world import Rendered, Scene
from pipeline.errors import ModelError
from pipeline.geometry.mask_paste import paste_mask
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.letterbox import BLACK_YUV, Letterbox
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, build_compact_net
from pipeline.models.maskrcnn.compact_weights import STREET_CLASSES, load_weights, save_weights
from pipeline.models.maskrcnn.device import choose_device, why_no_gpu
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.zoo import STREET_FILE
from pipeline.models.segmenter import Segmenter
from pipeline.models.training.mask_ap import average_precision
from pipeline.models.training.scene_samples import HELD_OUT_SEEDS, TRAIN_SEEDS
from pipeline.transport.planes import Planes


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the right shapes that know nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, build_compact_net(len(STREET_CLASSES)), STREET_CLASSES)
    return path


@pytest.fixture(scope="module")
def eager(untrained: Path) -> MaskRcnn:
    """A model that reports nearly everything, sense or not."""
    return MaskRcnn.load(untrained, device="cpu", score=0.01)


@pytest.fixture(scope="module")
def street() -> MaskRcnn:
    return MaskRcnn.load(device="cpu")


@pytest.fixture(scope="module")
def moments() -> list[Rendered]:
    """Moments of held-out scenes."""
    scenes = [Scene.from_seed(seed, width=640, height=360) for seed in HELD_OUT_SEEDS[:4]]
    return [scene.frame(200) for scene in scenes]


def noise(width: int, height: int, seed: int = 0) -> Planes:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Planes.from_rgb(image)


def grey(width: int, height: int) -> Planes:
    return Planes.from_rgb(np.full((height, width, 3), 128, np.uint8))


def assert_keeps_the_contract(found: Detections, frame: Planes, classes: int) -> None:
    count = len(found.scores)
    assert found.boxes_px.shape == (count, 4) and found.boxes_px.dtype == np.float32
    assert found.scores.shape == (count,) and found.scores.dtype == np.float32
    assert found.class_ids.shape == (count,) and found.class_ids.dtype == np.int16
    assert found.masks.shape == (count, MASK_SIZE, MASK_SIZE) and found.masks.dtype == np.uint8
    x0, y0, x1, y1 = found.boxes_px.T
    assert (x0 >= 0).all() and (x0 < x1).all() and (x1 <= frame.width).all()
    assert (y0 >= 0).all() and (y0 < y1).all() and (y1 <= frame.height).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.class_ids >= 0) & (found.class_ids < classes)).all()


@pytest.mark.parametrize(("width", "height"), [(640, 360), (641, 361), (360, 640), (1280, 96), (33, 77)])
def test_frames_of_any_size_give_what_the_contract_says(eager: MaskRcnn, width: int, height: int) -> None:
    frame = noise(width, height)
    (found,) = eager.segment([frame])
    assert len(found.scores) > 0
    assert_keeps_the_contract(found, frame, len(eager.classes))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 1), (1, 500)])
def test_frames_of_a_few_pixels_do_no_harm(eager: MaskRcnn, width: int, height: int) -> None:
    frame = noise(width, height)
    (found,) = eager.segment([frame])
    assert_keeps_the_contract(found, frame, len(eager.classes))


def test_no_frames_give_nothing(eager: MaskRcnn) -> None:
    assert eager.segment([]) == []


def test_model_is_a_segmenter(eager: MaskRcnn) -> None:
    segmenter: Segmenter = eager
    segmenter.warm_up()
    assert segmenter.device == "cpu"
    assert segmenter.classes == STREET_CLASSES


def test_frames_are_only_read(eager: MaskRcnn) -> None:
    frame = noise(320, 180)
    before = frame.y.copy(), frame.u.copy(), frame.v.copy()
    for plane in (frame.y, frame.u, frame.v):
        plane.flags.writeable = False
    eager.segment([frame])
    assert all((old == new).all() for old, new in zip(before, (frame.y, frame.u, frame.v), strict=True))


def test_a_batch_of_different_sizes_gives_what_single_frames_give(
    street: MaskRcnn, moments: list[Rendered]
) -> None:
    frames = [Planes.from_rgb(moments[0].image), grey(99, 301), Planes.from_rgb(moments[1].image[:300, :501])]
    together = street.segment(frames)
    for frame, batched in zip(frames, together, strict=True):
        (alone,) = street.segment([frame])
        assert len(alone.scores) == len(batched.scores)
        np.testing.assert_allclose(alone.boxes_px, batched.boxes_px, atol=0.05)
        np.testing.assert_allclose(alone.scores, batched.scores, atol=1e-3)
        assert (alone.class_ids == batched.class_ids).all()
        assert np.abs(alone.masks.astype(int) - batched.masks).max(initial=0) <= 2


def test_an_empty_grey_frame_holds_nothing(street: MaskRcnn) -> None:
    (found,) = street.segment([grey(640, 360)])
    assert len(found.scores) == 0
    assert_keeps_the_contract(found, grey(640, 360), len(street.classes))


def test_masks_lie_on_the_objects(street: MaskRcnn, moments: list[Rendered]) -> None:
    overlaps = []
    for moment in moments:
        (found,) = street.segment([Planes.from_rgb(moment.image)])
        height, width = moment.labels.shape
        pasted = [
            paste_mask(mask, box, width, height)
            for mask, box in zip(found.masks, found.boxes_px, strict=True)
        ]
        for instance in moment.instances:
            if instance.visible < 0.5 or instance.area_px < 200:
                continue
            true = moment.labels == instance.label
            of_class = [
                mask
                for mask, class_id in zip(pasted, found.class_ids, strict=True)
                if street.classes[class_id] == instance.class_name
            ]
            overlaps.append(
                max(((mask & true).sum() / (mask | true).sum() for mask in of_class), default=0.0)
            )
    assert np.mean(overlaps) > 0.7
    assert np.mean(np.array(overlaps) > 0.5) > 0.85


def test_shipped_model_keeps_its_accuracy(street: MaskRcnn, moments: list[Rendered]) -> None:
    found = street.segment([Planes.from_rgb(moment.image) for moment in moments])
    assert average_precision(moments, found, street.classes)["ap50"] > 0.9


def test_shipped_file_is_small_and_says_what_it_is() -> None:
    assert STREET_FILE.stat().st_size <= 8_000_000
    with safe_open(str(STREET_FILE), framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "tallycam-maskrcnn"
    assert metadata["input"] == "512x288"
    assert load_weights(STREET_FILE)[1] == STREET_CLASSES


def test_scenes_to_learn_from_and_scenes_to_measure_on_are_different() -> None:
    assert not set(HELD_OUT_SEEDS) & set(TRAIN_SEEDS)
    assert min(min(HELD_OUT_SEEDS), min(TRAIN_SEEDS)) >= 10_000  # the demo's


# -- the input ------------------------------------------------------------------------------------------


def test_a_wide_frame_fills_the_input() -> None:
    box = Letterbox.top_left(640, 360, *INPUT_SIZE, multiple=1)
    assert (box.inner_width, box.inner_height) == INPUT_SIZE
    assert box.scale_x == box.scale_y == 0.8


def test_a_tall_frame_keeps_its_aspect_and_black_fills_the_rest() -> None:
    frame = noise(360, 640)
    box = Letterbox.top_left(frame.width, frame.height, *INPUT_SIZE, multiple=1)
    assert (box.inner_width, box.inner_height) == (162, 288)
    assert box.scale_x == pytest.approx(box.scale_y)
    out = np.zeros((3, INPUT_SIZE[1], INPUT_SIZE[0]), np.uint8)
    box.write_yuv444(frame, out)
    for plane, value in enumerate(BLACK_YUV):
        assert (out[plane, :, 162:] == value).all()
        assert out[plane, :, :162].std() > 5


# -- files that are not a model --------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        MaskRcnn.load(path, device="cpu")
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such model file" in refused(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello, I am a model", b"\xff" * 5000])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "not a safetensors file" in refused(path)


def test_a_file_cut_short_is_refused(tmp_path: Path, untrained: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(untrained.read_bytes()[:-1000])
    assert "cut short" in refused(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path, untrained: Path) -> None:
    data = bytearray(untrained.read_bytes())
    data[-12345] ^= 0x40
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(data)
    assert "damaged" in refused(path)


def test_safetensors_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert "tensors of no Mask R-CNN that is known here (weight)" in refused(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "classes.safetensors"
    save_weights(path, build_compact_net(7), STREET_CLASSES)
    assert "has shape" in refused(path)


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "part.safetensors"
    model = build_compact_net(4)
    del model.roi_heads.mask_head
    save_weights(path, model, STREET_CLASSES)
    assert "tensor roi_heads.mask_head" in refused(path)
    assert "is missing" in refused(path)


# -- devices --------------------------------------------------------------------------------------------


def test_auto_takes_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected


def test_why_no_gpu_is_used_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", failing)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    caplog.set_level("INFO")
    assert choose_device("auto").type == "cpu"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("the CPU, since The NVIDIA driver on your system is too old (found version 11040)")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert why_no_gpu() == "this PyTorch is built for CPUs"
    assert not choose_device("cpu").index and len(caplog.records) == 1


@pytest.mark.parametrize("wanted", ["gpu", "cuda:99", "meta", "cpu:what"])
def test_a_device_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(ModelError, match=f"got '{wanted}'"):
        choose_device(wanted)
