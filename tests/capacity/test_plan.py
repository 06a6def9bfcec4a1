"""`tallycam plan`: what streams need, from what one of them costs."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.capacity.plan import MAX_SHARE, Demand, Machine, ModelCosts, first_to_break, needs
from pipeline.capacity.unit_costs import UnitCosts
from pipeline.cli.arguments import parse_frame_size
from pipeline.errors import ConfigError

UNITS = UnitCosts(
    decode_ms=2.0, count_ms=5.0, video_ms=0.0, idle=0.01, base_mb=512.0, stream_mb=64.0,
    log_bytes=8000.0, video_bytes=0.0, stream_bytes=10_000.0,
)  # fmt: skip
DEMAND = Demand(streams=40, fps=10.0, camera_fps=25.0, days=7.0)
MACHINE = Machine(cores=16.0, gpus=1.0, memory_mb=32_768.0, disk_gb=1000.0)


def needed(resource: str, **changes: float) -> float:
    found = needs(replace(UNITS, **changes), ModelCosts(), DEMAND, MACHINE)
    return next(need for need in found if need.resource.startswith(resource)).needed(DEMAND.streams)


def test_all_frames_are_decoded_and_only_those_asked_for_are_counted() -> None:
    assert needed("processor") == pytest.approx(40 * (0.01 + 25 * 0.002 + 10 * 0.005))
    assert needed("memory") == pytest.approx((512 + 40 * 64) / 1024)
    assert needed("disk") == pytest.approx(40 * 8000 * 10 * 86_400 * 7 / 1e9)
    assert needed("network") == pytest.approx(40 * 10_000 * 8 * 25 / 1e6)


def test_a_video_is_paid_for_by_the_frames_that_are_counted() -> None:
    assert needed("processor", video_ms=15.0) - needed("processor") == pytest.approx(40 * 10 * 0.015)
    assert needed("disk", video_bytes=8000.0) == pytest.approx(2 * needed("disk"))


def test_a_model_costs_a_gpu_where_it_runs_on_one_and_cores_where_it_does_not() -> None:
    on_cpu = needs(UNITS, ModelCosts(cpu_ms=100.0), DEMAND, MACHINE)
    assert on_cpu[0].needed(40) == pytest.approx(needed("processor") + 40 * 10 * 0.1)
    on_gpu = needs(UNITS, ModelCosts(cpu_ms=1.0, gpu_ms=2.0), DEMAND, MACHINE)
    assert [need.resource for need in on_gpu][:2] == ["processor", "GPU"]
    assert on_gpu[1].needed(40) == pytest.approx(0.8)
    assert first_to_break(needs(UNITS, ModelCosts(gpu_ms=20.0), DEMAND, MACHINE)).resource == "GPU"


@given(
    cores=st.floats(0.5, 256),
    memory_mb=st.floats(256, 1e6),
    disk_gb=st.floats(0, 1e5),
    decode_ms=st.floats(0.1, 50),
)
def test_what_runs_out_first_lasts_for_the_most_streams_that_fit(
    cores: float, memory_mb: float, disk_gb: float, decode_ms: float
) -> None:
    machine = Machine(cores, 0, memory_mb, disk_gb)
    found = needs(replace(UNITS, decode_ms=decode_ms), ModelCosts(), DEMAND, machine)
    most = first_to_break(found).most
    limited = [need for need in found if need.available != inf]
    assert most == min(need.most for need in limited)
    if most > 0:
        assert all(need.needed(int(most)) <= MAX_SHARE * need.available * (1 + 1e-6) for need in limited)
    assert any(need.needed(int(most) + 1) > MAX_SHARE * need.available * (1 - 1e-6) for need in limited)


@pytest.mark.parametrize(
    ("text", "size"), [("1080p", (1920, 1080)), ("4K", (3840, 2160)), ("854X480", (854, 480))]
)
def test_sizes_have_names(text: str, size: tuple[int, int]) -> None:
    assert parse_frame_size(text, "--size") == size


@pytest.mark.parametrize("text", ["", "1081p", "641x360", "10x10", "axb", "1920x1080x3"])
def test_what_is_no_size_is_told_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--size: got .*, expected 360p, .*e\.g\. 1920x1080$"):
        parse_frame_size(text, "--size")
