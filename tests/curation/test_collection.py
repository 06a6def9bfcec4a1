"""`tallycam data collect`: frames for labelling, chosen from what the model is in doubt about."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.curation.choice import choose, distances, look_of
from pipeline.curation.doubt import DoubtJudge, unsure
from pipeline.datasets.formats import read_dataset
from pipeline.datasets.image_files import read_image
from pipeline.datasets.problems import DatasetError
from pipeline.demo.scene.world import Scene
from pipeline.errors import SourceError


@dataclass(frozen=True)
class Shot:
    look: NDArray[np.float32]
    doubt: float = 0.0


def shot(grey: int, box: tuple[float, float, float, float] | None = None, doubt: float = 0.0) -> Shot:
    return Shot(look_of(np.full((90, 160), grey, np.uint8), [box] if box else []), doubt)


# -- doubt ------------------------------------------------------------------------------------------------


def test_scores_close_to_the_threshold_are_doubtful_on_either_side() -> None:
    thresholds = np.full(4, 0.5, np.float32)
    assert unsure(np.float32([0.5, 0.9, 0.1, 0.3]), thresholds) == pytest.approx(1.0)
    assert unsure(np.float32([0.44, 0.56, 0.9, 0.9]), thresholds) == pytest.approx(1.2, abs=1e-5)
    unused = np.float32([np.inf] * 4)
    assert unsure(np.float32([0.5] * 4), unused) == 0, "a class that is not used leaves no doubt"


def watched(objects: dict[int, list[int]], held: int, seconds: float = 0.1) -> tuple[float, tuple[str, ...]]:
    """The judgement of frame `held`, where frame n shows `objects[n]`."""
    judge, judged = DoubtJudge[int](), []
    for number, seen in sorted(objects.items()):
        judged += judge.see(number * seconds, seen)
        if number == held:
            judge.hold(number, number * seconds, 0.0, seen)
    judged += judge.rest()
    ((what, doubt, reasons),) = [(one.what, one.doubt, one.reasons) for one in judged]
    assert what == held
    return doubt, reasons


def test_an_object_that_was_there_before_and_after_a_frame_was_missed_in_it() -> None:
    assert watched({0: [1], 1: [1], 2: [], 3: [1]}, held=2) == (0.5, ("missed",))
    assert watched({0: [1], 1: [1], 2: [1], 3: [1]}, held=2) == (0.0, ())
    assert watched({0: [1], 1: [1], 2: [], 3: [2]}, held=2) == (0.0, ()), "it left, and another one came"
    late = {0: [1], 1: [], 30: [1]}
    assert watched(late, held=1) == (0.0, ()), "after three seconds it may have been away"


def test_a_frame_is_judged_once_it_is_known_what_came_back() -> None:
    judge = DoubtJudge[str]()
    judge.see(0.0, [1])
    judge.hold("first", 0.0, 3.0, [1])
    assert judge.see(1.9, [1]) == []
    (judged,) = judge.see(2.0, [1])
    assert (judged.what, judged.doubt, judged.reasons) == ("first", 1.0, ("unsure",))
    assert judge.rest() == []


# -- choice -----------------------------------------------------------------------------------------------


def test_frames_that_differ_are_chosen_before_those_that_do_not() -> None:
    same = [shot(100) for _ in range(5)]
    other, elsewhere = shot(160), shot(100, (20.0, 20.0, 60.0, 80.0))
    assert choose([*same, other, elsewhere], 3) == [same[0], other, elsewhere]


def test_of_frames_alike_the_doubtful_one_is_chosen_and_only_that() -> None:
    plain, doubtful = shot(100), shot(100, doubt=1.0)
    assert choose([plain, doubtful], 2) == [doubtful]


@given(st.lists(st.tuples(st.integers(0, 255), st.floats(0, 1)), max_size=12), st.integers(0, 8))
def test_as_many_as_are_wanted_are_chosen_and_none_twice(frames: list[tuple[int, float]], count: int) -> None:
    candidates = [shot(grey, doubt=doubt) for grey, doubt in frames]
    chosen = choose(candidates, count)
    assert len(chosen) == min(count, len({grey for grey, _ in frames}))
    assert len({id(one) for one in chosen}) == len(chosen)
    looks = [one.look for one in chosen]
    for number, look in enumerate(looks):
        others = [one for place, one in enumerate(looks) if place != number]
        assert not others or distances(look, np.stack(others)).min() > 0


# -- the command ------------------------------------------------------------------------------------------


def write_street(path: Path, frames: int) -> None:
    """A rendered street at 10 frames per second."""
    street = Scene.from_seed(20_001, width=320, height=180)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(frames):
            image = street.frame(200 + 3 * number).image
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.slow
def test_a_recording_becomes_a_dataset_with_what_the_model_found(tmp_path: Path) -> None:
    out, clip = tmp_path / "collected", tmp_path / "street.mp4"
    write_street(clip, frames=40)
    asked = ["data", "collect", str(clip), str(out), "--set", "model.name=street"]
    done = CliRunner().invoke(app, [*asked, "--images", "5", "--every", "0.4"])
    assert done.exit_code == 0, done.output
    dataset = read_dataset(out)
    assert len(dataset.images) == 5 and not dataset.problems
    assert set(dataset.classes) <= {"person", "bicycle", "car", "bus"}
    objects = [one for image in dataset.images for one in image.instances]
    assert len(objects) >= 5
    assert all(one.polygons and one.score is not None and one.score >= 0.5 for one in objects)
    for image in dataset.images:
        assert read_image(dataset, image).shape[:2] == (180, 320)
    rows = list(csv.DictReader((out / "collected.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [
        image["file_name"]
        for image in json.loads((out / "annotations/instances_default.json").read_text())["images"]
    ]
    assert all(row["why"] for row in rows)
    assert [float(row["time_s"]) for row in rows] == sorted(float(row["time_s"]) for row in rows)

    again = CliRunner().invoke(app, asked)
    assert isinstance(again.exception, DatasetError) and "is not empty; give a new" in str(again.exception)


def test_a_source_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "collect", str(tmp_path / "no.mp4"), str(tmp_path / "out")])
    assert isinstance(done.exception, SourceError) and "no such file" in str(done.exception)
    assert not (tmp_path / "out").exists()
