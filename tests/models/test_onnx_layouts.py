"""RF-DETR and Mask R-CNN exports: small models of both families with known outputs, whose masks follow the picture."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.coco_classes import COCO
from pipeline.models.detections import Detections
from pipeline.models.onnx import layout_table
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.models.onnx.rfdetr_layout import IMAGENET_MEAN, IMAGENET_STD
from pipeline.transport.planes import Planes
from tests.models.conftest import InstallPackage

onnx = pytest.importorskip("onnx", reason="needs the development package onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

SIDE = 64
FAR = 9.0
"""A logit that is certain."""


class Graph:
    """Nodes of one small model: constants by name, one method for each operator."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def put(self, value: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value, dtype or self.dtype)
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def __getattr__(self, operator: str) -> Callable[..., str]:
        def call(*inputs: str, to: str | None = None, **options: Any) -> str:
            name = to or f"n{len(self.nodes)}"
            self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **options))
            return name

        return call

    def save(
        self, path: Path, shape: list[Any], outputs: dict[str, Any], about: dict[str, str] | None = None
    ) -> Path:
        helper = onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("input", kind, shape)],
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
                for name, dtype in outputs.items()
            ],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        if about:
            helper.set_model_props(model, about)
        onnx.save(model, path)
        return path


def logits(*scores: float) -> list[float]:
    return [float(np.log(score / (1 - score))) for score in scores]


NONE = 1e-4
"""A score that is none."""


def rfdetr(
    path: Path,
    boxes: list[tuple[float, ...]],
    scores: list[list[float]],
    *,
    dtype: Any = np.float32,
    batch: int | None = None,
    masks: str = "masks",
    about: dict[str, str] | None = None,
    boxes_name: str = "dets",
    side: int = SIDE,
) -> Path:
    """An RF-DETR export: `boxes` are cx cy w h, parts of the frame; every mask is where the picture is red."""
    graph = Graph(dtype)
    one = graph.GlobalAveragePool("input")
    one = graph.Slice(one, *(graph.put([n], np.int64) for n in (0, 1, 1)))  # (B, 1, 1, 1)
    nothing = graph.Squeeze(graph.Mul(one, graph.put([0.0])), graph.put([3], np.int64))  # (B, 1, 1)
    graph.Add(nothing, graph.put([boxes]), to=boxes_name)
    graph.Add(nothing, graph.put([[logits(*row) for row in scores]]), to="labels")
    red = graph.Slice("input", *(graph.put([n], np.int64) for n in (0, 1, 1)))
    red = graph.AveragePool(red, kernel_shape=[4, 4], strides=[4, 4])
    graph.Add(red, graph.put(np.zeros((1, len(boxes), 1, 1))), to=masks)
    return graph.save(
        path, [batch or "batch", 3, side, side], dict.fromkeys((boxes_name, "labels", masks), dtype), about
    )


def rcnn(
    path: Path,
    boxes: list[tuple[float, ...]],
    labels: list[int],
    scores: list[float],
    *,
    masks: str | np.ndarray[Any, Any] = "pasted",
    dtype: Any = np.float32,
    size: tuple[Any, Any] = ("height", "width"),
    batched: bool = False,
    about: dict[str, str] | None = None,
    head: int | None = None,
) -> Path:
    """A Mask R-CNN export; `pasted` masks are where the picture is red. `head`: classes of its last layer."""
    graph = Graph(dtype)
    kinds = {"boxes": dtype, "4711": np.int64, "4712": dtype, "masks": dtype}
    picture = "input" if batched else graph.Unsqueeze("input", graph.put([0], np.int64))
    nothing = graph.Mul(graph.ReduceMean(picture, keepdims=0), graph.put(0.0))
    graph.Add(graph.put(np.reshape(boxes, (-1, 4))), nothing, to="boxes")
    graph.Identity(graph.put(labels, np.int64), to="4711")
    graph.Add(graph.put(scores), nothing, to="4712")
    if isinstance(masks, str):
        red = graph.Slice(picture, *(graph.put([n], np.int64) for n in (0, 1, 1)))
        graph.Add(red, graph.put(np.zeros((len(boxes), 1, 1, 1))), to="masks")
    else:
        graph.Add(graph.put(masks), nothing, to="masks")
    if head is not None:
        bias = onnx.numpy_helper.from_array(
            np.zeros(head, np.float32), "roi_heads.box_predictor.cls_score.bias"
        )
        graph.constants.append(bias)
    shape = [*([1] if batched else []), 3, *size]
    return graph.save(path, shape, kinds, about)


