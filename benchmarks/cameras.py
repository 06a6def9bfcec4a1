"""What happens to a live source when its camera, its network or its clock misbehaves.

    python -m benchmarks.cameras [--only TEXT]

Each frame that the camera sends has its number drawn into it, so that lost and doubled frames are seen. RTSP comes from
GStreamer's server through a relay that can be cut; the other kinds come from ffmpeg. One row for each fault:

- noticed: seconds from the fault until the source says that its camera is away;
- back: seconds from the end of the fault until the next new frame is delivered;
- lost, twice: frames that were sent while the camera was there and not delivered; frames that were delivered twice;
- time: seconds by which the media time between the last frame before the fault and the last one of the row differs from
  the clock;
- said: the line that the source gives as its reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av

from benchmarks.measure import save, table
from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.source import Source
from pipeline.video.sources.source_registry import open_source
from tests.running import wait_until
from tests.video.media import number_of, pixels, rtsp_server, write_rtsp_clip, write_video

FPS = 25
FRAMES = 250
"""Of the clip, which is played again and again: numbers repeat after it."""
AWAY_S = 4.0
SETTLED = 40
"""Frames that are delivered before the fault, and after it."""
LIMIT_S = 40.0


class Relay:
    """Passes TCP connections on, until it is cut, frozen or told to damage them.

    Args:
        port: Of the server.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: list[socket.socket] = []
        self.silent = False
        self.flip = 0
        """Every this many-th byte from the server is changed; 0: none."""
        self._listening = self._listen(0)
        self.port = self._listening.getsockname()[1]
        self._accepting = self._listening
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self, *, refuse: bool = False) -> None:
        """Closes all connections.

        Args:
            refuse: Accept no new ones.
        """
        if refuse:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        pairs, self._pairs = self._pairs, []
        for one in pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def again(self) -> None:
        """Accepts connections again."""
        self._listening = self._listen(self.port)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _listen(self, port: int) -> socket.socket:
        return socket.create_server(("127.0.0.1", port), backlog=16)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self._pairs.append(client)
            if self.silent:
                continue
            with contextlib.suppress(OSError):
                server = socket.create_connection(("127.0.0.1", self._target))
                self._pairs.append(server)
                for a, b, damaged in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=(a, b, damaged), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, damaged: bool) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if damaged and self.flip:
                    changed = bytearray(data)
                    for place in range(self.flip - count % self.flip, len(data), self.flip):
                        changed[place] ^= 0x10
                    count, data = count + len(data), bytes(changed)
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass
class Watch:
    """Takes the frames of a source in a thread.

    Attributes:
        source: Open.
        rows: Number drawn, media time, monotonic time of arrival.
    """

    source: Source
    rows: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        for frame in self.source.frames():
            if frame.width == 160:
                self.rows.append((int(number_of(pixels(frame))), frame.pts_s, time.monotonic()))
            else:
                self.rows.append((-1, frame.pts_s, time.monotonic()))

    def settle(self, count: int = SETTLED) -> None:
        """Waits for some more frames."""
        wanted = len(self.rows) + count
        wait_until(lambda: len(self.rows) >= wanted, timeout_s=LIMIT_S, what=f"{count} more frames")


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        name: Of the row.
        source: Opens the camera; yields its address and what `hit` and `mend` get.
        hit: Makes the fault.
        mend: Undoes it, `lasts_s` later.
        lasts_s: How long it lasts.
        settings: Of the stream.
    """

    name: str
    source: Callable[[Path], contextlib.AbstractContextManager[tuple[str, Any]]]
    hit: Callable[[Any], Any] = lambda camera: None
    mend: Callable[[Any], Any] = lambda camera: None
    lasts_s: float = AWAY_S
    settings: dict[str, Any] = field(default_factory=dict)


def _changing(change: Callable[[float], float]) -> Callable[[Any], None]:
    """Makes a camera change its timestamps."""

    def begin(camera: Any) -> None:
        camera.change = change

    return begin


@contextlib.contextmanager
def rtsp(folder: Path) -> Iterator[tuple[str, Any]]:
    """GStreamer's server behind a relay."""
    with rtsp_server(folder / "c.aus") as (server, port):
        relay = Relay(port)
        yield f"rtsp://127.0.0.1:{relay.port}/cam", (relay, server)
        relay.cut(refuse=True)


