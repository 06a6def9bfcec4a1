"""The frames of one stream that no worker has yet, and which of them a live source leaves out. Pure; time is passed in.

A file's frames wait in order. A live source hands out its newest frame and leaves out those before it, so that what is
counted is as old as one inference. There is one exception: where the workers have kept up with the camera and then
nothing is taken for a moment, something has failed (a worker was killed, tracking is being restarted). Leaving frames
out would then cost seconds of counting for nothing, since there is time to catch up. They wait, and are counted late.
"""

from __future__ import annotations

from collections import deque

from pipeline.stages.pending_frame import PendingFrame

OUTAGE_S = 0.3
"""A live frame that has waited for so long while the workers kept up waits because something has failed."""
KEEPS_UP = 0.8
"""Share of recent frames before which nothing was left out, from which on the workers keep up with the source."""
_MEMORY = 0.1
"""Weight of the newest frame in that share."""
_CATCH_UP_S = 2.0
"""Shortest time in which waiting frames may be caught up; otherwise it is `_CATCH_UP` times the outage."""
_CATCH_UP = 2.0
_AFTER_GIVING_UP = 0.5


class WaitingFrames:
    """A queue of frames without sequence numbers.

    Args:
        live: The source does not wait.

    Attributes:
        catching_up: Frames of a live source wait, or are counted late, because of an outage.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._frames: deque[tuple[float, PendingFrame]] = deque()
        """Monotonic time of arrival, and the frame."""
        self._share = 0.0
        self._left_out = False
        """Whether a frame was left out since one was last taken."""
        self.catching_up = False
        self._began_s = 0.0
        self._until_s: float | None = None
        """Monotonic time at which catching up is given up; None before the end of the outage."""

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self) -> list[PendingFrame]:
        """All of them, oldest first."""
        return [frame for _, frame in self._frames]

    def add(self, frame: PendingFrame, now_s: float) -> list[PendingFrame]:
        """Adds a frame behind the others.

        Args:
            frame: The frame.
            now_s: Monotonic time.

        Returns:
            Frames that are left out because this one is newer.
        """
        left_out = []
        if self._live and not self.catching_up and self._share < KEEPS_UP:
            left_out = self.leave_out(len(self._frames))
        self._frames.append((now_s, frame))
        self._note_outage(now_s)
        return left_out

    def take(self, most: int, now_s: float) -> tuple[list[PendingFrame], list[PendingFrame]]:
        """Removes frames for a worker: those that came first, or of a live source the newest.

        Args:
            most: Frames that the worker has room for, at least 1.
            now_s: Monotonic time.

        Returns:
            The frames, in order; and those that are left out because they are older.
        """
        left_out: list[PendingFrame] = []
        if not self._frames:
            return [], left_out
        if self._live:
            self._note_outage(now_s)
            self._limit_catching_up(now_s)
            if not self.catching_up:
                most = 1
                left_out = self.leave_out(len(self._frames) - 1)
                self._share += _MEMORY * ((not self._left_out) - self._share)
                self._left_out = False
        taken = [self._frames.popleft()[1] for _ in range(min(most, len(self._frames)))]
        if not self._frames:
            self.catching_up, self._until_s = False, None
        return taken, left_out

    def leave_out(self, frames: int) -> list[PendingFrame]:
        """Removes the oldest frames.

        Args:
            frames: How many.

        Returns:
            The frames removed.
        """
        self._left_out |= frames > 0
        return [self._frames.popleft()[1] for _ in range(frames)]

    def _note_outage(self, now_s: float) -> None:
        if not self._live or self.catching_up or self._share < KEEPS_UP:
            return
        oldest_s, _ = self._frames[0]
        if now_s - oldest_s > OUTAGE_S:
            self.catching_up, self._began_s, self._until_s = True, oldest_s, None

    def _limit_catching_up(self, now_s: float) -> None:
        """A model that turns out to be too slow to catch up gets the newest frame again."""
        if not self.catching_up:
            return
        if self._until_s is None:
            self._until_s = now_s + max(_CATCH_UP_S, _CATCH_UP * (now_s - self._began_s))
        elif now_s > self._until_s:
            self.catching_up, self._until_s = False, None
            self._share = _AFTER_GIVING_UP
