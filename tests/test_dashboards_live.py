"""The board on a real run: Debian's Prometheus scrapes the pipeline, and every query of the board has data."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.messages import MASK_SIZE, Instances
from pipeline.records.log import LogHeader, LogWriter
from pipeline.scene.clip import DEMO_VIDEO

ROOT = Path(__file__).parents[1]
BOARD = json.loads((ROOT / "dashboards/tallycam.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
FRAMES, FPS, PERIOD = 750, 25, 100
"""Frames of the recorded instances; every `PERIOD` frames an object goes there and back."""

STREAM = {
    "source": str(DEMO_VIDEO),
    "realtime": True,
    "loop": True,
    "lines": {"door": {"points": [[0.5, 1.0], [0.5, 0.0]], "directions": ["right", "left"]}},
    "zones": {"yard": {"points": [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]}},
}


def record_somebody_who_walks_to_and_fro(path: Path) -> None:
    """An instances log of one person who crosses the middle of the picture every two seconds."""
    header = LogHeader(stream="gate", classes=("person",), width=640, height=360)
    with LogWriter(path, header) as log:
        for seq in range(FRAMES):
            x = 320 + 200 * np.sin(2 * np.pi * seq / PERIOD)
            log.append(
                Instances(
                    stream="gate", epoch=0, seq=seq, index=seq, pts_s=seq / FPS, wall_s=seq / FPS,
                    width=640, height=360,
                    boxes_px=np.array([[x - 20, 100, x + 20, 200]], np.float32),
                    scores=np.ones(1, np.float32),
                    class_ids=np.zeros(1, np.int16),
                    masks=np.full((1, MASK_SIZE, MASK_SIZE), 255, np.uint8),
                )
            )  # fmt: skip


@contextmanager
def running(command: list[str], stop: int, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is asked to end, and has to, when the block is left."""
    with subprocess.Popen(command, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.send_signal(stop)
            try:
                process.wait(20)
            finally:
                process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def prometheus_of(need_program: Callable[[str, str], str], tmp_path: Path) -> Callable[..., object]:
    """Starts Prometheus with the repository's configuration, each second, on the targets of an output folder."""
    binary = need_program("prometheus", "prometheus")

    def start(out: Path, port: int) -> object:
        config = yaml.safe_load((ROOT / "dashboards/prometheus.yml").read_text())
        config["global"]["scrape_interval"] = "1s"
        (found,) = config["scrape_configs"][0]["file_sd_configs"]
        found.update(files=[str(out / "prometheus-targets.json")], refresh_interval="1s")
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        arguments = [
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
        out.mkdir()  # a folder that is watched has to be there
        return running([binary, *arguments], signal.SIGTERM, cwd=tmp_path)

    return start


def answer(port: int, query: str) -> list[dict[str, object]]:
    """The series that an instant query returns; none while Prometheus is not there yet."""
    text = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{text}", timeout=5) as reply:
            result: list[dict[str, object]] = json.load(reply)["data"]["result"]
            return result
    except OSError:
        return []


def as_sent(query: str, stream: str = ".*") -> str:
    return query.replace("$stream", stream).replace("$__rate_interval", "8s")


@pytest.mark.slow
def test_every_query_of_the_board_has_data_while_the_pipeline_runs(
    tmp_path: Path, prometheus_of: Callable[..., object]
) -> None:
    record_somebody_who_walks_to_and_fro(tmp_path / "walk.log")
    config = {
        "model": {"name": f"replay:{tmp_path / 'walk.log'}"},
        "streams": {"gate": STREAM},
        "output": {"video": {"preset": "ultrafast"}},
    }
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(config))
    out, port = tmp_path / "out", free_port()
    command = [sys.executable, "-m", "pipeline", "run", str(tmp_path / "gate.yaml"), "--out", str(out)]
    with (
        running(
            command, signal.SIGINT, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "COLUMNS": "200"}
        ) as run,
        prometheus_of(out, port),  # type: ignore[attr-defined]
    ):
        waiting = {target["expr"] for panel in PANELS for target in panel["targets"]}
        until = time.monotonic() + 60
        while waiting and time.monotonic() < until:
            assert run.poll() is None, run.stdout and run.stdout.read().decode()
            waiting = {query for query in waiting if not answer(port, as_sent(query))}
            time.sleep(0.5)  # Prometheus asks once a second; nothing tells when it has
        assert not waiting, "no data"
        crossed = answer(
            port, 'sum by (direction) (tallycam_line_crossings_total{line="door", class="person"})'
        )
        assert {series["metric"]["direction"] for series in crossed} == {"right", "left"}  # type: ignore[index]
        stages = answer(
            port, as_sent("count by (stage) (tallycam_frames_in_total{stream=~'$stream'})", "gate")
        )
        assert {s["metric"]["stage"] for s in stages} == {"decode", "segment", "track", "sink"}  # type: ignore[index]
        assert not answer(port, as_sent("tallycam_frames_in_total{stream=~'$stream'}", "nowhere"))
    assert not (out / "prometheus-targets.json").exists(), "targets of processes that are gone"
