"""Who may read what a run leaves."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.runtime.private import group_id, private_results, protect
from tests.running import scene, tallycam


def config(group: str | int | None = None) -> Config:
    return Config.model_validate({"streams": {"gate": {"source": "x.mp4"}}, "output": {"group": group}})


def modes(out: Path) -> dict[str, int]:
    """Path -> permissions, of a folder and everything in it."""
    paths = [out, *out.rglob("*")]
    return {str(path.relative_to(out)): stat.S_IMODE(path.stat().st_mode) for path in paths}


def an_own_group() -> int:
    return next((number for number in os.getgroups() if number != os.getegid()), os.getegid())


@pytest.mark.slow
def test_what_a_run_leaves_is_its_owners_alone(tmp_path: Path) -> None:
    out = tmp_path / "results" / "gate"
    code, _, err = tallycam("run", scene(tmp_path, 30), "--out", out, "--tracks", out / "tracks.txt")
    assert code == 0, err
    found = modes(out)
    expected = {".", "config.json", "events.db", "gate.mp4", "gate-heatmap.png", "log/gate", "log/run.log",
                "run.json", "summary.json", "tracks.txt"}  # fmt: skip
    assert expected <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


@pytest.mark.slow
def test_a_group_may_read_what_a_run_leaves_and_others_may_not(tmp_path: Path) -> None:
    out, group = tmp_path / "out", an_own_group()
    code, _, err = tallycam("run", scene(tmp_path, 30), "--out", out, "--set", f"output.group={group}")
    assert code == 0, err
    shared = [path for path in [out, *out.rglob("*")] if "spool" not in str(path) and path.name[0] != "."]
    assert {path.name for path in shared if path.stat().st_gid != group} == set()
    for path in shared:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o777 == (0o750 if path.is_dir() else 0o640), path


def test_a_run_that_goes_on_takes_earlier_results_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "gate"
    folder.mkdir(parents=True)
    (tmp_path / "gate.mp4").symlink_to(elsewhere := tmp_path / "elsewhere")
    for path in (elsewhere, tmp_path / "config.json", folder / "1.log"):
        path.touch()
        path.chmod(0o644)
    earlier = [tmp_path / "config.json", tmp_path / "gate.mp4", tmp_path / "gone", folder]
    protect(config(), [tmp_path], earlier)
    found = modes(tmp_path)
    assert (found["config.json"], found["log/gate/1.log"], found["log/gate"]) == (0o600, 0o600, 0o700)
    assert found["elsewhere"] == 0o644
    protect(config(an_own_group()), [tmp_path], earlier)
    found = modes(tmp_path)
    assert (found["config.json"], found["log/gate/1.log"], found["log/gate"]) == (0o640, 0o640, 0o2750)


def test_the_permissions_of_the_command_are_as_before_afterwards(tmp_path: Path) -> None:
    @private_results
    def run(config: Config, path: Path) -> int:
        path.touch()
        return stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0o022)
    try:
        assert (run(config(), tmp_path / "a"), run(config(os.getegid()), tmp_path / "b")) == (0o600, 0o640)
        (tmp_path / "c").touch()
        assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o644
    finally:
        os.umask(before)


def test_a_group_goes_by_its_name_or_number() -> None:
    assert group_id(config()) is None
    assert group_id(config(os.getegid())) == os.getegid()


def test_an_unknown_group_is_one_line_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = tmp_path / "gate.yaml"
    path.write_text("streams: {gate: {source: missing.mp4}}\noutput: {group: no-such-group}\n")
    code, _, err = tallycam("run", path, "--out", out)
    assert (code, err) == (
        2,
        "tallycam: output.group: there is no group 'no-such-group' on this machine; `getent group` lists them\n",
    )
    assert not out.exists()


def test_a_group_that_this_user_is_not_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", list)
    with pytest.raises(ConfigError, match="this user is not in the group '54321'"):
        group_id(config(54321))
