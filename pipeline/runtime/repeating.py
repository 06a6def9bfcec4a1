"""Work that the supervisor has done at intervals, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LEAVE_S = 5.0
"""How long the end waits for work under way."""


@contextmanager
def repeating(
    name: str, turn: Callable[[], None], interval_s: float, first: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Within, a thread calls a function at intervals.

    Args:
        name: Of the thread.
        turn: Does the work once.
        interval_s: Seconds before each turn.
        first: Called in the thread at once, before all turns.
    """
    over = threading.Event()

    def work() -> None:
        first()
        while not over.wait(interval_s):
            turn()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LEAVE_S)
