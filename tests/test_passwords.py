"""Whatever a password looks like and wherever it stands, a run shows it nowhere."""

from __future__ import annotations

import http.server
import json
import re
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.running import Command, scene, wait_until, write_clip

TOKEN = "Hu5hN"
"""In each password, in all of its parts: whatever part of it is shown is found."""

PASSWORDS = {
    "quotes": f"{TOKEN}a'{TOKEN}b\"{TOKEN}c",
    "blank": f"{TOKEN}a {TOKEN}b%{TOKEN}c%41",
    "marks": f"{TOKEN}a#{TOKEN}b@{TOKEN}c:{TOKEN}d",
    "unicode": f"{TOKEN}ä€😀{TOKEN}b\\{TOKEN}c",
    "brackets": f"{TOKEN}a[x]{{y}}<{TOKEN}b>$5{TOKEN}c",
    "slash": f"{TOKEN}a/{TOKEN}b?{TOKEN}c",
}
PLACES = {
    "userinfo": "rtsp://viewer:{}@127.0.0.1:{port}/stream1",
    "query": "http://127.0.0.1:{port}/video?user=viewer&password={}",
    "loginpas": "rtsp://127.0.0.1:{port}/live?loginuse=viewer&loginpas={}",
    "p": "http://127.0.0.1:{port}/videostream?u=viewer&p={}",
    "path": "rtsp://127.0.0.1:{port}/user=viewer_password={}_channel=1_stream=0.sdp",
}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    """Serves the files of a folder, whatever the query; a path that is not there is refused."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    def handler(*words: object) -> Handler:
        return Handler(*words, directory=str(folder))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def sources(refusing: int, serving: int) -> dict[str, str]:
    """Name of a stream -> its address."""
    passwords = zip(PLACES.items(), PASSWORDS.values(), strict=False)
    found = {
        place: form.replace("{}", password).replace("{port}", str(refusing))
        for (place, form), password in passwords
    }
    found["served"] = f"http://127.0.0.1:{serving}/clip.mp4?user=viewer&password={quote(PASSWORDS['blank'])}"
    found["denied"] = f"http://viewer:{quote(PASSWORDS['slash'], safe='')}@127.0.0.1:{serving}/none.mp4"
    return found


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read(1_000_000).decode(errors="replace")
    except OSError:
        return ""


def pids_of(command: Command) -> list[int]:
    return [command.popen.pid, *command.children()]


def shown_by_the_system(command: Command) -> str:
    return "\n".join(Path(f"/proc/{pid}/cmdline").read_text(errors="replace") for pid in pids_of(command))


@pytest.mark.slow
def test_a_run_with_hostile_passwords_shows_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "clip.mp4", 40)
    config = yaml.safe_load(scene(tmp_path, 40).read_text())
    gate = config["streams"]["gate"]
    out, path = tmp_path / "out", tmp_path / "hostile.yaml"
    seen: dict[str, str] = {}
    with web_server(tmp_path) as port:
        addresses = sources(closed_port(), port)
        config["streams"] = {}
        for number, (name, address) in enumerate(addresses.items()):
            monkeypatch.setenv(f"ADDRESS_{number}", address)
            config["streams"][name] = gate | {"source": f"${{ADDRESS_{number}}}"}
        config["output"] = {"video": {"codec": "none"}}
        config["restarts"] = {"heartbeat_s": 60}
        path.write_text(yaml.safe_dump(config))
        events = (
            f"output.events=postgresql+psycopg://tally:{PASSWORDS['brackets']}@127.0.0.1:{closed_port()}/db"
        )
        words = (
            "--log-level",
            "debug",
            "--out",
            out,
            "--show",
            "--set",
            "output.live.window=false",
            "--set",
            events,
        )
        with Command("run", path, *words) as command:
            run_log = out / "log" / "run.log"
            wait_until(lambda: run_log.exists() and "ready" in run_log.read_text(), what="a stage")
            for name in config["streams"]:
                wait_until(lambda name=name: re.search(rf"WARNING decode/{name}: ", run_log.read_text())
                           or name == "served", what=f"{name} to be refused")  # fmt: skip
            seen["/proc/PID/cmdline"] = shown_by_the_system(command)
            targets = json.loads((out / "prometheus-targets.json").read_text())
            for target in targets:
                (address,) = target["targets"]
                seen[f"metrics of {target['labels']['process']}"] = fetched(f"http://{address}/metrics")
            for address in re.findall(r"http://127\.0\.0\.1:\d+", run_log.read_text()):
                seen[f"page {address}"] = fetched(f"{address}/")
            command.popen.send_signal(signal.SIGTERM)
            _, seen["stdout"], seen["stderr"] = command.finish()
    assert "tallycam_" in seen["metrics of supervisor"]
    assert seen["/proc/PID/cmdline"].count("tallycam") > 3
    for file in sorted(out.rglob("*")):
        if file.is_file():
            seen[str(file.relative_to(out))] = file.read_bytes().decode(errors="replace")
    assert {"config.json", "log/run.log", "run.json"} <= set(seen)
    assert [name for name, text in seen.items() if TOKEN in text] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quotes", "unicode"])
def test_a_password_on_the_command_line_is_shown_nowhere(name: str, tmp_path: Path) -> None:
    path, out = scene(tmp_path, 20), tmp_path / "out"
    source = f"--source=rtsp://viewer:{PASSWORDS[name]}@127.0.0.1:{closed_port()}/1"
    with Command("run", path, source, "--out", out, "--log-level", "debug") as command:
        run_log = out / "log" / "run.log"
        wait_until(
            lambda: run_log.exists() and "WARNING decode/gate" in run_log.read_text(), what="a refusal"
        )
        seen = [shown_by_the_system(command)]
        command.popen.send_signal(signal.SIGTERM)
        seen += command.finish()[1:]
    seen += [file.read_bytes().decode(errors="replace") for file in out.rglob("*") if file.is_file()]
    assert "rtsp://viewer:***@" in seen[0]
    assert not [text for text in seen if TOKEN in text]
