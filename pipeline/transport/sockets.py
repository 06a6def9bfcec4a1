"""ZeroMQ sockets as the stages use them: one bound hub or one connected peer, whole messages only.

Work is never pushed: a reader says how much it takes (`Ask`, `Want`), so a queue can hold no more than the
credit given. ZeroMQ's own high-water mark is only a last fence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from pipeline.transport import wire
from pipeline.transport.messages import Message

_MOST_BYTES = 64 << 20
_HIGH_WATER = 4096


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the processes of one run meet: sockets in a folder that only this user can enter."""

    folder: Path

    def stream(self, index: int) -> str:
        """Bound by the decoder of stream number `index`."""
        return f"ipc://{self.folder}/stream-{index}"

    def track(self, index: int) -> str:
        """Bound by tracking process number `index`."""
        return f"ipc://{self.folder}/track-{index}"

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
        """Whether a message lies ready: asking costs a third of what trying does."""
        return bool(int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


class RouterSocket(_Socket):
    """A bound ROUTER: knows its peers by their identity."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        path = Path(endpoint.removeprefix("ipc://"))
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # left by an earlier life of this process
        self.socket.bind(endpoint)

    def send(self, peer: bytes, *messages: Message) -> bool:
        """Sends messages together: all of them arrive, or none.

        False where the peer is gone or reads nothing: whoever holds the work must give it to another.
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
        """What lies ready, without waiting."""
        for _ in range(most):
            if not self._readable():
                return
            peer, *together = self.socket.recv_multipart(zmq.NOBLOCK)
            for data in together:
                yield peer, wire.decode(data)


class DealerSocket(_Socket):
    """A connected DEALER. Messages wait while the other side is away."""

    def __init__(self, endpoint: str, identity: str) -> None:
        super().__init__(zmq.DEALER, identity.encode())
        self.socket.connect(endpoint)

    def send(self, *messages: Message) -> bool:
        """Sends messages together: all of them arrive, or none.

        False where the other side has been away so long that the fence is reached: say it again later.
        """
        try:
            self.socket.send_multipart([wire.encode(message) for message in messages], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive_all(self, most: int = 1024) -> Iterable[Message]:
        """What lies ready, without waiting."""
        for _ in range(most):
            if not self._readable():
                return
            for data in self.socket.recv_multipart(zmq.NOBLOCK):
                yield wire.decode(data)


class Poller:
    """Waits for any of several sockets (and plain file descriptors)."""

    def __init__(self, links: Sequence[_Socket], descriptors: Sequence[int] = ()) -> None:
        self._poller = zmq.Poller()
        for link in links:
            self._poller.register(link.socket, zmq.POLLIN)
        for descriptor in descriptors:
            self._poller.register(descriptor, zmq.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """True when something can be read; False after `timeout_s`."""
        return bool(self._poller.poll(max(0, round(timeout_s * 1000))))
