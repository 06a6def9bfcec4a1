"""Which images a command line means, and the names of their results."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.images.image_paths import ResultNames, gather


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("img10.jpg", "img2.JPG", "notes.txt", "odd[1].png", "below/deep.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(found: list[Path]) -> list[str]:
    return [path.name for path in found]


def test_a_folder_gives_its_images_in_natural_order(photos: Path) -> None:
    assert names(gather([str(photos)]).paths) == ["img2.JPG", "img10.jpg", "odd[1].png"]


def test_a_pattern_reaches_below(photos: Path) -> None:
    assert names(gather([f"{photos}/**/*.png"]).paths) == ["deep.png", "odd[1].png"]


def test_a_file_whose_name_looks_like_a_pattern_is_the_file(photos: Path) -> None:
    assert names(gather([f"{photos}/odd[1].png"]).paths) == ["odd[1].png"]


def test_what_is_named_twice_is_taken_once(photos: Path) -> None:
    assert len(gather([str(photos), f"{photos}/*.jpg", f"{photos}/below/../img10.jpg"]).paths) == 3


def test_words_that_name_nothing_are_told(photos: Path) -> None:
    (photos / "none").mkdir()
    gathered = gather([f"{photos}/gone.jpg", f"{photos}/*.bmp", f"{photos}/none", f"{photos}/img10.jpg"])
    assert names(gathered.paths) == ["img10.jpg"]
    assert gathered.problems == [
        f"{photos}/gone.jpg: there is no such file or folder",
        f"{photos}/*.bmp: no file matches this pattern",
        f"{photos}/none: no images in this folder",
    ]


def test_equal_stems_get_names_of_their_own(tmp_path: Path) -> None:
    given = ResultNames(tmp_path, [], (".boxes.jpg",))
    stems = ["a/x.jpg", "b/x.png", "c/X.jpg", "d/x-2.jpg", "e/y.jpg"]
    assert [given.name(Path(stem)) for stem in stems] == ["x", "x-2", "X-3", "x-2-2", "y"]


def test_no_result_takes_the_place_of_an_image(tmp_path: Path) -> None:
    images = [tmp_path / "x.jpg", tmp_path / "x.boxes.jpg"]
    given = ResultNames(tmp_path, images, (".boxes.jpg", ".masks.jpg"))
    assert [given.name(path) for path in images] == ["x-2", "x.boxes"]
