"""Tells a service manager that a run has started and is alive: systemd's notification protocol, sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from types import TracebackType
from typing import Self


class ServiceManager:
    """The service manager that started this process; without one, nothing is sent.

    Args:
        environment: Where systemd names its socket. The variables are removed, since they are not for child processes.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        wanted, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        ours = owner in ("", str(os.getpid()))
        self._every_s = int(wanted) / 1e6 / 3 if wanted.isdecimal() and ours else 0.0
        self._said_s = float("-inf")

    def __enter__(self) -> Self:
        self._send("READY=1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send("STOPPING=1")

    def alive(self, now_s: float) -> None:
        """Feeds the watchdog when it is due. Called from the loop that has to be alive, never from another thread.

        Args:
            now_s: Monotonic time.
        """
        if self._every_s and now_s - self._said_s >= self._every_s:
            self._said_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(text.encode(), address)
