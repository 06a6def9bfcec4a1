"""The table of sources: which row an address goes to, and sources that other packages add."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path

import pytest

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.runtime.preflight import check_source
from pipeline.video.sources import kinds
from pipeline.video.sources.kinds import (
    SOURCE_KINDS,
    SourceKind,
    examples,
    find_kind,
    is_endless,
    is_recording,
)
from pipeline.video.sources.source import Source
from pipeline.video.sources.source_registry import open_source
from tests.running import scene, summary, tallycam
from tests.video.media import pixels

PLUGIN = '''
"""A source of grey frames: `mycam:COUNT`."""

import time

from pipeline.errors import SourceError
from pipeline.video.sources.source import BaseSource, SourceFrame, SourceInfo


class GreyFrames(BaseSource):
    def __init__(self, request):
        super().__init__(request)
        if not request.target.isdigit():
            raise SourceError(f"{request.shown}: expected mycam:COUNT")
        self.count = int(request.target)
        self.info = SourceInfo(request.kind, live=False, width=320, height=180, fps=25.0, frames=self.count)

    def frames(self):
        for index in range(self.request.first_index, self.count):
            if self.ended:
                return
            self.stats.decoded += 1
            yield SourceFrame(index, index / 25, time.time(), 0, 320, 180, self.fill)

    def fill(self, planes):
        planes.y[:], planes.u[:], planes.v[:] = 90, 128, 128


class GreyClip(GreyFrames):
    """The same as a recording."""

    replayable = True


def not_a_source(request):
    return [1, 2, 3]
'''

ENTRIES = """[tallycam.sources]
mycam = grey_frames:GreyFrames
greyclip = grey_frames:GreyClip
broken = grey_frames:Missing
list = grey_frames:not_a_source
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package `grey-frames`, as pip leaves it, on Python's path."""
    folder = tmp_path / "site-packages"
    info = folder / "grey_frames-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grey-frames\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (folder / "grey_frames.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "grey_frames", raising=False)
    return folder


def opened(source: str, first_index: int = 0) -> Source:
    return open_source(StreamConfig(source=source), stop=threading.Event(), first_index=first_index)


def refused(source: str) -> str:
    with pytest.raises(SourceError) as caught:
        opened(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "kind", "target"),
    [
        ("camera:07", "camera", "7"),
        ("rtsp://viewer:secret@10.0.0.2/stream", "rtsp", "rtsp://viewer:secret@10.0.0.2/stream"),
        ("RTSPS://host/a", "rtsp", "RTSPS://host/a"),
        ("https://host/v.mp4?token=x", "url", "https://host/v.mp4?token=x"),
        ("synthetic:7?width=640", "synthetic", "7?width=640"),
    ],
)
def test_the_scheme_of_an_address_tells_its_kind(address: str, kind: str, target: str) -> None:
    found = find_kind(address)
    assert (found.name, found.target(address)) == (kind, target)
    assert not found.on_disk


def test_an_existing_path_wins_whatever_its_name_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("camera:0").touch()
    Path("rtsp:").mkdir()
    assert find_kind("camera:0").name == "file"
    assert find_kind("rtsp:").name == "images"
    assert find_kind(f"file://{tmp_path}/camera%3A0").name == "file"
    assert find_kind("file://" + str(tmp_path)).on_disk


def test_every_factory_of_the_table_is_there() -> None:
    for kind in SOURCE_KINDS:
        module, _, name = kind.factory.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
        assert kind.example in examples()


def test_a_row_of_the_table_is_all_that_a_source_needs(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = SourceKind(name="grey", factory="grey_frames:GreyFrames", example="grey:COUNT", schemes=("grey",))
    monkeypatch.setattr(kinds, "SOURCE_KINDS", (*SOURCE_KINDS, row))
    assert [frame.index for frame in opened("grey:3").frames()] == [0, 1, 2]
    assert "or grey:COUNT" in refused("nowhere.mp4")
    assert "did you mean grey:?" in refused("gray:3")


def test_an_installed_package_adds_a_source_by_its_entry_point(plugin: Path) -> None:
    source = opened("mycam:5", first_index=3)
    assert (source.info.kind, source.info.width) == ("mycam", 320)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == [3, 4]
    assert pixels(frames[0]).y.mean() == 90
    assert refused("mycam:x") == "mycam:x: expected mycam:COUNT"


def test_an_installed_source_may_say_that_it_is_a_recording(plugin: Path) -> None:
    camera, clip = StreamConfig(source="mycam:5"), StreamConfig(source="greyclip:5")
    assert is_endless(camera) and not is_recording(camera)
    assert is_recording(clip) and not is_endless(clip)
    check_source("gate", StreamConfig(source="mycam:x"))  # it may come up later
    check_source("gate", clip)
    with pytest.raises(SourceError, match=r"streams\.gate\.source: greyclip:x: expected mycam:COUNT"):
        check_source("gate", StreamConfig(source="greyclip:x"))


def test_faults_of_an_installed_source_are_told_in_one_line(plugin: Path) -> None:
    assert "grey_frames:Missing cannot be imported" in refused("broken:1")
    assert "returned a list, which has no info and no stats" in refused("list:1")


def test_an_unknown_scheme_names_the_nearest_known_ones(plugin: Path) -> None:
    assert "did you mean rtsp: or rtmp:?" in refused("rstp://viewer:hunter2@host/x")
    assert "hunter2" not in refused("rstp://viewer:hunter2@host/x")
    assert "did you mean mycam:?" in refused("mycm:1")
    assert f"give {examples()}" in refused("xyz:1")


def test_a_run_counts_in_a_source_of_another_package(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{plugin}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    config = scene(tmp_path, 60, source="greyclip:60")
    words = ("run", config, "--out", tmp_path / "out", "--set", "output.video.codec=none")
    code, _, errors = tallycam(*words)
    assert code == 0, errors
    assert "is complete, nothing is left to count" in tallycam(*words)[2]
    found = summary(tmp_path / "out")
    assert found["frames"]["processed"] == 60
    assert found["unique"]["person"] > 0
