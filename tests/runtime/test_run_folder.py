"""What is written about a run before it begins."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import Config
from pipeline.runtime.run_folder import Existing, check_folder, open_run


def config_of(**output: Any) -> Config:
    streams = {"gate": {"source": "rtsp://viewer:hunter2@camera/1"}}
    return Config.model_validate({"streams": streams, "output": output})


def test_the_configuration_is_kept_without_the_secrets_of_sources_and_sinks(tmp_path: Path) -> None:
    sinks = {
        "mqtt": {"host": "broker", "password": "hunter3", "login": {"api_key": "hunter4", "user": "me"}},
        "hook": {"url": "https://u:hunter5@host/x?token=hunter6", "keys": ["a", "b"]},
    }
    config = config_of(sinks=sinks, events="postgresql://u:hunter7@host/db")
    with open_run(config, tmp_path / "out", ("person",)) as run:
        run.keep()
        text = (tmp_path / "out" / "config.json").read_text()
    assert "hunter" not in text
    assert "broker" in text and '"user": "me"' in text and "viewer" in text


def test_the_identity_of_a_resumed_run_stays_and_its_processes_count_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_run(config_of(), out, ("person",)) as first:
        first.keep()
    assert first.first_incarnation == 0 and not first.resumed
    with open_run(config_of(), out, ("person",), existing=Existing.RESUME) as second:
        assert second.resumed
    assert second.spec.run == first.spec.run
    assert second.first_incarnation > first.first_incarnation
    assert second.started_s == first.started_s


def test_to_look_at_a_folder_changes_nothing(tmp_path: Path) -> None:
    check_folder(config_of(), tmp_path / "none", Existing.OVERWRITE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_folder_that_became_read_only_is_no_error_of_its_own_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    def refuse(path: Path, **settings: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with open_run(config_of(), tmp_path / "out", ("person",)) as run:
        run.write_targets("", {"track/0": 9400})
        if kept:
            run.keep()
        monkeypatch.setattr(Path, "unlink", refuse)
        monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.undo()
    assert not run.endpoints.folder.exists()
    with open_run(config_of(), tmp_path / "out", ("person",), existing=Existing.RESUME):
        pass  # and the next run can use it
