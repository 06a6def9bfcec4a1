"""Photos through a model: pictures, cut-outs and the JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.cli.app import main
from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError, OutputError
from pipeline.images import image_job
from pipeline.images.drawing import cut_out_of, draw, silhouettes
from pipeline.images.image_job import ImageReport, process
from pipeline.models.detections import Detections
from pipeline.transport.planes import Planes


def disc() -> np.ndarray:
    """(28, 28) uint8: a mask that leaves the box's corners out."""
    rows, columns = np.mgrid[:28, :28] + 0.5
    return np.asarray((np.hypot(rows - 14, columns - 14) < 13) * 255, np.uint8)


def found(*boxes: tuple[float, float, float, float], class_ids: Sequence[int] | None = None) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.6, count).astype(np.float32),
        np.array(class_ids or [0] * count, np.int16),
        np.stack([disc()] * count) if count else np.zeros((0, 28, 28), np.uint8),
    )


class OneEach:
    """Finds a person in the left half of every picture and a car in the right half."""

    classes = ("person", "traffic light")
    device = "cpu"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.frames: list[Planes] = []

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        self.batches.append(len(frames))
        self.frames += frames
        return [self.one(frame) for frame in frames]

    def one(self, frame: Planes) -> Detections:
        width, height = frame.width, frame.height
        boxes = [(2, 2, width / 2 - 2, height - 2), (width / 2 + 2, 2, width - 2, height - 2)]
        return found(*boxes, class_ids=[0, 1])


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> OneEach:
    made = OneEach()
    monkeypatch.setattr(image_job.registry, "load", lambda config: made)
    return made


def photo(path: Path, width: int = 160, height: int = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 255, (height, width, 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)
    return path


def test_every_image_has_three_pictures_and_its_cut_outs(tmp_path: Path, model: OneEach) -> None:
    outcome = process([photo(tmp_path / "in" / "a.png")], tmp_path / "out", ModelConfig())
    made = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert made == {
        "a.boxes.jpg", "a.masks.jpg", "a.both.jpg", "instances.json",
        "cutouts/a-01-person.png", "cutouts/a-02-traffic_light.png",
    }  # fmt: skip
    assert (outcome.images, outcome.objects, outcome.failures) == (1, {"person": 1, "traffic light": 1}, [])


def test_the_model_gets_the_photo_as_video_and_in_its_full_colour(tmp_path: Path, model: OneEach) -> None:
    path = photo(tmp_path / "in" / "a.png")
    process([path], tmp_path / "out", ModelConfig())
    (frame,) = model.frames
    with Image.open(path) as picture:
        np.testing.assert_array_equal(frame.rgb, np.asarray(picture))
    assert frame.rgb is not None
    np.testing.assert_array_equal(frame.y, Planes.from_rgb(frame.rgb).y)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (300, 1), (2, 2)])
def test_a_tiny_image_is_drawn_like_any_other(tmp_path: Path, model: OneEach, size: tuple[int, int]) -> None:
    paths = [photo(tmp_path / "in" / "dot.png", *size), photo(tmp_path / "in" / "street.png")]
    outcome = process(paths, tmp_path / "out", ModelConfig(), count=["person"])
    assert (outcome.images, outcome.failures) == (2, [])
    with Image.open(tmp_path / "out" / "dot.both.jpg") as drawn:
        assert drawn.size == size


def test_the_json_is_read_by_the_coco_api_with_the_masks_that_are_drawn(
    tmp_path: Path, model: OneEach
) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    paths = [photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "tall.png", 90, 200)]
    process(paths, tmp_path / "out", ModelConfig())
    api = coco.COCO(str(tmp_path / "out" / "instances.json"))
    assert [api.imgs[i]["file_name"] for i in (1, 2)] == list(map(str, paths))
    assert [category["name"] for category in api.loadCats([1, 2])] == ["person", "traffic light"]
    (one, two) = api.loadAnns(api.getAnnIds(imgIds=[2]))
    assert (two["category_id"], two["score"], two["bbox"]) == (2, 0.6, [47.0, 2.0, 41.0, 196.0])
    mask = api.annToMask(two)
    assert mask.shape == (200, 90) and mask.sum() == two["area"]
    assert mask[100, 67] == 1 and mask[4, 49] == 0 and not mask[:, :47].any()
    assert api.annToMask(one)[100, 20] == 1


def test_outside_of_what_is_drawn_every_pixel_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)
    objects = found((100, 80, 180, 200))
    shapes = silhouettes(objects, 320, 240)
    for boxes, masks in ((True, False), (False, True), (True, True)):
        drawn = draw(picture, objects, shapes, ("person",), boxes=boxes, masks=masks)
        changed = (drawn != picture).any(axis=2)
        assert changed[80:200, 100:180].any()
        changed[76:204, 96:184] = False  # the strokes' width
        changed[40:80, 80:260] = False  # the label
        assert not changed.any()
    assert np.array_equal(draw(picture, objects, shapes, ("person",), boxes=False, masks=False), picture)


