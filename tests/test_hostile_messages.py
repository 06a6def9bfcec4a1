"""Messages that lie, are forged or are none: each is counted and dropped, and the run counts as if there were none."""

from __future__ import annotations

import random
import re
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from pipeline.transport import wire
from pipeline.transport.messages import (
    Accepted,
    Ask,
    Beat,
    EndOfStream,
    Hello,
    Instances,
    Leases,
    Message,
    Released,
    Report,
    Stop,
    Want,
)
from tests.running import Command, counts, log_size, scene, summary, tallycam, wait_until

FRAMES = 400
HUGE = 10**9


def lies() -> Iterator[Message]:
    """Well-formed messages of which nothing is true."""
    for stream in ("gate", "nowhere"):
        yield Hello(stage="track", stream=stream, incarnation=7, next_seq=HUGE)
        yield Hello(stage="sink", stream=stream, incarnation=7, next_seq=HUGE)
        yield Hello(stage="nothing", stream=stream, incarnation=-1, next_seq=-5)
        yield Accepted(stream=stream, seq=HUGE)
        yield Released(stream=stream, seq=HUGE)
        yield EndOfStream(stream=stream, frames=0)
        yield EndOfStream(stream=stream, frames=HUGE)
        yield Want(stream=stream, incarnation=99, next_seq=-1, credit=HUGE)
        yield instances(stream, HUGE)
        yield instances(stream, -1)
        yield instances(stream, 5, pts_s=float("nan"))
    yield Ask(worker="segment/0", incarnation=0, frames=HUGE)
    yield Ask(worker="segment/99", incarnation=99, frames=1)
    yield Leases(frames=())
    yield Beat(process="decode/gate", incarnation=99, state="failed", report=Report(), error="x", exit_code=2)
    yield Stop(drain=False)


def instances(stream: str, seq: int, pts_s: float = 0.0) -> Instances:
    return Instances(
        stream=stream, epoch=0, seq=seq, index=0, pts_s=pts_s, wall_s=0, width=320, height=180,
        boxes_px=np.zeros((1, 4), np.float32), scores=np.ones(1, np.float32), class_ids=np.zeros(1, np.int16),
        masks=np.zeros((1, 28, 28), np.uint8),
    )  # fmt: skip


def nonsense(rng: random.Random) -> bytes:
    """A message with some bytes changed, cut off, or none at all."""
    data = bytearray(wire.encode(rng.choice(list(lies()))))
    how = rng.randrange(4)
    if how == 0:
        return rng.randbytes(rng.randrange(64))
    if how == 1:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(min(len(data), 80))] = rng.randrange(256)
    return bytes(data)


def attack(runtime: Path, number: int, seed: int) -> int:
    """Sends messages to each endpoint of the run under different names, and returns how many."""
    rng, sent = random.Random(seed), 0
    folder = wait_until(lambda: next(runtime.glob("tallycam-*"), None))
    context = zmq.Context()
    try:
        for endpoint in ("stream-0", "track-0", "supervisor"):
            for name in ("stranger", "segment/0#77", "sink/nowhere#0", "track/9#0"):
                socket = context.socket(zmq.DEALER)
                socket.setsockopt(zmq.IDENTITY, name.encode())
                socket.setsockopt(zmq.LINGER, 2000)
                socket.connect(f"ipc://{folder}/{endpoint}")
                for lie in lies():
                    socket.send(wire.encode(lie))
                    sent += 1
                for _ in range(number):
                    socket.send(nonsense(rng))
                    sent += 1
                socket.close()
    finally:
        context.term()
    return sent


def rejected(out: Path) -> float:
    """Messages rejected so far, of all processes."""
    targets = (out / "prometheus-targets.json").read_text()
    total = 0.0
    for port in re.findall(r"127\.0\.0\.1:(\d+)", targets):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        values = re.findall(r"^tallycam_messages_rejected_total\{.*\} (\S+)$", text, re.MULTILINE)
        total += sum(map(float, values))
    return total


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder for sockets, whose paths have to be short."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


@pytest.mark.slow
def test_lies_and_nonsense_at_every_endpoint_change_no_count(tmp_path: Path, runtime: Path) -> None:
    config = scene(tmp_path, FRAMES)
    assert tallycam("run", config, "--out", tmp_path / "calm")[0] == 0
    out = tmp_path / "out"
    with Command("run", config, "--out", out, runtime=runtime) as command:
        wait_until(lambda: log_size(out) > 20_000)
        attack(runtime, 20, seed=1)
        code, _, err = command.finish()
    assert code == 0, err
    assert counts(out) == counts(tmp_path / "calm")
    assert "restarted" not in err and "Traceback" not in err


@pytest.mark.slow
def test_a_flood_stops_no_camera_and_every_message_is_counted(tmp_path: Path, runtime: Path) -> None:
    config = scene(tmp_path, FRAMES, realtime=True, loop=True)
    out = tmp_path / "out"
    with Command("run", config, "--out", out, "--set", "output.video.codec=none", runtime=runtime) as command:
        wait_until(lambda: log_size(out) > 20_000)
        sent = attack(runtime, 100, seed=2)
        # the supervisor ignores the beats of strangers without a word
        wait_until(lambda: rejected(out) > 0.5 * sent, what="the rejected messages in the metrics")
        before = log_size(out)
        wait_until(lambda: log_size(out) > before + 50_000)
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert "restarted" not in err and "Traceback" not in err
    assert summary(out)["frames"]["processed"] > 0
