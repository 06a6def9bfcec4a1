"""How long the supervisor lets a process be silent."""

from __future__ import annotations

from pipeline.config.schema import RestartConfig
from pipeline.runtime.process_state import PREPARE_S, START_S, silence_limit_s


def test_a_process_that_compiles_or_loads_a_model_is_not_taken_for_stuck() -> None:
    usual = RestartConfig(heartbeat_s=30)
    assert silence_limit_s("ready", usual) == 30
    assert silence_limit_s("starting", usual) == START_S > 30
    assert silence_limit_s("preparing", usual) == PREPARE_S >= 900
    assert silence_limit_s("slow", usual) == 30
    assert silence_limit_s("slow", usual, batch_s=12.0) == 120


def test_a_longer_silence_that_was_asked_for_holds_from_the_start() -> None:
    patient = RestartConfig(heartbeat_s=7200)
    assert {silence_limit_s(state, patient) for state in ("starting", "preparing", "slow", "ready")} == {7200}
