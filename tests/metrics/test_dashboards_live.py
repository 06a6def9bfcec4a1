"""The board on a real run: Debian's Prometheus scrapes the pipeline, and every query of the board has data."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import ROOT, STAGES, Command, scene, wait_until

BOARD = json.loads((ROOT / "dashboards/tallycam.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = {target["expr"] for panel in PANELS for target in panel["targets"]}
RESTARTS = next(note["expr"] for note in BOARD["annotations"]["list"] if note["name"] == "Restarts")


@contextmanager
def prometheus(binary: str, out: Path, folder: Path) -> Iterator[int]:
    """Prometheus with the repository's configuration, each second, on the targets in `out`. Gives its port."""
    config = yaml.safe_load((ROOT / "dashboards/prometheus.yml").read_text(encoding="utf-8"))
    config["global"]["scrape_interval"] = "1s"
    (found,) = config["scrape_configs"][0]["file_sd_configs"]
    found.update(files=[str(out / "prometheus-targets.json")], refresh_interval="1s")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    out.mkdir()  # a folder that is watched has to be there
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen([binary, *arguments], cwd=folder) as process:
        try:
            yield port
        finally:
            process.kill()


def answer(port: int, query: str, stream: str = ".*") -> list[dict[str, Any]]:
    """The series that a query of the board returns now; none while Prometheus is not there yet."""
    text = query.replace("$stream", stream).replace("$__rate_interval", "8s")
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            series: list[dict[str, Any]] = json.load(reply)["data"]["result"]
            return series
    except OSError:
        return []


def without_data(port: int, queries: set[str], command: Command) -> set[str]:
    """Those queries that have no data within a minute."""
    missing = set(queries)

    def all_answered() -> bool:
        assert command.popen.poll() is None, command.finish()
        missing.difference_update([query for query in missing if answer(port, query)])
        return not missing

    with suppress(TimeoutError):  # Prometheus asks once a second, and nothing tells when it has
        wait_until(all_answered, timeout_s=60, every_s=0.5)
    return missing


@pytest.mark.slow
def test_every_query_of_the_board_has_data_while_the_pipeline_runs(
    tmp_path: Path, need_program: Callable[[str, str], str]
) -> None:
    binary, out = need_program("prometheus", "prometheus"), tmp_path / "out"
    config = scene(tmp_path, frames=250, loop=True, realtime=True)
    with prometheus(binary, out, tmp_path) as port, Command("run", config, "--out", out) as command:
        assert not without_data(port, QUERIES, command)
        crossed = answer(port, 'tallycam_line_crossings_total{line="middle", class="person"}')
        assert {series["metric"]["direction"] for series in crossed} == {"right", "left"}
        frames = 'tallycam_frames_in_total{stream=~"$stream"}'
        assert {series["metric"]["stage"] for series in answer(port, frames, "gate")} == set(STAGES)
        assert not answer(port, frames, "nowhere")

        command.kill("track/0")
        assert not without_data(port, {RESTARTS}, command)
        command.popen.send_signal(signal.SIGINT)
        command.finish()
    assert not (out / "prometheus-targets.json").exists(), "targets of processes that are gone"
