"""One fault after the other in a run on two cameras: how soon it is noticed, and what it costs.

    python -m benchmarks.chaos [--only SIGSTOP]

Two clips are played at their own speed, over and over, with recorded instances as the model. A fault hits the stream
`gate`, or a process that both share; `yard` is the other camera. In the rows of a camera, `gate` is an RTSP camera
behind a relay. A row holds the seconds from the fault to the line in `run.log` that notices it, the seconds to the next
frame of `gate` that is counted, from the mending of a camera on, or from the start where the fault is there before, the
frames dropped, the rows in the database beside the counts, and the rate of the other camera while the fault lasts.

PostgreSQL (Debian's `postgresql`) is used where it is at hand, a small disk where one can be mounted.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import yaml
from sqlalchemy import create_engine, inspect, text

from benchmarks.cameras import Relay
from benchmarks.measure import save, table
from tests.records.postgres import PASSWORD, USER, PostgresServer
from tests.running import Command, log_size, scene, summary, wait_until, write_clip
from tests.video.media import rtsp_server, write_rtsp_clip

COLUMNS = ("fault", "noticed s", "next frame s", "dropped", "rows - counts", "other camera %")
FRAME = 4000
"""Bytes by which the log grows with a frame, at least."""
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
        extra: What a fault keeps.
    """

    command: Command
    out: Path
    extra: dict[str, Any] = field(default_factory=dict)

    def frames(self, stream: str) -> int:
        """What grows with each frame that is counted: the bytes in the log, and while the disk takes none, a metric."""
        return log_size(self.out, stream) if "disk" not in self.extra else 2 * FRAME * self._told(stream)

    def _told(self, stream: str) -> int:
        path = self.out / "prometheus-targets.json"
        pattern = rf'^tallycam_frames_out_total{{.*stream="{stream}".*}} (\S+)$'
        for target in json.loads(path.read_text()) if path.exists() else ():
            if not target["labels"]["process"].startswith("track"):
                continue
            address = f"http://{target['targets'][0]}/metrics"
            with contextlib.suppress(OSError), urllib.request.urlopen(address) as got:
                if found := re.search(pattern, got.read().decode(), re.MULTILINE):
                    return int(float(found[1]))
        return 0

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


