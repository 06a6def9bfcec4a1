"""Metrics: what `/metrics` answers, by the rules of Prometheus, at a cost that a frame can bear."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import ConfigError
from pipeline.metrics.quantiles import Histogram
from pipeline.metrics.series import Sample, Series
from pipeline.metrics.stage_metrics import StageMetrics

STAYS = Histogram(((2.0, 0), (5.0, 3), (inf, 4)), 21.5)
CROSSINGS = Series(
    "tallycam_line_crossings",
    "Objects that crossed a line.",
    "counter",
    ("line", "class", "direction"),
    (Sample(("door", "person", "in"), 3), Sample(("door", "person", "out"), 0)),
)
INSIDE = Series(
    "tallycam_zone_objects",
    "Objects inside a zone now.",
    "gauge",
    ("zone", "class"),
    (Sample(("yard", "car"), 1),),
)
DWELL = Series(
    "tallycam_zone_dwell_seconds",
    "Stays that are over.",
    "histogram",
    ("zone", "class"),
    (Sample(("yard", "car"), STAYS),),
)


def values(metrics: StageMetrics, name: str) -> dict[tuple[str, ...], float]:
    """Label values in the order of the label names -> value of each sample called `name`."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
        if sample.name == name
    }


def busy() -> StageMetrics:
    """A process in which everything was observed once."""
    metrics = StageMetrics("segment")
    stream = metrics.stream("gate", reasons=("replaced",))
    stream.frames_in()
    stream.frames_out(2)
    stream.dropped("static")
    stream.processing(0.034)
    stream.end_to_end(0.2)
    stream.slots(used=3, total=12)
    stream.queue(4)
    stream.credits(5)
    source = metrics.source("gate")
    source.totals(reconnects=1, errors=3)
    source.totals(reconnects=1, errors=4, retimed=7, frames=90, bytes=12_000, stalls=1)
    source.stream(fps=25.0, newest_s=1.8e9)
    source.state("stalled", 1.8e9, ("connected", "stalled"))
    source.condition("frozen", ("frozen", "black"))
    metrics.batch(4)
    metrics.process("decode/gate", up=True, restarts=2)
    metrics.counts("gate", [CROSSINGS, INSIDE, DWELL])
    return metrics


def test_every_observation_is_shown_with_stage_and_stream() -> None:
    metrics = busy()
    frame = ("segment", "gate")
    assert values(metrics, "tallycam_frames_in_total") == {frame: 1}
    assert values(metrics, "tallycam_frames_out_total") == {frame: 2}
    assert values(metrics, "tallycam_frames_dropped_total") == {
        ("replaced", *frame): 0,
        ("static", *frame): 1,
    }
    assert values(metrics, "tallycam_processing_seconds_sum") == {frame: 0.034}
    assert values(metrics, "tallycam_end_to_end_seconds_count") == {frame: 1}
    assert values(metrics, "tallycam_ring_slots_used") == {frame: 3}
    assert values(metrics, "tallycam_ring_slots") == {frame: 12}
    assert values(metrics, "tallycam_queue_frames") == {frame: 4}
    assert values(metrics, "tallycam_credits") == {frame: 5}
    assert values(metrics, "tallycam_reconnects_total") == {frame: 1}
    assert values(metrics, "tallycam_decode_errors_total") == {frame: 4}
    assert values(metrics, "tallycam_frames_retimed_total") == {frame: 7}
    assert values(metrics, "tallycam_source_frames_total") == {frame: 90}
    assert values(metrics, "tallycam_source_bytes_total") == {frame: 12_000}
    assert values(metrics, "tallycam_source_stalls_total") == {frame: 1}
    assert values(metrics, "tallycam_source_fps") == {("gate",): 25}
    assert values(metrics, "tallycam_source_newest_frame_seconds") == {("gate",): 1.8e9}
    assert values(metrics, "tallycam_source_state") == {("connected", "gate"): 0, ("stalled", "gate"): 1}
    assert values(metrics, "tallycam_camera_condition") == {("frozen", "gate"): 1, ("black", "gate"): 0}
    assert values(metrics, "tallycam_batch_size_sum") == {("segment",): 4}
    assert values(metrics, "tallycam_restarts_total") == {("decode/gate",): 2}
    assert values(metrics, "tallycam_process_up") == {("decode/gate",): 1}


