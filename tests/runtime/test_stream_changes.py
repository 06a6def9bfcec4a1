"""What of a changed configuration takes effect while a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import Config
from pipeline.errors import ConfigError, TallycamError
from pipeline.runtime.configuration_watch import ConfigurationFile, ConfigurationWatch
from pipeline.runtime.stream_changes import StreamChanges
from tests.running import write_clip


def config(clip: Path, **streams: dict[str, Any]) -> Config:
    gate = {"gate": {"source": "rtsp://gate.local/1"}, "old": {"source": str(clip)}}
    return Config.model_validate({"streams": gate | streams, "model": {"name": "street", "score": 0.5}})


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip.mp4", 3)
    return tmp_path / "clip.mp4"


def changes(clip: Path) -> StreamChanges:
    return StreamChanges(config(clip), config(clip), {}, clip.parent / "out")


def refused(clip: Path, now: Config) -> str:
    with pytest.raises(TallycamError) as caught:
        changes(clip).accept(now)
    return str(caught.value)


def test_a_new_stream_and_other_settings_of_a_camera_are_accepted(clip: Path) -> None:
    now = config(clip, gate={"source": "rtsp://gate.local/2", "fps": 5}, hall={"source": "rtsp://hall.local"})
    accepted = changes(clip).accept(now)
    assert accepted.streams["gate"].fps == 5 and list(accepted.streams) == ["gate", "old", "hall"]


def test_a_recording_is_counted_with_one_configuration(clip: Path) -> None:
    assert refused(clip, config(clip, old={"source": str(clip), "fps": 5})).startswith(
        "streams.old.fps changed"
    )
    assert changes(clip).accept(config(clip, old={"source": str(clip), "slots": 6}))


def test_the_model_cannot_be_changed(clip: Path) -> None:
    now = config(clip)
    now = now.model_copy(update={"model": now.model.model_copy(update={"score": 0.4})})
    assert refused(clip, now).startswith("model.score changed: only streams can be changed")


def test_a_stream_with_lower_scores_than_the_model_gives_is_refused(clip: Path) -> None:
    hall = {"source": "rtsp://hall.local", "filter": {"scores": {"person": 0.2}}}
    assert "0.5 is the lowest score for which the model was loaded" in refused(clip, config(clip, hall=hall))


def test_files_that_are_not_of_the_run_are_not_written_over(clip: Path) -> None:
    (clip.parent / "out").mkdir()
    (clip.parent / "out" / "hall.mp4").write_bytes(b"mine")
    assert "is in the way of stream hall" in refused(clip, config(clip, hall={"source": "rtsp://hall.local"}))


def test_what_was_refused_is_compared_with_what_runs(clip: Path) -> None:
    subject = changes(clip)
    with pytest.raises(ConfigError):
        subject.accept(config(clip, old={"source": str(clip), "fps": 5}))
    assert subject.accept(config(clip)).streams == config(clip).streams


def test_a_file_is_read_again_once_it_has_settled_and_only_when_its_content_differs(tmp_path: Path) -> None:
    path, good = tmp_path / "site.yaml", config(tmp_path / "none.mp4")
    path.write_text("a")
    read: list[str] = []

    def load() -> Config:
        read.append(path.read_text())
        if read[-1] == "bad":
            raise ConfigError("site.yaml: streams: is\nmissing")
        return good

    watch = ConfigurationWatch(ConfigurationFile(path, load), lambda now: now)
    for text in ("b", "bb"):  # still being written
        path.write_text(text)
        watch.look()
    assert read == []
    watch.look()
    assert read == ["bb"] and (first := watch.take()) is not None and first.config is good
    path.write_text("bad")
    watch.look()
    watch.look()
    assert (second := watch.take()) is not None and second.error == "site.yaml: streams: is missing"
    path.unlink()
    watch.look()
    path.write_text("bad")  # as it was
    watch.look()
    watch.look()
    assert watch.take() is None and read == ["bb", "bad"]
