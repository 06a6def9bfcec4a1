"""Many days in a few minutes: does anything grow, and are the counts those of a life without a fault?

    python -m benchmarks.year [--days 31]

Recorded instances at full speed, with the time stamps of a camera from 10 October 2026 on, so that a change from
daylight saving time lies within. Each day is counted by two processes: the first is killed in the middle of it, the
second stops at its end. What `track` uses is real: log, checkpoints, events in SQLite, calendar, retention (7 days).
Told for each day: bytes of the log, of the newest checkpoint, of memory, and the seconds and frames of the restart. In
the end the counts by hour in the database are compared with those of one process that counts all days undisturbed.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import multiprocessing
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.measure import save, table
from pipeline.config.schema import Config
from pipeline.geometry.masks import MASK_SIZE
from pipeline.records.deletion import Disk, RetentionLimits, delete, log_segments, plan
from pipeline.sinks.database import Database
from pipeline.sinks.sink import SinkContext
from pipeline.stages.context import StageContext, now
from pipeline.stages.stream_state import StreamState
from pipeline.transport.messages import Instances

BERLIN = ZoneInfo("Europe/Berlin")
BEGAN = datetime(2026, 10, 10, tzinfo=BERLIN)
WIDTH, HEIGHT, FPS = 640, 360, 10
PASSAGES, PASSAGE_S, IDLE_S = 30, 5.0, 30.0
"""People who walk by on one day, for how long, and the step of the frames in between."""
DAYS_KEPT = 7
CLASSES = ("person", "car")


def config() -> Config:
    """A gate, with a line and a zone."""
    gate = {
        "source": "synthetic:1",
        "realtime": True,
        "lines": {"door": {"points": [[0.5, 1.0], [0.5, 0.0]], "directions": ["in", "out"]}},
        "zones": {"yard": {"points": [[0.2, 0.0], [0.8, 0.0], [0.8, 1.0], [0.2, 1.0]]}},
    }
    return Config.model_validate({"streams": {"gate": gate}, "time_zone": "Europe/Berlin"})


def times(day: int) -> list[tuple[float, list[float]]]:
    """Unix time of each frame of a day, and how far those who pass are, 0..1."""
    begin_s = (BEGAN + timedelta(days=day)).timestamp()
    end_s = (BEGAN + timedelta(days=day + 1)).timestamp()
    random = np.random.default_rng(day)
    starts = np.sort(random.uniform(begin_s + 60, end_s - 60, PASSAGES))
    steps = np.arange(0, PASSAGE_S, 1 / FPS)
    moments = np.concatenate([np.arange(begin_s, end_s, IDLE_S), *(start + steps for start in starts)])
    return [
        (float(at_s), [float(part) for part in (at_s - starts) / PASSAGE_S if 0 <= part < 1])
        for at_s in np.sort(moments)
    ]


def frames(day: int, first_seq: int) -> Iterator[Instances]:
    """The frames of a day."""
    for number, (at_s, parts) in enumerate(times(day)):
        boxes = [(x - 12, 150, x + 12, 230) for x in (30 + part * (WIDTH - 60) for part in parts)]
        yield Instances(
            stream="gate", epoch=0, seq=first_seq + number, index=first_seq + number,
            pts_s=at_s - BEGAN.timestamp(), wall_s=at_s, width=WIDTH, height=HEIGHT,
            boxes_px=np.array(boxes, np.float32).reshape(-1, 4), scores=np.full(len(boxes), 0.9, np.float32),
            class_ids=np.zeros(len(boxes), np.int16),
            masks=np.full((len(boxes), MASK_SIZE, MASK_SIZE), 255, np.uint8),
        )  # fmt: skip


def live(out: Path, days: list[int], first_seq: int, kill_after: int, told: Any) -> None:
    """One life of the tracking process: counts days from where the last life ended; may kill itself on the way."""
    context = StageContext("track/0", 0, 0, config(), out, "year", CLASSES)
    database = Database("", SinkContext("database", "", 0, 0, out, "year", CLASSES))
    began_s = now()
    replayed: list[int] = []

    def write() -> None:
        database.write_events(state.events)
        state.events.clear()

    state: StreamState
    state = StreamState(
        context,
        "gate",
        beat=lambda: replayed.append(1),
        write_events=lambda: write(),
        sync_events=database.sync,
    )
    restart_s = now() - began_s
    taken = 0
    for day in days:
        for frame in frames(day, first_seq):
            first_seq = frame.seq + 1
            if frame.seq < state.next_seq:
                continue
            state.take(frame)
            taken += 1
            if taken % 50 == 0:
                write()
                state.keep()
            if taken == kill_after:
                os._exit(9)
    write()
    state.close()
    database.close()
    while not database.closed():
        time.sleep(0.01)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    calendar = state.totals().summary["calendar"]
    told.put(
        {
            "next_seq": state.next_seq,
            "restart_s": restart_s,
            "replayed": len(replayed),
            "memory_mb": memory_mb,
        }
        | {"calendar": calendar}
    )


def lived(out: Path, days: list[int], first_seq: int, kill_after: int = -1) -> dict[str, Any] | None:
    """A life in a process of its own; None if it was killed."""
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    process = spawn.Process(target=live, args=(out, days, first_seq, kill_after, told))
    process.start()
    found: dict[str, Any] | None = None if kill_after > 0 else told.get(timeout=3600)
    process.join()
    return found


def tidy(out: Path, day: int) -> None:
    """Retention, by the clock of the simulation."""
    end_s = (BEGAN + timedelta(days=day + 1)).timestamp()
    for path in (out / "log" / "gate").iterdir():
        if path.stat().st_mtime > end_s + 86_400 or path.stat().st_mtime < 1e9:
            os.utime(path, (end_s, end_s))
    limits = RetentionLimits(age_s={"log": DAYS_KEPT * 86_400.0})
    delete(plan(log_segments(out / "log" / "gate"), Disk(10**12, 10**12), limits, end_s))


def by_hour(out: Path) -> list[tuple[Any, ...]]:
    """The counts of each hour in the database."""
    query = "select hour, kind, name, class_name, direction, count from counts_by_hour order by 1, 2, 3, 4, 5"
    with sqlite3.connect(out / "events.db") as database:
        return database.execute(query).fetchall()


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=31)
    days = parser.parse_args().days
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="year-") as folder:
        out, calm = Path(folder) / "disturbed", Path(folder) / "calm"
        first_seq = 0
        last: dict[str, Any] | None = None
        for day in range(days):
            kill_after = 500 + day * 131 % 3500
            lived(out, [day], first_seq, kill_after)
            last = lived(out, [day], first_seq)
            assert last is not None
            first_seq = last["next_seq"]
            tidy(out, day)
            log = out / "log" / "gate"
            size = sum(path.stat().st_size for path in log.iterdir())
            found.append(
                {
                    "day": day + 1,
                    "log_mb": round(size / 1e6, 2),
                    "files": len(list(log.iterdir())),
                    "checkpoint_kb": round((log / "latest.checkpoint").stat().st_size / 1e3, 1),
                    "memory_mb": round(last["memory_mb"], 1),
                    "restart_s": round(last["restart_s"], 3),
                    "replayed": last["replayed"],
                }
            )
            print(found[-1], flush=True)
        undisturbed = lived(calm, list(range(days)), 0)
        assert last is not None and undisturbed is not None
        equal = by_hour(out) == by_hour(calm)
        same_calendar = last["calendar"] == undisturbed["calendar"]
        hours = len({row[0] for row in by_hour(calm)})
    table(
        f"{days} days, each with a kill and a restart", list(found[0]), [list(row.values()) for row in found]
    )
    print(f"counts of {hours} hours equal: {equal}; since ever, today, this hour equal: {same_calendar}")
    result = {"days": found, "hours": hours, "hours_equal": equal, "calendar_equal": same_calendar}
    save("year", result | {"calendar": last["calendar"]})


if __name__ == "__main__":
    main()