def frame(width: int = SIDE, height: int = SIDE, red: tuple[int, int, int, int] | None = None) -> Planes:
    image = np.zeros((height, width, 3), np.uint8)
    if red is not None:
        x0, y0, x1, y1 = red
        image[y0:y1, x0:x1, 0] = 255
    return Planes.from_rgb(image)


def load(path: Path, **more: Any) -> OnnxSegmenter:
    model = registry.load(ModelConfig(path=path, device="cpu", threads=1, **more))
    assert isinstance(model, OnnxSegmenter)
    assert registry.classes_of(ModelConfig(path=path, device="cpu", **more)) == model.classes
    return model


def check(found: Detections) -> None:
    """What every `Detections` keeps to."""
    kinds = [a.dtype for a in (found.boxes_px, found.scores, found.class_ids, found.masks)]
    assert kinds == [np.float32, np.float32, np.int16, np.uint8]
    assert found.masks.shape == (len(found.scores), 28, 28)
    assert (np.diff(found.scores) <= 0).all()


# RF-DETR


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rfdetr_boxes_and_masks_are_stretched_back_to_the_frame(tmp_path: Path, dtype: Any) -> None:
    path = rfdetr(
        tmp_path / "m.onnx",
        [(0.5, 0.5, 0.5, 1.0), (0.25, 0.25, 0.5, 0.5), (0.5, 0.5, 0.1, 0.1)],
        [[0.7, NONE, NONE], [NONE, 0.9, NONE], [0.2, 0.1, NONE]],
        dtype=dtype,
        about={"names": "{0: 'person', 1: 'car'}"},
    )
    model = load(path)
    (found,) = model.segment([frame(256, 128, red=(128, 0, 256, 64))])
    check(found)
    assert model.classes == ("person", "car")
    assert found.class_ids.tolist() == [1, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=1e-3)
    np.testing.assert_allclose(found.boxes_px, [[0, 0, 128, 64], [64, 0, 192, 128]], atol=0.1)
    left, middle = found.masks >= 128
    assert not left[:, :27].any()
    assert middle[:13, 15:].all() and not middle[15:].any() and not middle[:, :13].any()


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_rfdetr_takes_batches_or_is_run_as_often_as_needed(tmp_path: Path, batch: int | None) -> None:
    path = rfdetr(tmp_path / "m.onnx", [(0.5, 0.5, 0.5, 0.5)], [[0.9, NONE]], batch=batch)
    model = load(path)
    found = model.segment([frame(128, 64), frame(80, 80, red=(0, 0, 80, 80)), frame(128, 64)])
    assert [int((one.masks >= 128).mean()) for one in found] == [0, 1, 0]
    assert model.classes == ("class0",)


def test_rfdetr_of_coco_keeps_the_numbers_of_the_annotation_files(tmp_path: Path) -> None:
    scores = [[NONE] * 91 for _ in range(3)]
    scores[0][1], scores[1][90], scores[2][12] = 0.9, 0.8, 0.95  # 12 is the number of nothing
    path = rfdetr(tmp_path / "coco.onnx", [(0.5, 0.5, 0.5, 0.5)] * 3, scores)
    model = load(path)
    (found,) = model.segment([frame()])
    assert model.classes == COCO and len(COCO) == 80
    assert [model.classes[row] for row in found.class_ids] == ["person", "toothbrush"]
    # The names in order, as YOLO has them, mean the same model.
    assert OnnxSegmenter(ModelConfig(path=path, device="cpu", classes=COCO)).classes == COCO


def test_rfdetr_tells_its_classes_in_its_own_metadata(tmp_path: Path) -> None:
    about = {"class_names": ["person", "cup"], "class_id_to_name": {"1": "person", "3": "cup"}}
    path = rfdetr(
        tmp_path / "m.onnx",
        [(0.5, 0.5, 0.5, 0.5)] * 2,
        [[NONE, NONE, 0.99, 0.9], [0.99, 0.8, NONE, NONE]],
        about={"rfdetr_inference": json.dumps(about)},
    )
    model = load(path)
    (found,) = model.segment([frame()])
    assert model.classes == ("person", "cup")
    assert found.class_ids.tolist() == [1, 0]


