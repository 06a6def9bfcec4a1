"""Filters and `skip_static` in a configuration: what may be written, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.arguments import choose_model
from pipeline.config.load import load, load_without_file
from pipeline.errors import ConfigError

TRIANGLE = "[[0, 0], [1, 0], [1, 1]]"


def stream(text: str):
    return load_without_file([f"streams.none.{text}"]).streams["none"]


@pytest.mark.parametrize(
    ("text", "enabled", "threshold"),
    [
        ("skip_static=true", True, 10.0),
        ("skip_static=false", False, 10.0),
        ("skip_static={threshold: 4}", True, 4.0),
        ("skip_static.threshold=4", True, 4.0),
        ("slots=12", False, 10.0),
    ],
)
def test_skip_static_is_a_switch_or_settings(text: str, enabled: bool, threshold: float) -> None:
    static = stream(text).skip_static
    assert (static.enabled, static.threshold) == (enabled, threshold)


def test_an_area_is_a_list_of_points_or_more() -> None:
    plain, named = stream(f"filter.exclude=[{TRIANGLE}, {{points: {TRIANGLE}, by: mask}}]").filter.exclude
    assert (plain.points, plain.by, plain.anchor) == (named.points, "anchor", "foot")
    assert named.by == "mask"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("skip_static.treshold=3", "streams.none.skip_static: unknown key `treshold`; did you mean `threshold`?"),
        ("skip_static=[1]", "--set: streams.none.skip_static: expected a mapping, got a list of 1"),
        ("filter.exclude=[[[0, 0], [1, 0]]]", "filter.exclude[0].points: expected at least 3, got a list of 2"),
        (f"filter.exclude=[{{pionts: {TRIANGLE}}}]", "filter.exclude[0]: unknown key `pionts`; did you mean `points`?"),
        ("filter.scores={person: 2}", "filter.scores.person: expected less than or equal to 1, got 2"),
        ("filter={min_area: 0.5, max_area: 0.2}", "streams.none.filter: min_area 0.5 is not below max_area 0.2"),
    ],
)  # fmt: skip
def test_mistakes_name_their_place(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stream(text)
    assert error in str(caught.value)


def test_a_filter_survives_the_way_to_the_processes() -> None:
    config = load_without_file([f"streams.none.filter.include=[{TRIANGLE}]", "streams.none.skip_static=true"])
    assert type(config).model_validate(config.model_dump(mode="json")) == config


def test_a_model_is_chosen_by_name_or_file_over_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("{model: {name: street, score: 0.7, device: cpu}, streams: {gate: {source: x.mp4}}}")
    assert load(path).model.name == "street"
    chosen = choose_model("some/model.onnx", path, ["model.batch=2"], score=0.2)
    assert (str(chosen.path), chosen.name, chosen.score, chosen.batch) == ("some/model.onnx", None, 0.2, 2)
    assert choose_model("maskrcnn_resnet50_fpn").name == "maskrcnn_resnet50_fpn"
    assert choose_model("package.module:Name").name == "package.module:Name"
    assert choose_model(None, path).score == 0.7
    with pytest.raises(ConfigError, match="unknown key `scroe`"):
        choose_model(None, None, ["model.scroe=1"])
