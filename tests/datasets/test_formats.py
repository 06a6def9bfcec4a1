"""Every format gives back what was written to it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.datasets.conversion import write_dataset
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.formats import FORMATS, read_dataset, recognise
from pipeline.datasets.usable import usable
from tests.datasets.made import dataset_of, objects_of

NO_OVERLAPS = {"voc"}


def blob(height: int, width: int, seed: int) -> np.ndarray:
    """(H, W) bool: an ellipse with noise at its edge, possibly in parts and with holes; never empty."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    cx, cy = rng.uniform(0, width), rng.uniform(0, height)
    distance = ((x - cx) / rng.uniform(1, width)) ** 2 + ((y - cy) / rng.uniform(1, height)) ** 2
    mask = np.asarray(distance + rng.uniform(0, 0.7) * rng.random((height, width)) < 1)
    mask[min(int(cy), height - 1), min(int(cx), width - 1)] = True
    return mask


def without_overlaps(masks: list[np.ndarray]) -> list[np.ndarray]:
    taken = np.zeros_like(masks[0])
    kept = []
    for mask in masks:
        if (free := mask & ~taken).any():
            kept.append(free)
            taken |= free
    return kept


def written_and_read(dataset: Dataset, form: str, out: Path) -> Dataset:
    write_dataset(dataset, out, form)
    return read_dataset(out)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("polygons", [False, True], ids=["run lengths", "polygons"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 2**31), min_size=1, max_size=5),
    st.integers(9, 70),
    st.integers(9, 70),
    st.sampled_from([("",), ("train", "val"), ("train", "test", "val")]),
)
def test_what_is_written_is_read_again_to_the_pixel(
    form: str, polygons: bool, seeds: list[int], height: int, width: int, splits: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        masks = [blob(height, width, seed) for seed in seeds]
        masks = without_overlaps(masks) if form in NO_OVERLAPS else masks
        dataset = dataset_of(Path(folder) / "in", [masks, masks[:1], masks], splits, polygons=polygons)
        out = Path(folder) / "out"
        back = written_and_read(dataset, form, out)
        assert recognise(out) == form
        assert not usable(back).problems
        assert objects_of(back) == objects_of(dataset)
        wanted = {Path(image.path).stem: image.split for image in dataset.images}
        if splits != ("",):
            assert {Path(image.path).stem: image.split for image in back.images} == wanted


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_without_objects_stays_in_the_dataset(form: str, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[3:9, 4:20] = True
    dataset = dataset_of(tmp_path / "in", [[mask], [mask]])
    bare = replace(dataset, images=(dataset.images[0], replace(dataset.images[1], instances=())))
    back = written_and_read(bare, form, tmp_path / "out")
    assert not back.problems
    assert sorted(len(image.instances) for image in back.images) == ([1] if form == "openimages" else [0, 1])