def test_rfdetr_masks_may_have_a_number_as_their_name_and_three_classes_look_like_boxes(
    tmp_path: Path,
) -> None:
    path = rfdetr(tmp_path / "old.onnx", [(0.5, 0.5, 0.5, 0.5)], [[0.9, NONE, NONE, NONE]], masks="4245")
    (found,) = load(path, classes=("a", "b", "c")).segment([frame()])
    np.testing.assert_allclose(found.boxes_px, [[16, 16, 48, 48]], atol=1e-3)
    other = rfdetr(tmp_path / "other.onnx", [(0.5, 0.5, 0.5, 0.5)], [[0.9, NONE, NONE, NONE]], boxes_name="a")
    (found,) = load(other, classes=("a", "b", "c")).segment([frame()])
    np.testing.assert_allclose(found.boxes_px, [[16, 16, 48, 48]], atol=1e-3)


def test_rfdetr_with_too_few_names_is_refused(tmp_path: Path) -> None:
    path = rfdetr(tmp_path / "m.onnx", [(0.5, 0.5, 0.5, 0.5)], [[0.9] + [NONE] * 5])
    with pytest.raises(ModelError, match="2 class names for 5 classes; correct model.classes"):
        OnnxSegmenter(ModelConfig(path=path, device="cpu", classes=("a", "b")))


def test_rfdetr_query_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    nan = float("nan")
    boxes = [(0.5, 0.5, 0.5, 0.5)] * 3
    scores = [[0.9, NONE], [nan, NONE], [0.8, NONE]]
    path = rfdetr(tmp_path / "nan.onnx", [(nan, 0.5, 0.5, 0.5), *boxes[1:]], scores)
    (found,) = load(path).segment([frame()])
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-3)
    assert (found.non_finite, found.invalid) == (2, False)


def test_rfdetr_without_any_finite_query_is_unusable(tmp_path: Path) -> None:
    nan = float("nan")
    path = rfdetr(tmp_path / "nan.onnx", [(nan, 0.5, 0.5, 0.5)], [[0.9, NONE]])
    assert load(path).segment([frame()])[0].invalid
    path = rfdetr(tmp_path / "nan2.onnx", [(0.5, 0.5, 0.5, 0.5)], [[nan, NONE]])
    assert load(path).segment([frame()])[0].invalid


# Mask R-CNN


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("batched", [False, True])
def test_torchvision_export_is_given_the_frame_at_its_own_size(
    tmp_path: Path, dtype: Any, batched: bool
) -> None:
    path = rcnn(
        tmp_path / "tv.onnx",
        [(0, 0, 200, 100), (10, 10, 60, 60), (20, 20, 40, 40)],
        [2, 1, 1],
        [0.9, 0.6, 0.2],
        about={"names": "{0: '__background__', 1: 'person', 2: 'car'}"},
        dtype=dtype,
        batched=batched,
    )
    model = load(path)
    wide, small = model.segment([frame(200, 100, red=(100, 0, 200, 50)), frame(64, 64)])
    check(wide)
    assert model.classes == ("person", "car")
    np.testing.assert_allclose(wide.boxes_px, [[0, 0, 200, 100], [10, 10, 60, 60]])
    assert wide.class_ids.tolist() == [1, 0]
    inside = wide.masks >= 128
    assert inside[0, :13, 15:].all() and not inside[0, 15:].any() and not inside[1].any()
    np.testing.assert_allclose(small.boxes_px[0], [0, 0, 64, 64])  # cut at the edge of the frame