class Ffmpeg:
    """An ffmpeg that sends the clip in real time, and can be killed and started again."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self.start()

    def start(self) -> None:
        """Starts it."""
        self._process = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", *self._words]
        )

    def kill(self) -> None:
        """Kills it."""
        self._process.kill()
        self._process.wait()


def sent(to: str, clip: str = "c.mp4", *words: str) -> Any:
    """A camera that is an ffmpeg.

    Args:
        to: Address, `{port}` being a free port.
        clip: In the folder.
        words: Of its command line, behind the input.
    """

    @contextlib.contextmanager
    def camera(folder: Path) -> Iterator[tuple[str, Any]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = to.format(port=free.getsockname()[1])
        output = words or ("-c", "copy", "-f", "mpegts")
        sender = Ffmpeg("-i", str(folder / clip), *output, address)
        try:
            yield address.partition("?")[0], sender
        finally:
            sender.kill()

    return camera


def faults() -> Iterator[Fault]:
    """The rows of the table."""
    yield Fault("RTSP: server killed", rtsp_killed, lambda c: c.kill(), lambda c: c.start())
    yield Fault(
        "RTSP: frozen",
        rtsp,
        lambda c: os.kill(c[1].pid, signal.SIGSTOP),
        lambda c: os.kill(c[1].pid, signal.SIGCONT),
    )
    yield Fault("RTSP: connection cut", rtsp, lambda c: c[0].cut(), lasts_s=0.5)
    yield Fault("RTSP: port closed", rtsp, lambda c: c[0].cut(refuse=True), lambda c: c[0].again(), 10.0)
    yield Fault("RTSP: silent on accept", rtsp, silence, lambda c: setattr(c[0], "silent", False), 8.0)
    yield Fault(
        "RTSP: a byte in 2000 wrong",
        rtsp,
        lambda c: setattr(c[0], "flip", 2000),
        lambda c: setattr(c[0], "flip", 0),
    )
    for kind, address in (
        ("MPEG-TS over UDP", "udp://127.0.0.1:{port}?pkt_size=1316"),
        ("MPEG-TS over UDP, H.265", "udp://127.0.0.1:{port}?pkt_size=1316"),
        ("MPEG-TS over UDP, with sound first", "udp://127.0.0.1:{port}?pkt_size=1316"),
    ):
        clip = "h265.mp4" if "265" in kind else "sound.mkv" if "sound" in kind else "c.mp4"
        words = ("-map", "0:a", "-map", "0:v", "-c", "copy", "-f", "mpegts") if "sound" in kind else ()
        yield Fault(
            f"{kind}: sender killed", sent(address, clip, *words), lambda c: c.kill(), lambda c: c.start()
        )

    for kind, change, lasts_s in (
        ("clock + 1 h", lambda pts_s: pts_s + 3600, 0.0),
        ("clock to 0", lambda pts_s: pts_s - 1000, 0.0),
        ("clock back 20 s", lambda pts_s: pts_s - 20, 0.0),
        ("stamps 25 and delivers 21", lambda pts_s: pts_s, 40.0),
    ):
        rate = 21 if "21" in kind else FPS
        yield Fault(
            f"MPEG-TS over UDP: {kind}",
            stamped(rate),
            _changing(change),
            lasts_s=lasts_s,
        )


class Stamper:
    """Sends the clip over UDP with time stamps of its own.

    Args:
        path: Of the clip.
        address: Where to.
        fps: Frames that are sent in a second; their stamps say `FPS`.

    Attributes:
        change: What its clock says at a time, seconds; the stream starts at 1000.
    """

    def __init__(self, path: Path, address: str, fps: float) -> None:
        self.change: Callable[[float], float] = lambda pts_s: pts_s
        self._fps, self._ended = fps, threading.Event()
        self._thread = threading.Thread(target=self._send, args=(path, address), daemon=True)
        self._thread.start()

    def _send(self, path: Path, address: str) -> None:
        with av.open(str(path)) as source, contextlib.ExitStack() as stack:
            packets = [packet for packet in source.demux(video=0) if packet.size]
            began_s, number, last_pts = time.monotonic(), 0, 0
            while not self._ended.is_set():
                original = packets[number % len(packets)]
                packet = av.Packet(bytes(original))
                packet.is_keyframe, packet.time_base = original.is_keyframe, Fraction(1, 90_000)
                packet.pts = packet.dts = round(self.change(1000 + number / FPS) * 90_000)
                if number == 0 or packet.pts < last_pts:  # a muxer takes no time that goes back
                    options = {"flush_packets": "1"}
                    out = stack.enter_context(av.open(address, "w", format="mpegts", options=options))
                    stream = out.add_stream_from_template(source.streams.video[0])
                packet.stream, last_pts = stream, packet.pts
                out.mux(packet)
                number += 1
                self._ended.wait(max(0.0, began_s + number / self._fps - time.monotonic()))

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()


def stamped(fps: float) -> Any:
    """A camera that stamps its frames itself."""

    @contextlib.contextmanager
    def camera(folder: Path) -> Iterator[tuple[str, Any]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"udp://127.0.0.1:{free.getsockname()[1]}"
        with contextlib.closing(Stamper(folder / "c.mp4", address + "?pkt_size=1316", fps)) as sender:
            yield address, sender

    return camera


def silence(camera: Any) -> None:
    """Cuts the connection, and answers no new one."""
    camera[0].silent = True
    camera[0].cut()


class Server:
    """GStreamer's server on a fixed port."""

    def __init__(self, clip: Path) -> None:
        self._clip, self._stack, self.port = clip, contextlib.ExitStack(), 0
        self.start()

    def start(self) -> None:
        """Starts it."""
        words = ("--port", str(self.port)) if self.port else ()
        self._server, self.port = self._stack.enter_context(rtsp_server(self._clip, *words))

    def kill(self) -> None:
        """Kills it."""
        self._server.kill()
        self._server.wait()

    def close(self) -> None:
        """Ends it."""
        self._stack.close()


