"""Heat between the process that counts and the picture that is drawn at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.records.heat_file import read_heat, write_heat


def test_what_was_written_is_read(tmp_path: Path) -> None:
    heat = {"person": np.array([[0.0, 1.5], [2.0, 1e6]])}
    write_heat(tmp_path / "gate.heat", heat)
    assert {name: cells.tolist() for name, cells in read_heat(tmp_path / "gate.heat").items()} == {
        "person": [[0.0, 1.5], [2.0, 1e6]]
    }
    assert read_heat(tmp_path / "missing.heat") == {}


@pytest.mark.parametrize(
    "cells",
    [
        np.zeros(4, np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((2, 2), np.int64),
        np.full((2, 2), np.nan, np.float32),
        np.full((2, 2), np.inf, np.float32),
        np.full((2, 2), -1, np.float32),
    ],
)
def test_a_file_that_holds_no_heat_is_left_out(tmp_path: Path, cells: np.ndarray) -> None:
    save_file({"person": cells}, tmp_path / "gate.heat")
    assert read_heat(tmp_path / "gate.heat") == {}


def test_heat_on_two_grids_is_left_out(tmp_path: Path) -> None:
    save_file({"a": np.ones((2, 2), np.float32), "b": np.ones((3, 2), np.float32)}, tmp_path / "gate.heat")
    assert read_heat(tmp_path / "gate.heat") == {}