def test_torchvision_export_of_a_fixed_size_gets_the_frame_in_the_corner(tmp_path: Path) -> None:
    path = rcnn(tmp_path / "fix.onnx", [(0, 0, 64, 32)], [1], [0.9], size=(64, 64), about={"names": "['a']"})
    (found,) = load(path).segment([frame(256, 128, red=(0, 64, 128, 128))])
    np.testing.assert_allclose(found.boxes_px, [[0, 0, 256, 128]])
    inside = found.masks[0] >= 128
    assert inside[15:, :13].all() and not inside[:13].any() and not inside[:, 15:].any()


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 1, 28, 28), (2, 1, 14, 14)])
def test_masks_of_the_box_stay_as_they_are(tmp_path: Path, shape: tuple[int, ...]) -> None:
    masks = np.zeros(shape, np.float32)
    masks[0, ..., : shape[-2] // 2, :] = 1  # upper half
    masks[1, ..., :, shape[-1] // 2 :] = 1  # right half
    path = rcnn(
        tmp_path / "own.onnx", [(8, 8, 24, 24), (48, 0, 80, 64)], [1, 2], [0.9, 0.8], masks=masks,
        size=(64, 64), about={"classes": '["person", "bus"]'}, batched=True,
    )  # fmt: skip
    model = load(path)
    (found,) = model.segment([frame()])
    assert model.classes == ("person", "bus")
    upper, cut = found.masks >= 128
    assert upper[:13].all() and not upper[15:].any()
    np.testing.assert_allclose(found.boxes_px[1], [48, 0, 64, 64])
    assert not cut[:, :26].any()  # what is inside the frame is the left half of the box


def test_no_objects_is_an_answer(tmp_path: Path) -> None:
    masks = np.zeros((0, 1, 28, 28), np.float32)
    path = rcnn(tmp_path / "none.onnx", [], [], [], masks=masks, about={"names": "['a']"})
    (found,) = load(path).segment([frame()])
    check(found)
    assert len(found.scores) == 0


def test_nameless_mask_rcnn_has_the_classes_of_its_last_layer(tmp_path: Path) -> None:
    box = [(0, 0, 20, 20)]
    coco = load(rcnn(tmp_path / "coco.onnx", box, [90], [0.9], head=91))
    assert coco.classes == COCO
    assert COCO[coco.segment([frame()])[0].class_ids[0]] == "toothbrush"
    assert load(rcnn(tmp_path / "own.onnx", box, [1], [0.9], head=3)).classes == ("class0", "class1")
    bare = rcnn(tmp_path / "bare.onnx", box, [1], [0.9])
    with pytest.raises(ModelError, match="holds no class names; give them as model.classes"):
        OnnxSegmenter(ModelConfig(path=bare, device="cpu"))
    assert load(bare, classes=("person",)).classes == ("person",)


def test_labels_without_a_name_are_no_objects(tmp_path: Path) -> None:
    names = "{0: '__background__', 1: 'person', 2: 'N/A', 3: 'car'}"
    path = rcnn(
        tmp_path / "gaps.onnx", [(0, 0, 20, 20)] * 4, [2, 3, 7, 1], [0.9, 0.8, 0.7, 0.6],
        about={"names": names},
    )  # fmt: skip
    model = load(path)
    (found,) = model.segment([frame()])
    assert model.classes == ("person", "car")
    np.testing.assert_allclose(found.scores, [0.8, 0.6], atol=1e-6)


def test_mask_rcnn_object_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    nan = float("nan")
    masks = np.ones((4, 28, 28), np.float32)
    masks[1, 3, 3] = nan
    boxes = [(0, nan, 20, 20), (0, 0, 20, 20), (5, 5, 25, 25), (0, 0, 9, 9)]
    scores = [0.9, 0.8, 0.7, nan]
    path = rcnn(tmp_path / "nan.onnx", boxes, [1] * 4, scores, masks=masks, about={"names": "['a']"})
    (found,) = load(path).segment([frame()])
    np.testing.assert_allclose(found.boxes_px, [[5, 5, 25, 25]])
    assert (found.non_finite, found.invalid) == (3, False)


def test_mask_rcnn_without_any_finite_object_is_unusable(tmp_path: Path) -> None:
    nan = float("nan")
    path = rcnn(tmp_path / "nan.onnx", [(0, nan, 20, 20)], [1], [0.9], about={"names": "['a']"})
    assert load(path).segment([frame()])[0].invalid
    path = rcnn(tmp_path / "nan2.onnx", [(0, 0, 20, 20)], [1], [nan], about={"names": "['a']"})
    assert load(path).segment([frame()])[0].invalid


# A family that is added from outside: a row of the table, an entry point


CORNER = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.onnx.layout import FixedSizeLayout, normalize_into


@dataclass(frozen=True, slots=True)
class CornerLayout(FixedSizeLayout):
    DESCRIPTION: ClassVar[str] = "Corner (corners (B, N, 5))"
    corners_name: str

    @classmethod
    def match(cls, model):
        names = [name for name in model.outputs_of_rank(3) if model.outputs[name].shape[2] == 5]
        if len(names) != 1 or len(model.outputs) != 1:
            return None
        return cls(model.class_map(1), model.score, model.input_hw, names[0])

    def preprocess(self, frame, out):
        height, width = self.input_hw
        letterbox = Letterbox.stretched(frame.width, frame.height, width, height)
        normalize_into(letterbox.rgb_image(frame, width, height, padding=0), out)
        return letterbox

    def postprocess(self, outputs, row, frame, letterbox):
        rows = outputs[self.corners_name][row]
        rows = rows[rows[:, 4] >= self.score]
        masks = np.full((len(rows), 28, 28), 255, np.uint8)
        return Detections(letterbox.to_frame(rows[:, :4]), rows[:, 4], np.zeros(len(rows), np.int16), masks)
"""
"""One file with a family whose exports answer x0 y0 x1 y1 score."""


def corners(path: Path, rows: list[list[float]]) -> Path:
    graph = Graph(np.float32)
    nothing = graph.Mul(graph.ReduceMean("input", keepdims=0), graph.put(0.0))
    graph.Add(graph.put([rows]), nothing, to="corners")
    return graph.save(path, [1, 3, SIDE, SIDE], {"corners": np.float32}, {"names": "['thing']"})


def test_an_onnx_family_is_one_file_and_one_row(
    tmp_path: Path, install_package: InstallPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corners(tmp_path / "corners.onnx", [[0, 0, 32, 64, 0.9], [0, 0, 8, 8, 0.2]])
    with pytest.raises(ModelError, match=r"outputs corners \[1, 2, 5\] are of no layout known here: RF-DETR"):
        load(path)
    install_package("corner_layout", CORNER, {})
    added = importlib.import_module("corner_layout").CornerLayout
    monkeypatch.setattr(layout_table, "LAYOUTS", (*layout_table.LAYOUTS, added))
    (found,) = load(path).segment([frame(128, 64)])
    np.testing.assert_allclose(found.boxes_px, [[0, 0, 64, 64]])


def test_an_onnx_family_of_an_installed_package_is_asked_first(
    tmp_path: Path, install_package: InstallPackage
) -> None:
    path = corners(tmp_path / "corners.onnx", [[0, 0, 32, 64, 0.9]])
    group = {layout_table.ENTRY_POINTS: {"corner": "corner_layout:CornerLayout"}}
    install_package("corner_layout", CORNER, group)
    assert [one.__name__ for one in layout_table.installed_layouts()] == ["CornerLayout"]
    assert load(path).classes == ("thing",)
    yolo_free = rfdetr(tmp_path / "r.onnx", [(0.5, 0.5, 0.5, 0.5)], [[0.9, NONE]])
    assert load(yolo_free).classes == ("class0",), "other exports keep their family"


def test_a_fault_of_an_installed_family_is_one_line_with_its_name(
    tmp_path: Path, install_package: InstallPackage
) -> None:
    code = CORNER.replace("        names = [name", "        names = model.nonsense\n        names = [name")
    group = {layout_table.ENTRY_POINTS: {"corner": "corner_layout:CornerLayout"}}
    install_package("corner_layout", code, group)
    with pytest.raises(ModelError, match="the ONNX family CornerLayout failed: AttributeError") as caught:
        load(corners(tmp_path / "c.onnx", [[0, 0, 9, 9, 0.9]]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("corner_layout:Missing", r"entry point corner of tallycam\.onnx_layouts .*cannot be imported: Attr"),
        ("corner_layout:ClassMap", "has no DESCRIPTION, classes, max_batch, match"),
    ],
)
def test_an_entry_point_that_is_no_family_is_one_line(
    tmp_path: Path, install_package: InstallPackage, value: str, says: str
) -> None:
    install_package("corner_layout", CORNER, {layout_table.ENTRY_POINTS: {"corner": value}})
    with pytest.raises(ModelError, match=says) as caught:
        OnnxSegmenter(ModelConfig(path=corners(tmp_path / "c.onnx", [[0, 0, 9, 9, 0.9]]), device="cpu"))
    assert "\n" not in str(caught.value)


def test_a_photo_reaches_rfdetr_in_full_colour_without_rounding(tmp_path: Path) -> None:
    """As the package scales it: float RGB, bilinear between the centres of pixels, no antialiasing."""
    torch = pytest.importorskip("torch")
    layout = load(rfdetr(tmp_path / "m.onnx", [(0.5, 0.5, 0.5, 0.5)], [[0.9, NONE]]))._layout
    mean, std = (np.array(one, np.float32).reshape(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    for size in ((150, 201), (64, 64), (31, 40), (1, 1)):
        picture = np.random.default_rng(7).integers(0, 256, (*size, 3), np.uint8)
        photo = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        scaled = torch.nn.functional.interpolate(photo, (SIDE, SIDE), mode="bilinear", antialias=False)
        found = np.zeros((3, SIDE, SIDE), np.float32)
        layout.preprocess(replace(Planes.from_rgb(picture), rgb=picture), found)
        np.testing.assert_allclose(found, (scaled[0].numpy() - mean) / std, atol=1e-3)