def test_a_cut_out_is_its_object_and_nothing_else() -> None:
    picture = np.full((240, 320, 3), 200, np.uint8)
    objects = found((100, 80, 180, 200))
    (shape,) = silhouettes(objects, 320, 240)
    cut = cut_out_of(picture, shape)
    assert cut.shape == (120, 80, 4)
    assert (cut[..., 3] >= 128).tolist() == shape.inside.tolist()
    assert cut[60, 40].tolist() == [200, 200, 200, 255] and cut[0, 0].tolist() == [0, 0, 0, 0]


def test_a_box_over_the_edge_of_a_tiny_image() -> None:
    picture = np.zeros((1, 3, 3), np.uint8)
    objects = found((0, 0, 3, 1), (0.4, 0.6, 0.45, 0.7))
    shapes = silhouettes(objects, 3, 1)
    drawn = draw(picture, objects, shapes, ("person",), boxes=True, masks=True, counts={"person": 2})
    assert drawn.shape == (1, 3, 3)


def test_unreadable_images_are_told_and_the_others_go_on(tmp_path: Path, model: OneEach) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    events: list[ImageReport] = []
    paths = [broken, photo(tmp_path / "a.png"), photo(tmp_path / "b.png")]
    outcome = process(paths, tmp_path / "out", ModelConfig(), count=["person"], on_image=events.append)
    assert outcome.images == 2
    assert len(outcome.failures) == 1 and str(broken) in outcome.failures[0]
    assert [(event.path.name, event.counts) for event in events] == [
        ("broken.jpg", {}), ("a.png", {"person": 1}), ("b.png", {"person": 1}),
    ]  # fmt: skip


def test_images_of_one_stem_do_not_share_results(tmp_path: Path, model: OneEach) -> None:
    process(
        [photo(tmp_path / "x" / "a.png"), photo(tmp_path / "y" / "a.png")], tmp_path / "out", ModelConfig()
    )
    images = json.loads((tmp_path / "out" / "instances.json").read_text())["images"]
    assert [image["name"] for image in images] == ["a", "a-2"]
    assert (tmp_path / "out" / "a-2.both.jpg").is_file()


def test_batches_are_full_but_large_images_go_in_smaller_ones(
    tmp_path: Path, model: OneEach, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [photo(tmp_path / f"{n}.png") for n in range(5)]
    process(paths, tmp_path / "out", ModelConfig(batch=4))
    monkeypatch.setattr(image_job, "BATCH_PIXELS", 2 * 160 * 120)
    process(paths, tmp_path / "out", ModelConfig(batch=4))
    assert model.batches == [4, 1, 2, 2, 1]


def test_numbers_that_are_none_leave_the_image_out(
    tmp_path: Path, model: OneEach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "one", lambda frame: found((np.nan, 0, 3, 3)))
    outcome = process([photo(tmp_path / "a.png")], tmp_path / "out", ModelConfig())
    assert outcome.images == 0
    assert outcome.failures == [f"{tmp_path / 'a.png'}: the model returned NaN or infinite values"]


def test_an_object_that_is_not_finite_is_left_out_and_the_others_are_drawn(
    tmp_path: Path, model: OneEach, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = ((2, 2, 60, 60), (np.nan, 0, 3, 3), (70, 2, 90, 60))
    monkeypatch.setattr(model, "one", lambda frame: found(*boxes))
    reports: list[ImageReport] = []
    outcome = process([photo(tmp_path / "a.png")], tmp_path / "out", ModelConfig(), on_image=reports.append)
    assert (outcome.images, outcome.failures, outcome.objects["person"]) == (1, [], 2)
    assert reports[0].note.endswith("a.png: rows of the model's output left out for NaN or infinity: 1")


def test_a_class_that_the_model_has_not_is_refused_before_any_work(tmp_path: Path, model: OneEach) -> None:
    with pytest.raises(ModelError, match="--count: the model has no class 'persn'; did you mean person?"):
        process([photo(tmp_path / "a.png")], tmp_path / "out", ModelConfig(), count=["persn"])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, model: OneEach) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out/cutouts: cannot be created"):
        process([photo(tmp_path / "a.png")], tmp_path / "out", ModelConfig())


def command(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Exit code of `tallycam image`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["tallycam", "image", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_counts_in_a_frame_of_the_demo(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with av.open(str(root / "pipeline/demo/data/demo.mp4")) as clip:
        frame = next(frame for n, frame in enumerate(clip.decode(video=0)) if n == 150)
    Image.fromarray(frame.to_ndarray(format="rgb24")).save(tmp_path / "street.png")
    words = (f"{tmp_path}/*.png", tmp_path / "gone.jpg", "--out", tmp_path / "out", "--count", "person")
    assert command(monkeypatch, *words) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path}/street.png: person 3\n1 image: person 3\n")
    assert err == f"{tmp_path}/gone.jpg: there is no such file or folder\n"


def test_the_command_fails_when_no_image_can_be_used(
    tmp_path: Path, model: OneEach, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").touch()
    assert command(monkeypatch, tmp_path / "a.jpg", "--out", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == "" and first.startswith(f"{tmp_path / 'a.jpg'}: cannot be read as an image")
    assert second == "tallycam: image: none of 1 images could be used"
