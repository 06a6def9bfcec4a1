"""Counting logs again that come from an earlier version, or from nobody knows where."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.schema import Config
from pipeline.errors import TallycamError
from pipeline.runtime.recount import recount
from tests.records.logs import VERSION_1
from tests.records.mutations import damaged, mutated

CONFIG = Config.model_validate({
    "streams": {"gate": {
        "source": "gate.mp4",
        "lines": {"door": {"points": [[0.5, 0.1], [0.5, 0.9]], "directions": ["in", "out"]}},
        "zones": {"yard": {"points": [[0.3, 0.1], [0.9, 0.1], [0.9, 0.9], [0.3, 0.9]]}},
    }},
})  # fmt: skip


def test_a_log_of_version_1_counts_as_it_did() -> None:
    name, view = recount(VERSION_1, CONFIG)
    counts = view.as_summary("").as_json()
    assert (name, view.decoded) == ("gate", 24)
    assert counts["unique"] == {"person": 1}
    assert counts["lines"] == {"door": {"person": {"in": 0, "out": 1}}}
    assert (counts["zones"]["yard"]["person"]["entries"], counts["zones"]["yard"]["person"]["now"]) == (1, 1)


@pytest.mark.parametrize("change", [mutated, damaged])
def test_a_log_that_was_tampered_with_gives_counts_or_one_line(
    tmp_path: Path, change: Callable[[bytes, int], bytes]
) -> None:
    data = VERSION_1.read_bytes()
    path = tmp_path / "x.log"
    counted = refused = 0
    for seed in range(150):
        path.write_bytes(change(data, seed))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                recount(path, CONFIG)
            counted += 1
        except TallycamError as error:
            refused += 1
            assert str(error).isprintable()
    assert counted and refused > 50
