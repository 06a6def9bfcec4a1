"""CPU-ms to hand one frame from one process to another, both ends: ours beside a pickled queue, ZeroMQ and a bare ring.

    python -m benchmarks.transport [--frames 300] [--rounds 7] [--size 1920x1080]

In each variant the sender has the frame in private memory and the receiver copies it into private memory. The
bare ring is the limit: one copy into shared memory, one byte through a pipe, one copy out, one byte back. Ours does
all that the pipeline does: slot from the ledger, copy, ask and lease over ZeroMQ, table check, copy, acceptance
and release.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import mmap
import multiprocessing as mp
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import zmq

from benchmarks.measure import cpu_s, medians, save, table
from pipeline.stages.frame_queue import FrameQueue
from pipeline.stages.pending_frame import PendingFrame
from pipeline.stages.rings import Rings
from pipeline.transport.messages import Accepted, Ask, Leases, Released
from pipeline.transport.planes import planes_bytes
from pipeline.transport.ring import Ring
from pipeline.transport.sockets import DealerSocket, Poller, RouterSocket

SLOTS = 12
Sender = Callable[[np.ndarray, int, Any], None]
Receiver = Callable[[int, int, Any], None]


def bare_send(frame: np.ndarray, frames: int, link: Any) -> None:
    memory, there, back = link
    slots = np.frombuffer(memory, np.uint8).reshape(SLOTS, -1)
    credit = SLOTS
    for number in range(frames):
        if not credit:
            credit += len(os.read(back[0], SLOTS))
        slots[number % SLOTS, : frame.size] = frame
        os.write(there[1], b"x")
        credit -= 1
    while credit < SLOTS:
        credit += len(os.read(back[0], SLOTS))


def bare_receive(size: int, frames: int, link: Any) -> None:
    memory, there, back = link
    slots = np.frombuffer(memory, np.uint8).reshape(SLOTS, -1)
    mine = np.empty(size, np.uint8)
    number = 0
    while number < frames:
        for _ in os.read(there[0], 1):
            mine[:] = slots[number % SLOTS, :size]
            number += 1
            os.write(back[1], b"x")


def queue_send(frame: np.ndarray, frames: int, link: Any) -> None:
    for _ in range(frames):
        link[0].put(frame)
    link[1].get()


def queue_receive(size: int, frames: int, link: Any) -> None:
    mine = np.empty(size, np.uint8)
    for _ in range(frames):
        mine[:] = link[0].get()
    link[1].put(None)


def zmq_send(frame: np.ndarray, frames: int, link: Any) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.bind(link)
        credit = SLOTS
        for _ in range(frames):
            if not credit:
                socket.recv()
                credit += 1
            socket.send(frame.data, copy=False)
            credit -= 1
        while credit < SLOTS:
            socket.recv()
            credit += 1


def zmq_receive(size: int, frames: int, link: Any) -> None:
    mine = np.empty(size, np.uint8)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(link)
        for _ in range(frames):
            mine[:] = np.frombuffer(socket.recv(copy=False).buffer, np.uint8)
            socket.send(b"x")


def ours_send(frame: np.ndarray, frames: int, link: Any) -> None:
    endpoint, width, height = link
    luma = width * height
    frame_queue = FrameQueue(SLOTS, live=False)
    with RouterSocket(endpoint) as router, Ring.create(SLOTS, width, height) as ring:
        poller = Poller([router])
        asked: tuple[bytes, Ask] | None = None
        number = 0
        while frame_queue.released_to < frames:
            while number < frames and (slot := frame_queue.take_slot(0.0)) is not None:
                planes = ring.open_slot(slot)
                planes.y[:] = frame[:luma].reshape(height, width)
                planes.u[:] = frame[luma : luma + luma // 4].reshape(height // 2, width // 2)
                planes.v[:] = frame[luma + luma // 4 :].reshape(height // 2, width // 2)
                frame_queue.put(PendingFrame(ring, slot, 0, number, number / 25, 0.0), 0.0)
                number += 1
            if asked is not None and (leased := frame_queue.lease("w", 0, asked[1].frames, 0.0)):
                for seq, held in leased:
                    ring.publish(held.slot, held.epoch, seq)
                refs = tuple(held.ref(seq, "a") for seq, held in leased)
                router.send(asked[0], Leases(frames=refs))
                asked = None
            poller.wait(0.1)
            for peer, message in router.receive_all():
                if isinstance(message, Ask):
                    asked = peer, message
                elif isinstance(message, Accepted):
                    frame_queue.accepted(message.seq)
                elif isinstance(message, Released):
                    frame_queue.released(message.seq)


def ours_receive(size: int, frames: int, link: Any) -> None:
    endpoint, _, _ = link
    mine = np.empty(size, np.uint8)
    rings = Rings()
    with DealerSocket(endpoint, "w#0") as peer:
        poller = Poller([peer])
        number = 0
        while number < frames:
            peer.send(Ask(worker="w", incarnation=0, frames=4))
            poller.wait(1.0)
            for message in peer.receive_all():
                if not isinstance(message, Leases):
                    continue
                for ref in message.frames:
                    ring = rings.get(ref)
                    assert ring is not None
                    planes = ring.planes(ref.slot)
                    luma, chroma = planes.y.size, planes.u.size
                    mine[:luma] = planes.y.reshape(-1)
                    mine[luma : luma + chroma] = planes.u.reshape(-1)
                    mine[luma + chroma :] = planes.v.reshape(-1)
                    assert ring.holds(ref.slot, ref.epoch, ref.seq)
                    del planes
                    number += 1
                peer.send(Accepted(stream="a", seq=message.frames[-1].seq))
                peer.send(Released(stream="a", seq=message.frames[-1].seq))


def _child(receive: Receiver, size: int, frames: int, link: Any, say: Connection) -> None:
    """Runs the receiver; its CPU time without what the process itself cost."""
    receive(size, 8, link) if receive is queue_receive else None
    start_s = cpu_s()
    receive(size, frames, link)
    say.send(cpu_s() - start_s)


def measure(send: Sender, receive: Receiver, frame: np.ndarray, frames: int, link: Any) -> float:
    """CPU-ms a frame, both ends."""
    hear, say = mp.Pipe(duplex=False)
    child = mp.get_context("fork").Process(target=_child, args=(receive, frame.size, frames, link, say))
    child.start()
    if receive is queue_receive:
        send(frame, 8, link)
    start_s = cpu_s()
    send(frame, frames, link)
    spent_s = cpu_s() - start_s
    spent_s += hear.recv()
    child.join()
    return 1e3 * spent_s / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", default="1920x1080")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    frame = np.random.default_rng(0).integers(0, 256, planes_bytes(width, height)).astype(np.uint8)
    rounds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="tallycam-bench-") as folder, contextlib.ExitStack():
        for number in range(given.rounds):
            there, back = os.pipe(), os.pipe()
            links: dict[str, tuple[Sender, Receiver, Any]] = {
                "bare ring": (bare_send, bare_receive, (mmap.mmap(-1, SLOTS * frame.size), there, back)),
                "ours": (ours_send, ours_receive, (f"ipc://{folder}/o{number}", width, height)),
                "pyzmq ipc": (zmq_send, zmq_receive, f"ipc://{folder}/z{number}"),
                "mp.Queue": (queue_send, queue_receive, (mp.Queue(SLOTS), mp.Queue())),
            }
            for name, (send, receive, link) in links.items():
                rounds.setdefault(name, []).append(measure(send, receive, frame, given.frames, link))
            for descriptor in (*there, *back):
                os.close(descriptor)
            time.sleep(0.1)
    result = medians(rounds)
    ratios = {
        name: [a / b for a, b in zip(rounds[name], rounds["bare ring"], strict=True)] for name in rounds
    }
    ratio = medians(ratios)
    table(
        f"CPU-ms to hand over one {given.size} frame, both ends (median of {given.rounds} interleaved rounds)",
        ("way", "CPU-ms", "x bare ring"),
        [(name, f"{value:.3f}", f"{ratio[name]:.2f}") for name, value in result.items()],
    )
    save("transport", {"size": given.size, "cpu_ms": result, "ratio_to_bare_ring": ratio, "rounds": rounds})
    Path(tempfile.gettempdir())


if __name__ == "__main__":
    main()
