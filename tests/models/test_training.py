"""Training: it learns, the same seed learns the same, and its examples tell the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.demo.scene.world import Scene
from pipeline.errors import ModelError
from pipeline.geometry.mask_paste import paste_mask
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE
from pipeline.models.maskrcnn.compact_weights import STREET_CLASSES, load_weights
from pipeline.models.training.augment import augment, mask_targets
from pipeline.models.training.loop import Hyperparameters, Progress, fit, moving_average, street_rounds, train
from pipeline.models.training.mask_ap import average_precision, oracle_detections
from pipeline.models.training.scene_samples import ExampleCache, example_of, through_h264
from pipeline.transport.planes import Planes
from tests.models.training_pictures import Picture, Thing, picture, pictures


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    cache = ExampleCache.render(tmp_path / "cache", pictures, range(4), STREET_CLASSES)
    told: list[Progress] = []
    settings = Hyperparameters(seed=1, steps=12, batch=2, warm_up=3)
    fit(cache, tmp_path / "out.safetensors", settings, device="cpu", report=told.append, report_every=3)
    assert [progress.step for progress in told] == [3, 6, 9, 12]
    assert told[-1].loss < 0.8 * told[0].loss
    assert set(told[0].losses) == {"object", "proposal", "class", "box", "mask"}
    assert load_weights(tmp_path / "out.safetensors")[1] == STREET_CLASSES


def test_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.safetensors"
        settings = Hyperparameters(seed=seed, steps=1, batch=1, warm_up=1)
        train(
            out,
            pictures,
            cache=tmp_path / "cache",
            scenes=1,
            rounds=[settings],
            device="cpu",
            log=lambda line: None,
        )
        weights.append(load_weights(out)[0])
    first, again, other = weights
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_frames_are_rendered_once(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = Hyperparameters(steps=1, batch=1)
    for _ in range(2):
        train(
            tmp_path / "w.safetensors",
            pictures,
            cache=tmp_path,
            scenes=1,
            rounds=[settings],
            device="cpu",
            log=lines.append,
        )
    assert sum("4 rendered frames found" in line for line in lines) == 1


def test_a_folder_of_something_else_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text('{"classes": ["person"]}')
    with pytest.raises(ModelError, match="not a complete cache of rendered frames"):
        train(tmp_path / "w.safetensors", pictures, cache=tmp_path, rounds=[], device="cpu")


def test_a_second_round_goes_on_from_the_first(tmp_path: Path) -> None:
    made = {}
    slow = Hyperparameters(seed=2, steps=1, batch=1, learning_rate=1e-9)
    for name, rounds in (
        ("one", [Hyperparameters(seed=1, steps=1, batch=1)]),
        (
            "both",
            [
                Hyperparameters(seed=1, steps=1, batch=1),
                Hyperparameters(seed=2, steps=1, batch=1, learning_rate=1e-9),
            ],
        ),
        ("other", [slow]),
    ):
        out = tmp_path / f"{name}.safetensors"
        train(
            out,
            pictures,
            cache=tmp_path / "cache",
            scenes=1,
            rounds=rounds,
            device="cpu",
            log=lambda line: None,
        )
        made[name] = load_weights(out)[0]["rpn.head.cls_logits.weight"].float()
    assert torch.allclose(made["both"], made["one"], atol=1e-4)
    assert not torch.allclose(made["other"], made["one"], atol=1e-4)


def test_the_model_that_ships_is_made_in_two_rounds_the_second_at_half_the_rate() -> None:
    first, second = street_rounds(seed=1, steps=6000)
    assert (first.steps, first.seed, second.steps, second.seed) == (4500, 1, 1500, 2)
    assert second.learning_rate == pytest.approx(first.learning_rate / 2)


def test_rate_rises_then_falls_to_nearly_nothing() -> None:
    settings = Hyperparameters(steps=1000, learning_rate=1e-3, warm_up=100)
    assert settings.learning_rate_at(0) == pytest.approx(1e-5)
    assert settings.learning_rate_at(100) == pytest.approx(1e-3)
    assert settings.learning_rate_at(999) == pytest.approx(1e-5, rel=0.01)
    assert all(
        settings.learning_rate_at(step) >= settings.learning_rate_at(step + 1) for step in range(100, 999)
    )


def test_weights_are_averaged_over_a_time_that_grows_with_the_steps() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = moving_average(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)), 0.25)
    averaged.update_parameters(model)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for step in range(1, 8):
        for value in (*model.parameters(), *model.buffers()):
            value.data += 1
        averaged.update_parameters(model)
        decay = min(0.25, (1 + step) / (10 + step))  # reaches 0.25 at the second step
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
    for name, value in averaged.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])


# -- examples ---------------------------------------------------------------------------------------------


def test_objects_that_are_nearly_hidden_or_of_other_classes_are_not_learnt() -> None:
    full = picture(3)
    things = (full.instances[0], Thing(2, "car", visible=0.05), Thing(3, "dog"))
    example = example_of(Picture(full.image, full.labels, things), STREET_CLASSES)
    assert example.class_ids.tolist() == [STREET_CLASSES.index("person")]
    assert set(np.unique(example.labels)) == {0, 1}


def test_without_augmentation_boxes_are_those_of_the_label_map() -> None:
    example = example_of(picture(1, 640, 360), STREET_CLASSES)
    augmented = augment(example, np.random.default_rng(0), random=False)
    for box, label in zip(augmented.boxes, augmented.ids, strict=True):
        rows, columns = np.nonzero(example.labels == label)
        true = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * INPUT_SIZE[0] / 640
        np.testing.assert_allclose(box, true, atol=1e-3)


def test_augmented_objects_stay_under_their_boxes_and_masks() -> None:
    """Colours tell the objects apart: red discs, blue boxes; the pixels under a mask must have that colour."""
    right = seen = 0
    for seed in range(40):
        example = example_of(picture(seed, 640, 360), STREET_CLASSES)
        augmented = augment(example, np.random.default_rng(seed))
        assert augmented.image.shape == (3, INPUT_SIZE[1], INPUT_SIZE[0])
        cells = mask_targets(augmented.labels, augmented.ids, augmented.boxes, augmented.letterbox, 28)
        for box, class_id, cell in zip(augmented.boxes, augmented.class_ids, cells, strict=True):
            assert (
                (box[2:] > box[:2]).all()
                and box[2] <= augmented.letterbox.inner_width
                and box[3] <= augmented.letterbox.inner_height
            )
            mask = paste_mask((cell * 255).astype(np.uint8), box, INPUT_SIZE[0], INPUT_SIZE[1])
            red_more_than_blue = float(augmented.image[2][mask].mean()) > float(
                augmented.image[1][mask].mean()
            )
            right += red_more_than_blue == (class_id == STREET_CLASSES.index("person"))
            seen += 1
    assert seen > 60
    assert right == seen


def test_mask_target_of_half_a_box_is_half_full() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[20:60, 30:50] = 7
    roi = np.array([[30, 20, 70, 60]], np.float32)
    (cells,) = mask_targets(labels, np.array([7]), roi, Letterbox(0, 0, 100, 100, 1.0, 1.0), 28)
    assert (cells[:, :14] == 1).all() and (cells[:, 14:] == 0).all()


def test_h264_keeps_the_picture_in_its_place() -> None:
    planes = Planes.from_rgb(picture(5, 320, 180).image)
    coded = through_h264([planes], 28)
    assert (coded.width, coded.height) == (320, 180)
    assert 0 < np.abs(coded.y.astype(int) - planes.y).mean() < 6


def test_of_a_run_of_frames_the_last_comes_out() -> None:
    run = [Planes.from_rgb(picture(seed, 320, 180).image) for seed in range(4)]
    coded = through_h264(run, 28)
    apart = [np.abs(coded.y.astype(int) - planes.y).mean() for planes in run]
    assert min(apart) == apart[-1] < 6


# -- the metric ---------------------------------------------------------------------------------------------


def test_faultless_answers_have_nearly_full_precision() -> None:
    frames = [Scene.from_seed(seed, width=640, height=360).frame(100) for seed in (9_000_000, 9_000_001)]
    figures = average_precision(
        frames, [oracle_detections(one, STREET_CLASSES) for one in frames], STREET_CLASSES
    )
    assert figures["ap50"] == 1.0
    assert float(figures["ap"]) > 0.9  # type: ignore[arg-type]


def test_answers_beside_the_objects_have_none() -> None:
    frames = [picture(1, 640, 360)]
    found = oracle_detections(frames[0], STREET_CLASSES)
    beside = Detections(
        (found.boxes_px + 60) % 300 + [0, 0, 40, 40], found.scores, found.class_ids, found.masks
    )
    assert float(average_precision(frames, [beside], STREET_CLASSES)["ap50"]) < 0.1  # type: ignore[arg-type]
    nothing = average_precision(frames, [Detections.empty()], STREET_CLASSES)
    assert nothing["ap50"] == 0.0
