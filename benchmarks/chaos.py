"""One fault after the other in a run on two cameras: how soon it is noticed, and what it costs.

    python -m benchmarks.chaos [--only SIGSTOP]

Two clips are played at their own speed, over and over, with recorded instances as the model. A fault hits the stream
`gate`, or a process that both share; `yard` is the other camera. Told are the seconds from the fault to the line in
`run.log` that notices it, the seconds to the next frame of `gate` that is counted, the frames dropped beyond those of
the start, the rows in the database beside the counts, and by how much the other camera fell off.

PostgreSQL (Debian's `postgresql`) is used where it is at hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml
from sqlalchemy import create_engine, text

from benchmarks.measure import save, table
from tests.records.postgres import PostgresServer
from tests.running import Command, log_size, scene, summary, wait_until, write_clip
from tests.video.media import rtsp_server, write_rtsp_clip

COLUMNS = ("fault", "noticed s", "next frame s", "dropped", "rows - counts", "other camera %")
WATCH_S = 6.0
"""How long the other camera is watched before a fault, and from the fault on."""


def pause(seconds: float) -> None:
    """Lets time go by."""
    until_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until_s, timeout_s=seconds + 60, every_s=0.02)


@dataclass
class Run:
    """A run on two cameras.

    Attributes:
        command: The running command.
        out: Folder of its results.
        folder: Of its inputs.
        noticed_s: Unix time of the first line in the log that tells the fault.
    """

    command: Command
    out: Path
    folder: Path
    noticed_s: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    def frames(self, stream: str) -> int:
        """About the number of frames counted, from the bytes in the log."""
        return log_size(self.out, stream)

    def notice(self, pattern: str, since_s: float) -> float | None:
        """Unix time of the first line since then that matches."""
        path = self.out / "log" / "run.log"
        for line in path.read_text().splitlines() if path.exists() else ():
            stamp = re.match(r"(\d{4}-\d\d-\d\dT\S+) ", line)
            if stamp and re.search(pattern, line):
                at_s = datetime.fromisoformat(stamp[1]).timestamp()
                if at_s >= since_s - 0.001:
                    return at_s
        return None


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        name: For the table.
        hit: Makes the fault; gets the run.
        pattern: Of the line in the log that notices it.
        mend: Undoes it, `lasts_s` later.
        lasts_s: How long the fault lasts.
        settings: Of the command.
        resumes: The run is started again in the same folder.
    """

    name: str
    hit: Callable[[Run], Any]
    pattern: str
    mend: Callable[[Run], Any] | None = None
    lasts_s: float = 0.0
    settings: tuple[str, ...] = ()
    resumes: bool = False


def send(stage: str, number: signal.Signals) -> Callable[[Run], None]:
    """Sends a signal to a stage."""
    return lambda run: os.kill(run.command.stage(stage), number)


