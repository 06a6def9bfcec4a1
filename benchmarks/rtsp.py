"""A live camera that goes away and comes back, and a model that is slower than the camera.

    python -m benchmarks.rtsp [--away 5] [--seconds 20]

Serves the bundled clip with GStreamer's RTSP server (Debian's gir1.2-gst-rtsp-server-1.0), counts it, kills the server,
starts it again after some seconds and tells how long after its return the next frame was counted; then counts with
the model held back to a third of the camera's rate, and tells the delay and what was dropped.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import os
import signal
import tempfile
import time

from benchmarks.measure import save, table
from pipeline.demo.clip import DEMO_VIDEO
from tests.running import ROOT, Command, summary, wait_until
from tests.video.media import rtsp_server, write_rtsp_clip


def size_of(out: Path) -> int:
    return sum(path.stat().st_size for path in (out / "log" / "street").glob("*.log"))


def grown(out: Path, before: int, by: int) -> bool:
    return size_of(out) - before > by


def pause(seconds: float) -> None:
    until_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until_s, timeout_s=seconds + 5)


def stopped(command: Command) -> None:
    command.popen.send_signal(signal.SIGINT)
    code, _, err = command.finish()
    if code:
        raise SystemExit(err)


def return_of_the_camera(clip: Path, folder: Path, away_s: float) -> tuple[float, dict[str, object]]:
    """Seconds from the server's return to the first frame counted after it."""
    out = folder / "away"
    with rtsp_server(clip) as (server, port):
        url = f"rtsp://127.0.0.1:{port}/cam"
        with Command("run", ROOT / "configs" / "demo.yaml", "--source", url, "--out", out) as command:
            wait_until(lambda: grown(out, 0, 100_000))
            server.kill()
            server.wait()
            pause(away_s)
            with rtsp_server(clip, "--port", str(port)):
                back_s, before = time.monotonic(), size_of(out)
                wait_until(lambda: grown(out, before, 0))
                took_s = time.monotonic() - back_s
                wait_until(lambda: grown(out, before, 100_000))
                stopped(command)
    return took_s, summary(out, "street")


def slow_model(clip: Path, folder: Path, seconds: float) -> dict[str, object]:
    """The worker gets a third of the time."""
    out = folder / "slow"
    with rtsp_server(clip) as (_, port):
        url = f"rtsp://127.0.0.1:{port}/cam"
        with Command("run", ROOT / "configs" / "demo.yaml", "--source", url, "--out", out) as command:
            wait_until(lambda: grown(out, 0, 0))
            worker = command.stage("segment/0")
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                os.kill(worker, signal.SIGSTOP)
                pause(0.08)
                os.kill(worker, signal.SIGCONT)
                pause(0.04)
            stopped(command)
    return summary(out, "street")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A live camera that comes back, and a model that is too slow."
    )
    parser.add_argument("--away", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_rtsp_clip(DEMO_VIDEO, folder / "demo.aus")
        took_s, away = return_of_the_camera(clip, folder, given.away)
        slow = slow_model(clip, folder, given.seconds)
    print(f"the first frame after the camera's return was counted {took_s:.2f} s after it")
    rows = [
        (name, part["frames"], part["latency_ms"], part["reconnects"])
        for name, part in (("camera away", away), ("slow model", slow))
    ]
    table("live", ("scenario", "frames", "latency ms", "reconnections"), rows)
    save("rtsp", {"away_s": given.away, "back_after_s": took_s, "camera_away": away, "slow_model": slow})


if __name__ == "__main__":
    main()
