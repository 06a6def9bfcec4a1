"""Files are replaced as a whole or not at all, and what fails is one line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, OutputError
from pipeline.files import make_folder, reading, replacing, write_bytes, write_text


def write_half(path: Path, fault: Exception) -> None:
    with replacing(path) as part:
        part.write_text("ne")
        raise fault


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("old")
    with replacing(path, durable=True) as part:
        part.write_text("ne")
        assert path.read_text() == "old"
        assert part.parent == path.parent
        part.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["summary.json"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("old")
    for fault, told in (
        (ZeroDivisionError(), ZeroDivisionError),
        (OSError(28, "No space left"), OutputError),
    ):
        with pytest.raises(told):
            write_half(path, fault)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["summary.json"]


def test_the_line_says_which_file_why_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.html"
    with pytest.raises(OutputError) as caught:
        write_text(path, "x", advice="give another file")
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory; give another file"


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write_text(tmp_path, "x")
    assert list(tmp_path.parent.glob(".*.part")) == []


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"out/log: cannot be created: Not a directory; give another"):
        make_folder(tmp_path / "out" / "log", "give another folder with --out")
    make_folder(tmp_path)


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    write_bytes(tmp_path / "config.json", b"{}", mode=0o600)
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600


def test_what_cannot_be_read_is_an_error_of_the_wanted_kind(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    says = f"{path}: cannot be read: No such file or directory; check --config"
    with pytest.raises(ConfigError, match=says), reading(path, ConfigError, "check --config"):
        path.read_text()
