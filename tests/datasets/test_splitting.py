"""Divided datasets: groups stay together, shares are met, and near-identical frames do not leak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.alike import alike, fingerprints
from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.splitting import camera_of, clip_of, divide
from tests.datasets.made import picture

SHARES = {"train": 0.8, "val": 0.2}


def plain(*paths: str, objects: int = 1) -> Dataset:
    """A dataset without files."""
    instances = tuple(Instance(n % 2, (1.0 + n, 1.0, 9.0 + n, 9.0)) for n in range(objects))
    images = tuple(LabelledImage(path, 64, 48, instances) for path in paths)
    return Dataset(Path("none"), ("a", "b"), images)


@pytest.mark.parametrize(
    ("path", "camera", "clip"),
    [
        ("gate/2026-01-05_000120.jpg", "gate", "gate/2026-01-05"),
        ("images/train/gate/000120.jpg", "gate", "gate/number"),
        ("cam3_evening_frame0042.png", "cam3", "cam3_evening"),
        ("images/yard-0001.jpg", "yard", "yard"),
    ],
)
def test_camera_and_clip_are_told_by_the_path(path: str, camera: str, clip: str) -> None:
    assert (camera_of(path), clip_of(path)) == (camera, clip)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(0, 1000))
def test_every_clip_is_in_one_split_and_no_split_is_empty(sizes: list[int], seed: int) -> None:
    dataset = plain(
        *(f"clip{number}-x/{frame:03d}.jpg" for number, size in enumerate(sizes) for frame in range(size))
    )
    done = divide(dataset, "clip", SHARES, seed=seed)
    of_clip: dict[str, set[str]] = {}
    for image in done.dataset.images:
        of_clip.setdefault(clip_of(image.path), set()).add(image.split)
    assert all(len(splits) == 1 for splits in of_clip.values())
    assert {image.split for image in done.dataset.images} == {"train", "val"}


def test_the_shares_are_met_as_far_as_the_groups_allow() -> None:
    dataset = plain(*(f"clip{clip}/{frame:03d}.jpg" for clip in range(20) for frame in range(10)))
    done = divide(dataset, "camera", {"train": 0.7, "val": 0.2, "test": 0.1})
    counts = {
        name: sum(image.split == name for image in done.dataset.images) for name in ("train", "val", "test")
    }
    assert counts == {"train": 140, "val": 40, "test": 20}


def test_a_regular_expression_names_the_groups() -> None:
    done = divide(plain("day1-a.jpg", "day1-b.jpg", "day2-a.jpg"), r"(day\d)", SHARES)
    assert set(done.groups) == {"day1", "day2"}


@pytest.mark.parametrize(
    ("by", "text"),
    [
        ("camera", r"the images are in 1 group\(s\) \(one\), too few for 2 splits"),
        ("(", "is no regular expression"),
        ("one", "expected camera, clip, folder, image, or a regular expression with a group"),
        ("(two)", r"'\(two\)' does not match the path one/a.jpg"),
    ],
)
def test_groups_that_cannot_be_are_refused(by: str, text: str) -> None:
    with pytest.raises(DatasetError, match=text):
        divide(plain("one/a.jpg", "one/b.jpg"), by, SHARES)


def test_a_frame_that_looks_like_one_of_another_split_is_left_out(tmp_path: Path) -> None:
    dataset = replace(
        plain(*(f"clip{clip}/{frame}.png" for clip in range(4) for frame in range(3))), root=tmp_path
    )
    for number, image in enumerate(dataset.images):
        picture(tmp_path / image.path, 64, 48, 7 if number in (0, 11) else 100 + number)
    pairs = alike(dataset, fingerprints(dataset))
    assert [(pair.first, pair.second, pair.identical) for pair in pairs] == [(0, 11, True)]
    done = divide(dataset, "clip", {"train": 0.5, "val": 0.5}, pairs)
    together = done.groups["clip0/number"] == done.groups["clip3/number"]
    assert len(done.dataset.images) == (12 if together else 11)
    found = {seed: divide(dataset, "clip", SHARES, pairs, seed) for seed in range(12)}
    apart = [one for one in found.values() if one.groups["clip0/number"] != one.groups["clip3/number"]]
    assert apart and all(len(one.dataset.images) == 11 for one in apart)
    assert all(one.left_out[0][0].split("/")[0] + "/number" in one.groups for one in apart)
    for one in apart:  # what is left out would have been in train
        assert one.groups[clip_of(one.left_out[0][0])] == "train"


def test_frames_of_a_fixed_camera_are_alike_only_if_the_objects_are_in_the_same_places(
    tmp_path: Path,
) -> None:
    dataset = replace(plain("a.png", "b.png", "c.png"), root=tmp_path)
    for image in dataset.images:
        picture(tmp_path / image.path, 64, 48, 5)
    moved = tuple(replace(one, box_px=(40.0, 20.0, 50.0, 30.0)) for one in dataset.images[2].instances)
    images = (*dataset.images[:2], replace(dataset.images[2], instances=moved))
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes() + b"\0")  # not the same file
    pairs = alike(replace(dataset, images=images), fingerprints(dataset))
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1)]


def test_a_picture_that_is_coded_again_smaller_is_alike(tmp_path: Path) -> None:
    from PIL import Image

    dataset = replace(plain("a.png", "b.jpg", "c.png", objects=0), root=tmp_path)
    picture(tmp_path / "a.png", 640, 480, 1)
    smooth = Image.open(tmp_path / "a.png").resize((24, 18)).resize((640, 480))
    smooth.save(tmp_path / "a.png")
    smooth.resize((320, 240)).save(tmp_path / "b.jpg", quality=60)
    picture(tmp_path / "c.png", 640, 480, 2)
    pairs = alike(dataset, fingerprints(dataset))
    assert [(pair.first, pair.second, pair.identical) for pair in pairs] == [(0, 1, False)]
    assert np.array_equal([one is None for one in fingerprints(dataset)], [False] * 3)
