"""YOLO segmentation exports: tiny models with known outputs, and the real one where the shared data is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.coco_classes import COCO
from pipeline.models.letterbox import Letterbox
from pipeline.models.onnx.model_file import class_names, metadata
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.models.onnx.yolo_layout import YoloLayout, decode, non_maximum_suppression
from pipeline.models.onnx.yolo_outputs import HeadFormat, OutputPair
from pipeline.stages.instances import NOT_FINITE, instances_of
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes
from tests.models.yolo_export import (
    CELLS,
    ONES,
    RED,
    SIDE,
    build,
    config,
    frame,
    onnx,
    row_v5,
    row_v8,
    save,
)

REF = FrameRef(
    stream="s", epoch=0, seq=0, index=0, pts_s=0, wall_s=0, slot=0, ring="", width=SIDE, height=SIDE
)


def test_v8_layout_gives_boxes_classes_and_full_masks(tmp_path: Path) -> None:
    path = build(
        tmp_path / "v8.onnx",
        [row_v8((32, 16, 20, 8), [0.1, 0.9, 0.0], ONES), row_v8((20, 40, 10, 30), [0.7, 0.2, 0.1], ONES)],
        names="{0: 'person', 1: 'car', 2: 'bus'}",
    )
    model = OnnxSegmenter(config(path))
    (found,) = model.segment([frame()])
    assert model.classes == ("person", "car", "bus")
    assert model.device == "cpu"
    np.testing.assert_allclose(found.boxes_px, [[22, 12, 42, 20], [15, 25, 25, 55]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=1e-6)
    assert found.class_ids.tolist() == [1, 0]
    assert found.masks.shape == (2, 28, 28) and found.masks.min() > 250
    kinds = [a.dtype for a in (found.boxes_px, found.scores, found.class_ids, found.masks)]
    assert kinds == [np.float32, np.float32, np.int16, np.uint8]


def test_v5_layout_multiplies_the_class_score_by_objectness(tmp_path: Path) -> None:
    path = build(
        tmp_path / "v5.onnx",
        [row_v5((32, 16, 20, 8), 0.8, [0.1, 0.9], ONES), row_v5((20, 40, 10, 30), 0.6, [0.8, 0.1], ONES)],
        layout="v5",
    )
    model = OnnxSegmenter(config(path))
    (found,) = model.segment([frame()])
    assert model.classes == ("class0", "class1")
    np.testing.assert_allclose(found.scores, [0.72], atol=1e-6)  # 0.6 * 0.8 is below 0.5
    assert found.class_ids.tolist() == [1]


def test_suppressed_layout_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = [[10, 10, 30, 30, 0.9, 1, *ONES], [11, 10, 30, 30, 0.8, 1, *ONES]]
    path = build(tmp_path / "final.onnx", rows, layout="final", names="{0: 'a', 1: 'b'}")
    (found,) = OnnxSegmenter(config(path)).segment([frame()])
    assert found.class_ids.tolist() == [1, 1]
    np.testing.assert_allclose(found.boxes_px[0], [10, 10, 30, 30], atol=1e-4)


def test_of_two_boxes_of_one_class_the_weaker_goes_but_another_class_stays(tmp_path: Path) -> None:
    rows = [
        row_v8((32, 32, 20, 20), [0.8, 0.0], ONES),
        row_v8((33, 32, 20, 20), [0.9, 0.0], ONES),
        row_v8((32, 33, 20, 20), [0.0, 0.7], ONES),
        row_v8((45, 32, 20, 20), [0.6, 0.0], ONES),
    ]
    path = build(tmp_path / "nms.onnx", rows)
    (found,) = OnnxSegmenter(config(path)).segment([frame()])
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.6], atol=1e-6)
    (found,) = OnnxSegmenter(config(path, nms=0.2)).segment([frame()])
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=1e-6)


def test_score_threshold_is_the_configured_one(tmp_path: Path) -> None:
    path = build(
        tmp_path / "s.onnx", [row_v8((32, 32, 20, 20), [0.4], ONES), row_v8((9, 9, 9, 9), [0.3], ONES)]
    )
    assert len(OnnxSegmenter(config(path)).segment([frame()])[0].scores) == 0
    assert len(OnnxSegmenter(config(path, score=0.35)).segment([frame()])[0].scores) == 1


def test_mask_follows_the_picture_through_the_letterbox(tmp_path: Path) -> None:
    # A frame twice as wide as high: it fills the rows 16..48 of the input. The box is the whole frame.
    path = build(tmp_path / "red.onnx", [row_v8((32, 32, 64, 32), [0.9], RED)])
    (found,) = OnnxSegmenter(config(path)).segment([frame(256, 128, red=(128, 0, 256, 64))])
    np.testing.assert_allclose(found.boxes_px, [[0, 0, 256, 128]], atol=1e-3)
    inside = found.masks[0] >= 128
    assert inside[:13, 15:].all()  # upper right is red
    assert not inside[:, :13].any() and not inside[15:].any()


def test_box_past_the_edge_is_cut_together_with_its_mask(tmp_path: Path) -> None:
    path = build(
        tmp_path / "edge.onnx", [row_v8((64, 32, 64, 64), [0.9], RED), row_v8((90, 90, 9, 9), [0.9], RED)]
    )
    (found,) = OnnxSegmenter(config(path)).segment([frame(red=(48, 0, 64, 64))])
    np.testing.assert_allclose(found.boxes_px, [[32, 0, 64, 64]], atol=1e-3)  # the other lies outside
    inside = found.masks[0] >= 128
    assert inside[:, 15:].all() and not inside[:, :13].any()


def test_frames_of_different_sizes_share_a_batch(tmp_path: Path) -> None:
    path = build(tmp_path / "many.onnx", [row_v8((32, 32, 64, 32), [0.9], ONES)])
    model = OnnxSegmenter(config(path))
    wide, odd, small = model.segment([frame(256, 128), frame(81, 63), frame(16, 16)])
    np.testing.assert_allclose(wide.boxes_px, [[0, 0, 256, 128]], atol=1e-3)
    assert odd.boxes_px[0, 2] == pytest.approx(81, abs=0.01) and odd.boxes_px[0, 3] < 63
    np.testing.assert_allclose(small.boxes_px, [[0, 4, 16, 12]], atol=1e-3)
    assert model.segment([]) == []


@pytest.mark.parametrize("batch", [1, 2])
def test_model_of_a_fixed_batch_is_run_as_often_as_needed(tmp_path: Path, batch: int) -> None:
    path = build(tmp_path / "fixed.onnx", [row_v8((32, 32, 64, 32), [0.9], RED)], batch=batch)
    model = OnnxSegmenter(config(path))
    found = model.segment([frame(128, 64), frame(128, 64, red=(0, 0, 128, 64)), frame(128, 64)])
    assert [int((one.masks >= 128).mean() * 10) for one in found] == [0, 10, 0]


def test_half_precision_model_gives_the_same(tmp_path: Path) -> None:
    path = build(tmp_path / "half.onnx", [row_v8((32, 16, 20, 8), [0.9], ONES)], dtype=np.float16)
    (found,) = OnnxSegmenter(config(path)).segment([frame()])
    np.testing.assert_allclose(found.boxes_px, [[22, 12, 42, 20]], atol=1e-2)
    assert found.boxes_px.dtype == np.float32


def test_open_input_size_is_640(tmp_path: Path) -> None:
    rows = [row_v8((320, 160, 200, 80), [0.9], ONES)]
    path = build(tmp_path / "open.onnx", rows, side=None)
    # 84 rows do not fit 640 x 640, but features are still told from anchors: 84 > 9.
    (found,) = OnnxSegmenter(config(path)).segment([frame(640, 640)])
    np.testing.assert_allclose(found.boxes_px, [[220, 120, 420, 200]], atol=1e-3)


def rows_with_one_broken(layout: str, where: str, value: float = float("nan")) -> list[list[float]]:
    """Two objects; a number of the first one is none."""
    box = (value, 16, 20, 28) if where == "box" else (9, 16, 20, 28)
    score = value if where == "score" else 0.9
    coefficients = [value, 0, 0, 0] if where == "coefficient" else ONES
    return {
        "v8": [row_v8(box, [score], coefficients), row_v8((40, 40, 20, 20), [0.8], ONES)],
        "v5": [row_v5(box, 0.9, [score], coefficients), row_v5((40, 40, 20, 20), 0.9, [0.9], ONES)],
        "final": [[*box, score, 0.0, *coefficients], [30, 30, 50, 50, 0.8, 0.0, *ONES]],
    }[layout]


@pytest.mark.parametrize("layout", ["v8", "v5", "final"])
@pytest.mark.parametrize("where", ["score", "box", "coefficient"])
def test_an_object_that_is_not_finite_is_left_out_and_counted_and_no_other_with_it(
    tmp_path: Path, layout: str, where: str
) -> None:
    rows = rows_with_one_broken(layout, where)
    path = build(tmp_path / "nan.onnx", rows, layout=layout, names="['a']")
    (found,) = OnnxSegmenter(config(path)).segment([frame()])
    np.testing.assert_allclose(found.boxes_px, [[30, 30, 50, 50]], atol=1e-4)
    assert (found.non_finite, found.invalid) == (1, False)
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("layout", ["v8", "v5", "final"])
def test_infinite_boxes_are_left_out_as_well(tmp_path: Path, layout: str) -> None:
    rows = rows_with_one_broken(layout, "box", float("inf"))
    path = build(tmp_path / "inf.onnx", rows, layout=layout, names="['a']")
    (found,) = OnnxSegmenter(config(path)).segment([frame()])
    assert (len(found), found.non_finite) == (1, 1)


@pytest.mark.parametrize("layout", ["v8", "v5", "final"])
@pytest.mark.parametrize("where", ["box", "coefficient"])
def test_where_the_only_object_is_not_finite_the_answer_is_unusable(
    tmp_path: Path, layout: str, where: str
) -> None:
    rows = rows_with_one_broken(layout, where)[:1]
    path = build(tmp_path / "nan.onnx", rows, layout=layout, names="['a']")
    (found,) = OnnxSegmenter(config(path)).segment([frame()])
    instances = instances_of(REF, found)
    assert instances.skipped == NOT_FINITE and not len(instances.scores)


def test_an_anchor_without_a_score_among_many_leaves_the_frame_usable(tmp_path: Path) -> None:
    rows = [row_v8((9, 16, 20, 28), [float("nan")], ONES)]
    (found,) = OnnxSegmenter(config(build(tmp_path / "nan.onnx", rows))).segment([frame()])
    assert (len(found), found.non_finite, found.invalid) == (0, 1, False)
    assert instances_of(REF, found).skipped == ""


def test_an_output_without_any_number_is_unusable(tmp_path: Path) -> None:
    rows = [row_v8((float("nan"),) * 4, [float("nan")], [float("nan")] * 4)] * CELLS
    (found,) = OnnxSegmenter(config(build(tmp_path / "nan.onnx", rows))).segment([frame()])
    assert (found.non_finite, found.invalid) == (CELLS, True)


def test_prototypes_that_are_not_finite_cost_the_objects_that_lie_on_them() -> None:
    prototypes = np.ones((4, 16, 16), np.float32)
    prototypes[0, 3, 3] = np.nan
    detections = np.zeros((9, CELLS), np.float32)
    detections[:, 0] = row_v8((14, 14, 12, 12), [0.9], ONES)
    detections[:, 1] = row_v8((48, 48, 12, 12), [0.8], ONES)
    pair = OutputPair("d", "p", HeadFormat("v8", 1), channels_last=False)
    layout = YoloLayout(ClassMap.from_names({0: "a"}), 0.5, (64, 64), pair, 0.6, (1.0, 1.0))
    letterbox = Letterbox.centered(64, 64, 64, 64)
    for spoiled, expected in ((prototypes, (1, 1, False)), (prototypes * np.nan, (0, 2, True))):
        outputs = {"d": detections[None], "p": spoiled[None]}
        found = layout.postprocess(outputs, 0, frame(), letterbox)
        assert (len(found), found.non_finite, found.invalid) == expected


def test_not_a_number_that_is_no_object_does_no_harm(tmp_path: Path) -> None:
    rows = [row_v8((float("nan"), 16, 20, 8), [0.1], ONES), row_v8((9, 9, 9, 9), [0.9], ONES)]
    (found,) = OnnxSegmenter(config(build(tmp_path / "nan.onnx", rows))).segment([frame()])
    np.testing.assert_allclose(found.scores, [0.9], atol=1e-6)


def test_names_of_the_file_go_before_names_of_the_configuration(tmp_path: Path) -> None:
    rows = [row_v8((9, 9, 9, 9), [0.9, 0.1], ONES)]
    named = build(tmp_path / "named.onnx", rows, names="{0: 'cat', 1: 'dog'}")
    bare = build(tmp_path / "bare.onnx", rows)
    assert OnnxSegmenter(config(named, classes=("x", "y"))).classes == ("cat", "dog")
    assert OnnxSegmenter(config(bare, classes=("x", "y"))).classes == ("x", "y")
    assert metadata(named)["task"] == "segment"
    assert class_names(config(bare)) is None
    with pytest.raises(ModelError, match="3 class names for 2 classes"):
        OnnxSegmenter(config(bare, classes=("x", "y", "z")))


def test_eighty_nameless_classes_are_those_of_coco(tmp_path: Path) -> None:
    path = build(tmp_path / "coco.onnx", [row_v8((9, 9, 9, 9), [0.9] + [0.0] * 79, ONES)])
    assert OnnxSegmenter(config(path)).classes == COCO
    assert len(set(COCO)) == 80


@pytest.mark.parametrize("names", ["{0: 'a', 2: 'b'}", "__import__('os')", "[1, 2]", "{", "5"])
def test_names_that_are_no_names_are_refused(tmp_path: Path, names: str) -> None:
    path = build(tmp_path / "names.onnx", [row_v8((9, 9, 9, 9), [0.9, 0.1], ONES)], names=names)
    with pytest.raises(ModelError, match="class names"):
        OnnxSegmenter(config(path))


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am a text file\n" * 9, b"\x08\x08:\xff\xff\xff\xff\x0f", b"\xff" * 99]
)
def test_file_that_is_no_model_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        OnnxSegmenter(config(path))
    assert "no.onnx: is not an ONNX model" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cut_off_model_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "cut.onnx", [row_v8((9, 9, 9, 9), [0.9], ONES)])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        OnnxSegmenter(config(path))


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none.onnx: cannot be read: No such file"):
        OnnxSegmenter(config(tmp_path / "none.onnx"))
    with pytest.raises(ModelError, match="cannot be read"):
        OnnxSegmenter(config(tmp_path))


def _one_node(path: Path, kind: int, shape: list[Any]) -> Path:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["out"])],
        "identity",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("out", kind, shape)],
    )
    return save(path, graph)


def test_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    kinds = onnx.TensorProto
    with pytest.raises(
        ModelError, match=r"outputs out \[1, 3, 64, 64\] are of no layout known here: RF-DETR"
    ):
        OnnxSegmenter(config(_one_node(tmp_path / "identity.onnx", kinds.FLOAT, [1, 3, 64, 64])))
    with pytest.raises(ModelError, match=r"input of type tensor\(uint8\); expected"):
        OnnxSegmenter(config(_one_node(tmp_path / "bytes.onnx", kinds.UINT8, [1, 3, 64, 64])))
    with pytest.raises(ModelError, match=r"input of shape \[1, 10\]; expected"):
        OnnxSegmenter(config(_one_node(tmp_path / "flat.onnx", kinds.FLOAT, [1, 10])))


def test_outputs_that_fit_no_layout_are_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "odd.onnx", [[0.0] * 5], layout="final", names="{0: 'a'}")
    with pytest.raises(ModelError, match=r"outputs output0 \[1, 7, 5\], output1 .*RF-DETR.*YOLO.*Mask R-CNN"):
        OnnxSegmenter(config(path))


def test_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    import onnxruntime

    path = build(tmp_path / "v8.onnx", [row_v8((9, 9, 9, 9), [0.9], ONES)])
    with pytest.raises(ModelError, match=r"model\.device: got tpu, expected auto, cpu, cuda or cuda:N"):
        OnnxSegmenter(ModelConfig(path=path, device="tpu"))
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ModelError, match="install onnxruntime-gpu or use cpu"):
            OnnxSegmenter(ModelConfig(path=path, device="cuda"))
        assert OnnxSegmenter(ModelConfig(path=path, device="auto")).device == "cpu"


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build(tmp_path / "v8.onnx", [row_v8((9, 9, 9, 9), [0.9], ONES)])
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="pip install onnxruntime"):
        OnnxSegmenter(config(path))


@pytest.mark.parametrize(
    ("detections", "prototypes", "expected"),
    [
        ((1, 25200, 117), (1, 32, 160, 160), ("v5", 80)),
        ((1, 116, 8400), (1, 32, 160, 160), ("v8", 80)),
        ((1, 37, 8400), (1, 32, 160, 160), ("v8", 1)),
        ((1, 25200, 38), (1, 32, 160, 160), ("v5", 1)),
        ((1, 300, 38), (1, 32, 160, 160), ("final", None)),
        ((1, 34000, 117), (1, 32, 160, 160), ("v5", 80)),
    ],
)
def test_layouts_are_told_apart_by_shape(
    detections: tuple[int, ...], prototypes: tuple[int, ...], expected: tuple[str, int | None]
) -> None:
    head = HeadFormat.of_shapes(detections, prototypes, (640, 640))
    assert head is not None and (head.kind, head.classes) == expected


@pytest.mark.slow
def test_real_export_small_masks_equal_full_size_ones(shared_data: Path) -> None:
    av = pytest.importorskip("av")
    model = OnnxSegmenter(config(shared_data / "models/yolov5s-seg.onnx", score=0.4))
    for clip, people in (("pets09-s2l1.avi", 5), ("tud-stadtmitte.mp4", 5)):
        with av.open(str(shared_data / "clips" / clip)) as container:
            picture = next(picture for n, picture in enumerate(container.decode(video=0)) if n == 100)
        planes = Planes.from_rgb(picture.to_ndarray(format="rgb24"))
        (found,) = model.segment([planes])
        assert sum(model.classes[row] == "person" for row in found.class_ids) >= people

        blob = np.zeros((1, 3, 640, 640), np.float32)
        layout = model._layout
        assert isinstance(layout, YoloLayout)
        box = layout.preprocess(planes, blob[0])
        detections, prototypes = model._runner.run(blob).values()
        rows = layout.pair.head.rows(detections[0])
        rows = rows[layout.pair.head.confidence(rows, 32) >= 0.4]
        likely = non_maximum_suppression(decode(rows, layout.pair.head, 32, 0.4), 0.6)
        overlaps = []
        for row, coefficients in enumerate(likely.coefficients):
            logits = (coefficients @ prototypes[0].reshape(32, -1)).reshape(160, 160)
            inner = cv2.resize(logits, (640, 640))[
                box.top : box.top + box.inner_height, box.left : box.left + box.inner_width
            ]
            full = cv2.resize(inner, (planes.width, planes.height)) > 0
            x0, y0, x1, y1 = np.rint(found.boxes_px[row]).astype(int)
            expected = full[y0:y1, x0:x1]
            ours = cv2.resize(found.masks[row], (x1 - x0, y1 - y0)) >= 128
            overlaps.append((ours & expected).sum() / (ours | expected).sum())
        assert min(overlaps) > 0.93 and np.mean(overlaps) > 0.96
