"""The Grafana board: valid, complete, and every query of it answered by a real pipeline (see the last test)."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.config.schema import ZoneConfig
from pipeline.metrics.disk_metrics import DiskMetrics
from pipeline.metrics.event_metrics import EventMetrics
from pipeline.metrics.stage_metrics import StageMetrics
from tests.counting.counting_scenes import UPRIGHT, counter, play, walk

FOLDER = Path(__file__).parents[2] / "dashboards"
BOARD = json.loads((FOLDER / "tallycam.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})
QUERIES += [note["expr"] for note in BOARD["annotations"]["list"] if "expr" in note]


YARD = ZoneConfig(points=((0.6, 0.0), (0.7, 0.0), (0.7, 1.0), (0.6, 1.0)))


def filled(query: str, window: str = "1m") -> str:
    """The query as Grafana sends it, with all streams chosen."""
    return query.replace("$stream", ".*").replace("$__rate_interval", window)


def exported() -> set[str]:
    """Names of all series that a process can show."""
    metrics = StageMetrics("segment")
    metrics.stream("gate", ("replaced",)).slots(0, 1)
    metrics.stream("gate").queue(0)
    metrics.stream("gate").credits(0)
    metrics.source("gate").state("connected", 0.0, ("connected",))
    metrics.source("gate").condition("frozen", ("frozen",))
    DiskMetrics(metrics.registry).show(0, 0.0)
    EventMetrics(metrics.registry, 0).show(0, 0.0, failing=False, rejected=0)
    metrics.batch(1)
    metrics.process("decode/gate", up=True, restarts=0)
    outcome = play(counter({"door": UPRIGHT}, {"yard": YARD}), walk([(100, 300), (540, 300)], [4]))
    metrics.counts("gate", outcome.series.values())
    return set(re.findall(r"^(\w+)[{ ]", metrics.text(), re.MULTILINE))


def test_panels_have_their_own_number_and_place() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_asks_the_chosen_prometheus() -> None:
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["stream"]["definition"] == "label_values(tallycam_frames_in_total, stream)"
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        for target in panel["targets"]:
            assert target["expr"]
            assert target["legendFormat"]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_uses_only_what_is_exported(query: str) -> None:
    used = set(re.findall(r"\b(?:tallycam|process)_\w+", query))
    assert used
    assert used <= exported()


def test_the_board_shows_what_was_asked_for() -> None:
    text = "\n".join(QUERIES)
    for name in (
        "line_crossings_total", "unique_objects", "zone_objects", "frames_in_total", "frames_out_total",
        "frames_dropped_total", "end_to_end_seconds_bucket", "processing_seconds_bucket", "ring_slots_used",
        "queue_frames", "batch_size_sum", "restarts_total", "source_state", "events_waiting", "disk_free_bytes",
        "camera_condition",
    ):  # fmt: skip
        assert f"tallycam_{name}" in text
    assert "[1h]" in text


def test_prometheus_parses_every_query(need_program: Callable[[str, str], str], tmp_path: Path) -> None:
    promtool = need_program("promtool", "prometheus")
    rules = [{"record": f"board:query{i}", "expr": filled(query)} for i, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    checked = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(QUERIES)} rules found" in checked.stdout


@pytest.mark.parametrize("path", ["dashboards/prometheus.yml", "docker/prometheus.yml"])
def test_prometheus_takes_its_configuration(
    path: str, root: Path, need_program: Callable[[str, str], str]
) -> None:
    promtool = need_program("promtool", "prometheus")
    checked = subprocess.run(
        [promtool, "check", "config", root / path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (job,) = yaml.safe_load((root / path).read_text())["scrape_configs"]
    assert job["honor_labels"]


def test_grafana_finds_board_and_prometheus_by_its_files() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "$PROMETHEUS_URL", True)
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/tallycam.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "$TALLYCAM_DASHBOARDS"
