"""The signals that end a run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals_noted(noted: list[int]) -> Iterator[None]:
    """Within, signals that end a run are noted; SIGHUP only if it is not ignored, as under `nohup`.

    Args:
        noted: Numbers of the signals that have come; appended to.
    """

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
