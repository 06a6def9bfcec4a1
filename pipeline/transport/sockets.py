"""ZeroMQ sockets as the stages use them: a bound ROUTER, connected DEALERs, whole messages only.

Flow control is credit-based: a reader states how much it takes (`Ask`, `Want`), so a queue never exceeds the credit
granted. ZeroMQ's high-water mark is only a safety net.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from pipeline.errors import WireError
from pipeline.metrics.rejected import UNDECODABLE, reject
from pipeline.transport import wire
from pipeline.transport.messages import Message

_MOST_BYTES = 64 << 20
_HIGH_WATER = 4096


@dataclass(frozen=True, slots=True)
class Endpoints:
    """ZeroMQ endpoints of one run: Unix sockets in a folder that only this user can enter."""

    folder: Path

    def stream(self, index: int) -> str:
        """Endpoint that a decoder binds.

        Args:
            index: Place of the stream in the configuration, from 0.
        """
        return f"ipc://{self.folder}/stream-{index}"

    def track(self, index: int) -> str:
        """Endpoint that a tracking process binds.

        Args:
            index: Number of the tracking process, from 0.
        """
        return f"ipc://{self.folder}/track-{index}"

    @property
    def spec(self) -> Path:
        """File with the specification of the run."""
        return self.folder / "run.json"

    @property
    def supervisor(self) -> str:
        return f"ipc://{self.folder}/supervisor"


class _Socket:
    def __init__(self, kind: int, identity: bytes = b"") -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        self.socket.setsockopt(zmq.LINGER, 500)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _MOST_BYTES)
        self.socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        self.socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        if identity:
            self.socket.setsockopt(zmq.IDENTITY, identity)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def _readable(self) -> bool:
        """Whether a message is ready. Reading the flag costs a third of a failed receive."""
        return bool(int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


class RouterSocket(_Socket):
    """A bound ROUTER, which addresses its peers by identity.

    Args:
        endpoint: `ipc://PATH`; a stale socket file at PATH is removed.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        path = Path(endpoint.removeprefix("ipc://"))
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # left by an earlier incarnation of this process
        self.socket.bind(endpoint)

    def send(self, peer: bytes, *messages: Message) -> bool:
        """Sends messages to one peer without blocking, as one multipart message: all of them arrive, or none.

        Args:
            peer: ZeroMQ identity of the receiver.
            *messages: At least one.

        Returns:
            False if the peer is disconnected or its queue is full: nothing was sent, and the caller keeps the work.

        Raises:
            WireError: An array has a wrong dtype or shape.
        """
        try:
            self.socket.send_multipart((peer, *map(wire.encode, messages)), zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return False
            raise
        return True

    def receive_all(self, most: int = 1024) -> Iterable[tuple[bytes, Message]]:
        """Yields the messages that are ready, without waiting.

        Args:
            most: Limit on the number of multipart messages read.

        Yields:
            Identity of the sender, and one message. What cannot be decoded is counted and left out.
        """
        for _ in range(most):
            if not self._readable():
                return
            peer, *together = self.socket.recv_multipart(zmq.NOBLOCK)
            for data in together:
                if (message := _decoded(data)) is not None:
                    yield peer, message


class DealerSocket(_Socket):
    """A connected DEALER. Messages are queued while the other side is away.

    Args:
        endpoint: What the other side binds; it need not exist yet.
        identity: Name by which the other side knows this one; unique among its peers.
    """

    def __init__(self, endpoint: str, identity: str) -> None:
        super().__init__(zmq.DEALER, identity.encode())
        self.socket.connect(endpoint)

    def send(self, *messages: Message) -> bool:
        """Sends messages without blocking, as one multipart message: all of them arrive, or none.

        Args:
            *messages: At least one.

        Returns:
            False if the queue is full, because the other side has been away for long: nothing was sent, retry later.

        Raises:
            WireError: An array has a wrong dtype or shape.
        """
        try:
            self.socket.send_multipart([wire.encode(message) for message in messages], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive_all(self, most: int = 1024) -> Iterable[Message]:
        """Yields the messages that are ready, without waiting. What cannot be decoded is counted and left out.

        Args:
            most: Limit on the number of multipart messages read.
        """
        for _ in range(most):
            if not self._readable():
                return
            for data in self.socket.recv_multipart(zmq.NOBLOCK):
                if (message := _decoded(data)) is not None:
                    yield message


def _decoded(data: bytes) -> Message | None:
    try:
        return wire.decode(data)
    except WireError:
        reject(UNDECODABLE)
        return None


class Poller:
    """Waits for any of several sockets and plain file descriptors.

    Args:
        links: Sockets to wait for.
        descriptors: File descriptors that become readable.
    """

    def __init__(self, links: Sequence[_Socket], descriptors: Sequence[int] = ()) -> None:
        self._poller = zmq.Poller()
        for link in links:
            self._poller.register(link.socket, zmq.POLLIN)
        for descriptor in descriptors:
            self._poller.register(descriptor, zmq.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """Blocks until one of them is readable.

        Args:
            timeout_s: Seconds, rounded up to milliseconds; 0 or less returns at once.

        Returns:
            False on timeout.
        """
        return bool(self._poller.poll(max(0, math.ceil(timeout_s * 1000))))
