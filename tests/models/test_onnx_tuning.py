"""Threads and provider are chosen by what is measured, once on a machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import ModelConfig
from pipeline.models.onnx import session, tuning
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.models.onnx.session import OpenSession, Setting
from tests.models.yolo_export import ONES, build, frame, row_v8

ROWS = [row_v8((32, 32, 20, 20), [0.9], ONES)]


class Machine:
    """A machine of eight CPUs with OpenVINO whose runs take the seconds that a test says.

    Attributes:
        run_s: setting -> seconds of a run.
        odd: settings with which the outputs differ.
        opened: settings of the sessions that were opened, in order.
    """

    def __init__(self) -> None:
        self.run_s: dict[tuple[str, int], float] = {}
        self.odd: set[tuple[str, int]] = set()
        self.opened: list[tuple[str, int]] = []
        self.now_s = 0.0

    def open(self, config: ModelConfig, setting: Setting | None = None) -> OpenSession:
        choices = session.possible_settings(
            config, ["OpenVINOExecutionProvider", "CPUExecutionProvider"], 8, True
        )
        used = setting or choices[0]
        self.opened.append((used.kind, used.threads))
        plain = session.open_session(config, Setting("cpu", 1))
        timed = TimedSession(self, plain.session, (used.kind, used.threads))
        return OpenSession(timed, used, used.kind, tuple(choices[1:]) if setting is None else ())


class TimedSession:
    """A session on such a machine."""

    def __init__(self, machine: Machine, inner: Any, setting: tuple[str, int]) -> None:
        self._machine, self._inner, self._setting = machine, inner, setting

    def run(self, names: Any, feed: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
        self._machine.now_s += self._machine.run_s[self._setting]
        values = self._inner.run(names, feed)
        return [value + 9 for value in values] if self._setting in self._machine.odd else values

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "usable_cpus", lambda: 8)
    monkeypatch.setattr(tuning, "is_busy", lambda: False)
    monkeypatch.setattr(tuning, "open_session", machine.open)
    monkeypatch.setattr("pipeline.models.onnx.onnx_model.open_session", machine.open)
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: machine.now_s)
    return machine


def settled(path: Path, **more: Any) -> str:
    """What a model runs on once it is warmed up."""
    model = OnnxSegmenter(ModelConfig(path=path, **more))
    model.warm_up()
    (found,) = model.segment([frame()])
    np.testing.assert_allclose(found.scores, [0.9], atol=1e-6)
    return model.device


def test_the_fastest_setting_is_taken_and_known_the_next_time(tmp_path: Path, machine: Machine) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    machine.run_s = {("cpu", 8): 1.0, ("openvino", 8): 0.6, ("cpu", 4): 0.7, ("openvino", 4): 0.5}
    assert settled(path) == "openvino"
    assert set(machine.opened) == machine.run_s.keys()
    machine.opened.clear()
    assert settled(path) == "openvino"
    assert machine.opened == [("openvino", 4)]


def test_a_small_gain_is_noise_and_changes_nothing(tmp_path: Path, machine: Machine) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    machine.run_s = {("cpu", 8): 1.0, ("openvino", 8): 0.95, ("cpu", 4): 2.0, ("openvino", 4): 0.91}
    assert settled(path) == "cpu"


def test_a_provider_with_other_outputs_is_not_used_however_fast(tmp_path: Path, machine: Machine) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    machine.run_s = {("cpu", 8): 1.0, ("openvino", 8): 0.1, ("cpu", 4): 2.0, ("openvino", 4): 0.1}
    machine.odd = {("openvino", 8), ("openvino", 4)}
    assert settled(path) == "cpu"


def test_threads_of_the_configuration_are_not_measured_against_others(
    tmp_path: Path, machine: Machine
) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    machine.run_s = {("cpu", 3): 1.0}
    assert settled(path, device="cpu", threads=3) == "cpu"
    assert machine.opened == [("cpu", 3)] and not tuning.settings_file().exists()


def test_on_a_busy_machine_nothing_is_measured_and_nothing_kept(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    monkeypatch.setattr(tuning, "is_busy", lambda: True)
    machine.run_s = {("cpu", 8): 1.0}
    assert settled(path) == "cpu"
    assert machine.opened == [("cpu", 8)] and not tuning.settings_file().exists()


def test_a_slow_model_is_not_kept_waiting_for(tmp_path: Path, machine: Machine) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    machine.run_s = {("cpu", 8): 6.0}
    assert settled(path) == "cpu"
    assert machine.opened == [("cpu", 8)] and machine.now_s <= 30  # five runs


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"KEY": 3}', '{"KEY": {"kind": "tpu", "threads": 99}}']
)
def test_damaged_notes_are_measured_again(tmp_path: Path, machine: Machine, text: str) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    key = tuning._key(ModelConfig(path=path))
    tuning.settings_file().parent.mkdir(parents=True)
    tuning.settings_file().write_text(text.replace("KEY", key))
    machine.run_s = {("cpu", 8): 1.0, ("openvino", 8): 2.0, ("cpu", 4): 0.5, ("openvino", 4): 2.0}
    settled(path)
    assert tuning.known_setting(ModelConfig(path=path)) == Setting("cpu", 4)


def test_another_file_under_the_name_is_another_model(tmp_path: Path, machine: Machine) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    machine.run_s = {("cpu", 8): 1.0, ("openvino", 8): 2.0, ("cpu", 4): 0.5, ("openvino", 4): 2.0}
    settled(path)
    build(path, [*ROWS, *ROWS], names="{0: 'person'}")
    assert tuning.known_setting(ModelConfig(path=path)) is None