def lock(run: Run) -> None:
    """Another program holds the database."""
    connection = sqlite3.connect(run.out / "events.db", isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    run.extra["lock"] = connection


def unlock(run: Run) -> None:
    run.extra["lock"].execute("ROLLBACK")
    run.extra["lock"].close()


def faults(postgres: PostgresServer | None) -> Iterator[Fault]:
    """The rows of the table."""
    for stage in ("decode/gate", "segment/0", "track/0", "sink/gate"):
        yield Fault(f"kill -9 {stage}", send(stage, signal.SIGKILL), rf"{stage}: died")
    for stage in ("decode/gate", "segment/0", "track/0", "sink/gate"):
        yield Fault(f"SIGSTOP {stage}", send(stage, signal.SIGSTOP), rf"{stage}: stuck")
    yield Fault(
        "kill -9 supervisor", lambda run: run.command.popen.kill(), "the supervisor is gone", resumes=True
    )
    yield Fault("SQLite locked for 10 s", lock, "database is locked", unlock, 10.0)
    if postgres is not None:
        away = (f"output.events={postgres.url()}",)
        yield Fault(
            "PostgreSQL killed for 4 s",
            lambda run: postgres.kill(),
            "events wait",
            lambda run: postgres.start(),
            4.0,
            away,
        )


def one(fault: Fault, folder: Path) -> dict[str, Any]:
    """Runs, hits, and measures."""
    config = scene(folder, 500, realtime=True, loop=True)
    data = yaml.safe_load(config.read_text())
    data["streams"]["yard"] = {**data["streams"]["gate"], "source": str(folder / "clip.mp4")}
    data["output"] = {"video": {"codec": "none"}}
    config.write_text(yaml.safe_dump(data))
    out = folder / "out"
    words = [word for setting in fault.settings for word in ("--set", setting)]
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(Command("run", config, "--out", out, *words))
        run = Run(command, out, folder)
        wait_until(lambda: min(run.frames("gate"), run.frames("yard")) > 100_000)
        pause(1.0)
        before = run.frames("yard")
        pause(WATCH_S)
        usual = run.frames("yard") - before
        before, hit_s = run.frames("yard"), time.time()
        fault.hit(run)
        began_s = time.monotonic()
        if fault.resumes:
            command.popen.wait()
            command = run.command = stack.enter_context(Command("run", config, "--out", out, *words))
        next_s = None
        mended = fault.mend is None
        settled = run.frames("gate")
        while (
            time.monotonic() - began_s < max(WATCH_S, fault.lasts_s + 2)
            or not mended
            or next_s is None
            or "others" not in run.extra
        ):
            if not mended and time.monotonic() - began_s >= fault.lasts_s:
                assert fault.mend is not None
                fault.mend(run)
                mended = True
            now = run.frames("gate")
            if next_s is None and time.monotonic() - began_s > 0.05:
                if now > settled + 4000:
                    next_s = time.monotonic() - began_s
            elif next_s is None:
                settled = max(settled, now)
            if "others" not in run.extra and time.monotonic() - began_s >= WATCH_S:
                run.extra["others"] = run.frames("yard") - before
            if time.monotonic() - began_s > 90:
                break
            pause(0.02)
        noticed = wait_until(lambda: run.notice(fault.pattern, hit_s), timeout_s=30, what=fault.pattern)
        pause(2.0)
        run.command.popen.send_signal(signal.SIGINT)
        code, _, err = run.command.finish(120)
    if code:
        raise SystemExit(f"{fault.name}: exit code {code}: {err}")
    return {
        "fault": fault.name,
        "noticed_s": round(noticed - hit_s, 2),
        "next_frame_s": None if next_s is None else round(next_s, 2),
        "dropped": sum(
            summary(out, name)["frames"]["dropped"].get("replaced", 0) for name in ("gate", "yard")
        ),
        "rows_minus_counts": rows(out, fault) - counted(out),
        "other_camera_percent": round(100 * run.extra.get("others", 0) / max(1, usual)),
    }


def rows(out: Path, fault: Fault) -> int:
    """Events in the database."""
    url = next((one.partition("=")[2] for one in fault.settings if one.startswith("output.events")), "")
    engine = create_engine(
        url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{out / 'events.db'}"
    )
    with engine.connect() as connection:
        return int(
            connection.execute(text("select count(*) from events where kind <> 'camera'")).scalar_one()
        )


def counted(out: Path) -> int:
    """Unique objects, crossings, and passages of zones, of both streams."""
    total = 0
    for name in ("gate", "yard"):
        part = summary(out, name)
        total += sum(part["unique"].values())
        total += sum(n for line in part["lines"].values() for ways in line.values() for n in ways.values())
        total += sum(
            one["entries"] + one["exits"] for zone in part["zones"].values() for one in zone.values()
        )
    return total


def camera_away(folder: Path) -> dict[str, Any]:
    """An RTSP camera that is away at the start, and another one beside it."""
    write_clip(folder / "walk.mp4", 100)
    config = scene(folder, 500, realtime=True, loop=True)
    data = yaml.safe_load(config.read_text())
    server_clip = write_rtsp_clip(folder / "walk.mp4", folder / "walk.aus")
    with rtsp_server(server_clip) as (server, port):
        server.kill()
        server.wait()
    data["streams"]["cam"] = {"source": f"rtsp://127.0.0.1:{port}/cam"}
    data["output"] = {"video": {"codec": "none"}}
    config.write_text(yaml.safe_dump(data))
    out = folder / "out"
    with Command("run", config, "--out", out) as command:
        run = Run(command, out, folder)
        wait_until(lambda: run.frames("gate") > 100_000)
        before = run.frames("gate")
        pause(10.0)
        with rtsp_server(server_clip, "--port", str(port)):
            began_s = time.monotonic()
            wait_until(lambda: run.frames("cam") > 0)
            next_s = time.monotonic() - began_s
            grown = run.frames("gate") > before
        command.popen.send_signal(signal.SIGINT)
        command.finish(120)
    return {
        "fault": "camera away at the start, 10 s",
        "noticed_s": 0.0,
        "next_frame_s": round(next_s, 2),
        "dropped": 0,
        "rows_minus_counts": 0,
        "other_camera_percent": 100 if grown else 0,
    }


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only faults whose names contain this")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        postgres = None
        programs = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), reverse=True)
        if program := shutil.which("pg_ctl") or next(iter(programs), ""):
            postgres = PostgresServer(program)
            stack.callback(postgres.remove)
            with contextlib.suppress(subprocess.CalledProcessError):
                postgres.start()
        for fault in faults(postgres):
            if options.only not in fault.name:
                continue
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                found.append(one(fault, Path(folder)))
                print(found[-1], flush=True)
        if options.only in "camera away":
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                found.append(camera_away(Path(folder)))
    table("Faults in a run on two cameras", COLUMNS, [list(row.values()) for row in found])
    if not options.only:
        save("chaos", {"faults": found})


if __name__ == "__main__":
    main()