def test_counts_are_shown_as_totals() -> None:
    metrics = busy()
    assert values(metrics, "tallycam_line_crossings_total") == {
        ("person", "in", "door", "gate"): 3,
        ("person", "out", "door", "gate"): 0,
    }
    assert values(metrics, "tallycam_zone_objects") == {("car", "gate", "yard"): 1}
    metrics.counts("gate", [replace(INSIDE, samples=(Sample(("yard", "car"), 0),))])
    assert values(metrics, "tallycam_zone_objects") == {("car", "gate", "yard"): 0}


def test_streams_share_a_metric_and_differ_in_its_label() -> None:
    metrics = busy()
    metrics.counts("back", [INSIDE])
    assert values(metrics, "tallycam_zone_objects") == {
        ("car", "gate", "yard"): 1,
        ("car", "back", "yard"): 1,
    }
    assert metrics.text().count("# TYPE tallycam_zone_objects gauge") == 1


def test_stays_are_a_histogram() -> None:
    metrics = busy()
    assert values(metrics, "tallycam_zone_dwell_seconds_bucket") == {
        ("car", "2.0", "gate", "yard"): 0,
        ("car", "5.0", "gate", "yard"): 3,
        ("car", "+Inf", "gate", "yard"): 4,
    }
    assert values(metrics, "tallycam_zone_dwell_seconds_sum") == {("car", "gate", "yard"): 21.5}
    assert values(metrics, "tallycam_zone_dwell_seconds_count") == {("car", "gate", "yard"): 4}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(INSIDE, kind="counter"), "is a counter of .*, was .*gauge"),
        (replace(INSIDE, labels=("class",), samples=()), "is a gauge of .*class.*, was"),
        (replace(INSIDE, samples=INSIDE.samples * 2), "two samples have the labels .*yard"),
        (replace(INSIDE, samples=(Sample(("yard", "car"), STAYS),)), "is no value of a gauge"),
    ],
)
def test_what_prometheus_would_reject_is_refused_and_spoils_nothing(wrong: Series, message: str) -> None:
    metrics = busy()
    with pytest.raises(ValueError, match=f"metric tallycam_zone_objects: .*{message}"):
        metrics.counts("back", [wrong])
    assert values(metrics, "tallycam_zone_objects") == {("car", "gate", "yard"): 1}


def test_after_a_restart_no_count_is_shown_until_it_is_known_again() -> None:
    metrics = StageMetrics("track")
    assert values(metrics, "tallycam_line_crossings_total") == {}
    metrics.counts("gate", [CROSSINGS])
    assert values(metrics, "tallycam_line_crossings_total")["person", "in", "door", "gate"] == 3


def test_buckets_tell_33_40_and_100_ms_apart() -> None:
    metrics = StageMetrics("sink")
    for seconds in (0.032, 0.039, 0.099):
        metrics.stream("gate").end_to_end(seconds)
    counts = values(metrics, "tallycam_end_to_end_seconds_bucket")
    assert [counts[edge, "sink", "gate"] for edge in ("0.033", "0.04", "0.1")] == [1, 2, 3]


def test_two_processes_in_one_interpreter_do_not_mix() -> None:
    first, second = StageMetrics("decode"), StageMetrics("decode")
    first.stream("gate").frames_in()
    assert values(second, "tallycam_frames_in_total") == {}


def test_it_is_served_on_this_machine_only_and_the_port_is_free_afterwards() -> None:
    with busy() as metrics:
        port = metrics.serve()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"tallycam_frames_in_total" in answer.read()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), timeout=5)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_in_use_is_one_clear_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        StageMetrics("decode") as metrics,
        pytest.raises(
            ConfigError, match=r"cannot listen on 127.0.0.1 port \d+: Address already in use; give"
        ),
    ):
        metrics.serve(port=other.getsockname()[1])


def test_a_host_of_another_machine_is_one_clear_line() -> None:
    with (
        StageMetrics("decode") as metrics,
        pytest.raises(
            ConfigError, match="cannot listen on 192.0.2.1 port 0: Cannot assign requested address"
        ),
    ):
        metrics.serve("192.0.2.1")


def test_promtool_has_nothing_to_say(need_program: Callable[[str, str], str]) -> None:
    promtool = need_program("promtool", "prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=busy().text(), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_an_observation_costs_a_few_microseconds() -> None:
    stream = StageMetrics("sink").stream("gate")
    best_s = min(_seconds_of_1000(stream.processing) for _ in range(20))
    assert best_s / 1000 < 5e-6


def _seconds_of_1000(observe: Callable[[float], None]) -> float:
    start = time.perf_counter()
    for _ in range(1000):
        observe(0.03)
    return time.perf_counter() - start
