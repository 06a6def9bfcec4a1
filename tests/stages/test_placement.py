"""A stream keeps its place while others come and go."""

from __future__ import annotations

from pipeline.config.schema import Config
from pipeline.stages.placement import Placement
from pipeline.stages.topology import processes


def config(*names: str) -> Config:
    streams = {name: {"source": f"{name}.mp4"} for name in names}
    return Config.model_validate({"streams": streams, "tracker": {"workers": 2}, "model": {"workers": 3}})


def test_numbers_and_tracking_processes_stay_when_streams_are_added_and_removed() -> None:
    first = Placement.of(config("a", "b", "c"))
    later = first.following(config("c", "d")).following(config("a", "c", "d", "e"))
    assert later.numbers == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}
    assert [later.tracker_of(name) for name in "abc"] == [first.tracker_of(name) for name in "abc"]
    assert later.trackers == 2


def test_no_two_processes_have_the_same_port() -> None:
    placement = Placement.of(config("a", "b"))
    now = config("a", "b", "c", "d")
    later = placement.following(now)
    offsets = [later.port_offset(one.stage.name, one.index, now) for one in processes(now, later)]
    assert sorted(offsets) == list(range(len(offsets)))
    before = [
        placement.port_offset(one.stage.name, one.index, now)
        for one in processes(config("a", "b"), placement)
    ]
    assert before == list(range(len(before)))