@contextlib.contextmanager
def rtsp_killed(folder: Path) -> Iterator[tuple[str, Any]]:
    """GStreamer's server itself."""
    with contextlib.closing(Server(folder / "c.aus")) as server:
        yield f"rtsp://127.0.0.1:{server.port}/cam", server


def one(fault: Fault, folder: Path) -> dict[str, Any]:
    """Opens the camera, makes the fault, and measures."""
    stop = threading.Event()
    with fault.source(folder) as (address, camera):
        source = opened(StreamConfig(source=address, **fault.settings), stop)
        watch = Watch(source)
        watch.settle()
        hit_s, at = time.monotonic(), len(watch.rows)
        fault.hit(camera)
        noticed_s, said = None, ""
        while time.monotonic() < hit_s + fault.lasts_s:
            if noticed_s is None and source.stats.lost_s:
                noticed_s = time.monotonic() - hit_s
            said = source.stats.lost_why or said
            threading.Event().wait(0.02)
        fault.mend(camera)
        mended_s = time.monotonic()
        wait_until(lambda: watch.rows[-1][2] > mended_s, timeout_s=LIMIT_S, what="a frame after the fault")
        back_s = next(row[2] for row in watch.rows if row[2] > mended_s) - mended_s
        watch.settle()
        stop.set()
    rows = list(watch.rows)
    first, last = rows[max(0, at - 1)], rows[-1]
    return {
        "noticed_s": noticed_s,
        "back_s": back_s,
        "lost": lost(rows[:at]),
        "twice": sum(after[0] == before[0] >= 0 for before, after in pairwise(rows)),
        "time_s": (last[1] - first[1]) - (last[2] - first[2]),
        "errors": source.stats.errors,
        "reconnects": source.stats.reconnects,
        "said": said or source.stats.last_error,
    }


def opened(config: StreamConfig, stop: threading.Event) -> Source:
    """Opens a source, as a run does: again and again until it is there."""
    began_s = time.monotonic()
    while True:
        try:
            return open_source(config, stop=stop)
        except SourceError:
            if time.monotonic() - began_s > LIMIT_S:
                raise


def lost(rows: list[tuple[int, float, float]]) -> int:
    """Frames that are missing between those that were delivered."""
    numbers = [row[0] for row in rows[5:]]
    return sum(max(0, (b - a) % FRAMES - 1) for a, b in pairwise(numbers) if a >= 0 <= b)


def prepare(folder: Path) -> None:
    """The clips that cameras send."""
    options = {"tune": "zerolatency", "x264-params": "sliced-threads=0"}
    write_rtsp_clip(write_video(folder / "c.mp4", FRAMES, gop=FPS, options=options), folder / "c.aus")
    write_video(folder / "h265.mp4", FRAMES, gop=FPS, codec="libx265", options={"tune": "zerolatency"})
    tone = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={FRAMES / FPS}")
    command = ("ffmpeg", "-loglevel", "error", "-i", folder / "c.mp4", *tone, "-c:v", "copy", "-c:a", "aac")
    subprocess.run([*map(str, command), str(folder / "sound.mkv")], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Faults of cameras, one row each.")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for fault in faults():
            if given.only in fault.name:
                print(f"{fault.name} ...", file=sys.stderr)
                results[fault.name] = one(fault, folder)
    rows = [
        (
            name,
            "-" if part["noticed_s"] is None else f"{part['noticed_s']:.2f}",
            f"{part['back_s']:.2f}",
            part["lost"],
            part["twice"],
            f"{part['time_s']:+.2f}",
            part["said"][:60],
        )
        for name, part in results.items()
    ]
    table("cameras", ("fault", "noticed s", "back s", "lost", "twice", "time s", "said"), rows)
    save("cameras", results)


if __name__ == "__main__":
    main()
