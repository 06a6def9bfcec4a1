"""A stream keeps its place while others come and go."""

from __future__ import annotations

from pipeline.config.schema import Config
from pipeline.stages.placement import Placement
from pipeline.stages.topology import processes


class OfFrames:
    def write_frame(self) -> None: ...


class OfEvents:
    def write_events(self) -> None: ...


def config(*names: str) -> Config:
    streams = {name: {"source": f"{name}.mp4"} for name in names}
    return Config.model_validate({"streams": streams, "tracker": {"workers": 2}, "model": {"workers": 3}})


def test_numbers_and_tracking_processes_stay_when_streams_are_added_and_removed() -> None:
    first = Placement.of(config("a", "b", "c"))
    later = first.following(config("c", "d")).following(config("a", "c", "d", "e"))
    assert later.numbers == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}
    assert [later.tracker_of(name) for name in "abc"] == [first.tracker_of(name) for name in "abc"]
    assert later.trackers == 2


def test_streams_have_a_sink_process_only_where_something_takes_their_frames() -> None:
    def stages(**output: object) -> list[str]:
        made = Config.model_validate({"streams": {"gate": {"source": "a.mp4"}}, "output": output})
        return [one.name for one in processes(made, Placement.of(made))]

    counting = ["decode/gate", "segment/0", "track/0"]
    assert stages(video={"codec": "none"}) == counting
    with_sink = [*counting, "sink/gate"]
    assert stages() == with_sink
    assert stages(video={"codec": "none"}, live={"enabled": True}) == with_sink
    assert stages(video={"codec": "none"}, cutouts=True) == with_sink
    assert stages(video={"codec": "none"}, sinks={"own": {"use": f"{__name__}:OfFrames"}}) == with_sink
    assert stages(video={"codec": "none"}, sinks={"own": {"use": f"{__name__}:OfEvents"}}) == counting


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