@dataclass
class Place:
    """Where a run takes place, and what stands beside it.

    Attributes:
        folder: Of its inputs.
        out: Of its results.
        source: Of `gate`; empty: a clip.
        extra: What a fault keeps.
    """

    folder: Path
    out: Path
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


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
        at_start: The fault is there before the run.
        camera: `gate` is a camera behind a relay.
        disk: The results are on a small disk, with video.
    """

    name: str
    hit: Callable[[Any], Any]
    pattern: str
    mend: Callable[[Any], Any] | None = None
    lasts_s: float = 0.0
    settings: tuple[str, ...] = ()
    resumes: bool = False
    at_start: bool = False
    camera: bool = False
    disk: bool = False


def send(stage: str, number: signal.Signals) -> Callable[[Run], None]:
    """Sends a signal to a stage."""
    return lambda run: os.kill(run.command.stage(stage), number)


def lock(place: Run | Place) -> None:
    """Another program holds the database."""
    connection = sqlite3.connect(
        place.out / "events.db", isolation_level=None, timeout=30, check_same_thread=False
    )
    connection.execute("BEGIN IMMEDIATE")
    place.extra["lock"] = connection


def lock_used(place: Place) -> None:
    """The same, of a folder in which a run is to go on."""
    with Command("run", place.extra["config"], "--out", place.out) as first:
        wait_until(lambda: log_size(place.out) > 10_000)
        first.popen.send_signal(signal.SIGINT)
        first.finish()
    lock(place)


def unlock(run: Run) -> None:
    run.extra["lock"].execute("ROLLBACK")
    run.extra["lock"].close()


def fill(run: Run) -> None:
    """Takes all the room there is."""
    with contextlib.suppress(OSError), (run.out.parent / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def silence(run: Run) -> None:
    """Cuts the connection, and answers no new one."""
    run.extra["relay"].silent = True
    run.extra["relay"].cut()


def freeze(run: Run) -> None:
    os.kill(run.extra["server"].pid, signal.SIGSTOP)


def thaw(run: Run) -> None:
    os.kill(run.extra["server"].pid, signal.SIGCONT)


def change_password(postgres: PostgresServer, before: str, after: str) -> None:
    """Gives the user of the database another password."""
    engine = create_engine(postgres.url(before).replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(f"ALTER USER {USER} PASSWORD '{after}'"))
    engine.dispose()


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
    yield Fault(
        "SQLite locked at the start, 10 s", lock_used, "database is locked", unlock, 10.0, at_start=True
    )
    if postgres is not None:
        settings = (f"output.events={postgres.url()}",)
        yield Fault(
            "PostgreSQL killed for 4 s",
            lambda run: postgres.kill(),
            "events wait",
            lambda run: postgres.start(),
            4.0,
            settings,
        )
        yield Fault(
            "PostgreSQL away at the start, 10 s",
            lambda place: postgres.kill(),
            "events wait",
            lambda run: postgres.start(),
            10.0,
            settings,
            at_start=True,
        )
        yield Fault(
            "PostgreSQL refuses the password, 10 s",
            lambda place: change_password(postgres, PASSWORD, "another"),
            "events wait",
            lambda run: change_password(postgres, "another", PASSWORD),
            10.0,
            settings,
            at_start=True,
        )
    yield Fault(
        "disk full for 10 s",
        fill,
        "No space left",
        lambda run: (run.out.parent / "filler").unlink(),
        10.0,
        disk=True,
    )
    lost = r"gate: .*(lost|away|no frame|stall|refused|timed out|ended|connect)"
    for name, hit, mend, lasts_s in (
        ("connection cut", lambda run: run.extra["relay"].cut(), lambda run: None, 0.1),
        ("frozen for 10 s", freeze, thaw, 10.0),
        (
            "silent on accept for 10 s",
            silence,
            lambda run: setattr(run.extra["relay"], "silent", False),
            10.0,
        ),
        (
            "refusing for 10 s",
            lambda run: run.extra["relay"].cut(refuse=True),
            lambda run: run.extra["relay"].again(),
            10.0,
        ),
    ):
        yield Fault(f"camera: {name}", hit, lost, mend, lasts_s, camera=True)
    yield Fault(
        "camera: away at the start, 10 s",
        lambda place: place.extra["relay"].cut(refuse=True),
        lost,
        lambda run: run.extra["relay"].again(),
        10.0,
        at_start=True,
        camera=True,
    )


@contextlib.contextmanager
def place_of(fault: Fault, folder: Path) -> Iterator[Place]:
    """What stands beside a run."""
    with contextlib.ExitStack() as stack:
        place = Place(folder, folder / "out")
        if fault.camera:
            write_clip(folder / "walk.mp4", 250)
            server, port = stack.enter_context(
                rtsp_server(write_rtsp_clip(folder / "walk.mp4", folder / "walk.aus"))
            )
            relay = Relay(port)
            place.extra |= {"server": server, "relay": relay}
            place.source = f"rtsp://127.0.0.1:{relay.port}/cam"
        if fault.disk:
            disk = folder / "disk"
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
            stack.callback(partial(subprocess.run, ["umount", "-l", str(disk)], check=True))
            place.out = disk / "out"
            place.extra["disk"] = disk
        yield place


def configured(fault: Fault, place: Place) -> Path:
    """The configuration of two cameras."""
    config = scene(place.folder, 500, realtime=True, loop=True)
    data = yaml.safe_load(config.read_text())
    data["streams"]["yard"] = {**data["streams"]["gate"], "source": str(place.folder / "clip.mp4")}
    if place.source:
        data["streams"]["gate"]["source"] = place.source
        del data["streams"]["gate"]["realtime"], data["streams"]["gate"]["loop"]
    if not fault.disk:
        data["output"] = {"video": {"codec": "none"}, "live": {"enabled": True}}  # so that there are sinks
    config.write_text(yaml.safe_dump(data))
    return config


def one(fault: Fault, folder: Path) -> dict[str, Any]:
    """Runs, hits, and measures."""
    with place_of(fault, folder) as place:
        return measured(fault, place)


def measured(fault: Fault, place: Place) -> dict[str, Any]:
    config, out = configured(fault, place), place.out
    words = [word for setting in fault.settings for word in ("--set", setting)]
    with contextlib.ExitStack() as stack:
        place.extra["config"] = config
        earlier = rows(out, fault)
        if fault.at_start:
            fault.hit(place)
        before = {name: log_size(out, name) for name in ("gate", "yard")}
        hit_s, began_s = time.time(), time.monotonic()
        command = stack.enter_context(Command("run", config, "--out", out, *words))
        run = Run(command, out, place.extra)
        if fault.at_start:
            watched = ("yard",) if fault.camera else ("gate", "yard")
            wait_until(lambda: all(run.frames(name) > before[name] + FRAME for name in watched))
            next_s = time.monotonic() - began_s
            others = rate(run, "yard")
            pause(max(0.0, fault.lasts_s - (time.monotonic() - began_s)))
            assert fault.mend is not None
            fault.mend(run)
            if fault.camera:
                began_s = time.monotonic()
                wait_until(lambda: run.frames("gate") > FRAME)
                next_s = time.monotonic() - began_s
            usual = rate(run, "yard")
        else:
            wait_until(lambda: min(run.frames("gate"), run.frames("yard")) > 100_000)
            pause(1.0)
            usual = rate(run, "yard")
            hit_s = time.time()
            fault.hit(run)
            began_s = time.monotonic()
            if fault.resumes:
                command.popen.wait()
                run.command = stack.enter_context(Command("run", config, "--out", out, *words))
            next_s, others = watched_meanwhile(fault, run, began_s)
        noticed = wait_until(lambda: run.notice(fault.pattern, hit_s), timeout_s=30, what=fault.pattern)
        pause(2.0)
        run.command.popen.send_signal(signal.SIGINT)
        code, _, err = run.command.finish(120)
    if code:
        raise SystemExit(f"{fault.name}: exit code {code}: {err}")
    return {
        "fault": fault.name,
        "noticed_s": round(noticed - hit_s, 2),
        "next_frame_s": round(next_s, 2),
        "dropped": sum(
            summary(out, name)["frames"]["dropped"].get("replaced", 0) for name in ("gate", "yard")
        ),
        "rows_minus_counts": rows(out, fault) - earlier - counted(out),
        "other_camera_percent": round(100 * others / max(1, usual)),
    }


def rate(run: Run, stream: str) -> int:
    """Bytes that the log of a stream grows by in `WATCH_S`."""
    before = run.frames(stream)
    pause(WATCH_S)
    return run.frames(stream) - before


def watched_meanwhile(fault: Fault, run: Run, began_s: float) -> tuple[float, int]:
    """Seconds to the next frame of `gate`, from the mending on for a camera; and what the other camera did in
    `WATCH_S`."""
    before = run.frames("yard")
    next_s, others = None, None
    mended = fault.mend is None
    settled, settled_s = run.frames("gate"), began_s
    while not mended or next_s is None or others is None:
        pause(0.02)
        now_s = time.monotonic()
        if not mended and now_s - began_s >= fault.lasts_s:
            assert fault.mend is not None
            fault.mend(run)
            mended = True
            if fault.camera:
                settled, settled_s, next_s = run.frames("gate"), now_s, None
        now = run.frames("gate")
        if now_s - settled_s < 0.05:
            settled = max(settled, now)
        elif next_s is None and now > settled + FRAME:
            next_s = now_s - settled_s
        if others is None and now_s - began_s >= WATCH_S:
            others = run.frames("yard") - before
        if now_s - began_s > 90:
            raise SystemExit(f"{fault.name}: no frame for 90 s")
    return next_s, others


def rows(out: Path, fault: Fault) -> int:
    """Events in the database; 0 where there is none yet."""
    url = next((one.partition("=")[2] for one in fault.settings if one.startswith("output.events")), "")
    if not url and not (out / "events.db").exists():
        return 0
    engine = create_engine(
        url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{out / 'events.db'}"
    )
    with engine.connect() as connection:
        if not inspect(connection).has_table("events"):
            return 0
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
    table("Faults in a run on two cameras", COLUMNS, [list(row.values()) for row in found])
    if not options.only:
        save("chaos", {"faults": found})


if __name__ == "__main__":
    main()
