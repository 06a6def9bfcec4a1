"""Which frames go into the next run of the model. Pure; time is passed in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from pipeline.transport.messages import FrameRef

LONGEST_RUN_S = 5.0
"""A batch is no larger than what the model was seen to do in so long: nobody may take a slow model for a stuck one, and
to put frames together pays where a run takes milliseconds."""
ASK_AGAIN_S = 0.5
"""An asking that stays unanswered is said again: the decoder may have been started anew."""


class Batch:
    """Asks streams for frames, and says when to run the model on what came.

    A batch is full at `size` frames. One that is not goes `max_wait_s` after its first frame came, or as soon as no
    stream is left that could add to it; so a slow camera never holds the others. Its asking stays with its decoder,
    and its next frame comes when there is one.

    Whoever was served least recently is asked first, and each for no more than its part of what there is room for:
    with more streams than places they take turns, and a fast stream gets what slow ones leave.

    Args:
        streams: how many.
        size: frames in one run at the most.
        max_wait_s: also the time after which a stream that has not answered counts as having nothing now.
    """

    def __init__(self, streams: int, size: int, max_wait_s: float) -> None:
        self._largest = self._size = size
        self._max_wait_s = max_wait_s
        self._asked: dict[int, tuple[float, int]] = {}
        """Stream -> when it was asked, and for how many frames; only those that have not answered."""
        self._turns = deque(range(streams))
        """Streams, the one first that was served least recently."""
        self._dry: set[int] = set()
        """Streams that had fewer frames than they were asked for: nothing more is to be had of them for this batch."""
        self._frames: deque[FrameRef] = deque()
        self._given: Counter[int] = Counter()
        """Stream -> frames that it has in the batch that is being put together."""
        self._first_s = 0.0

    def to_ask(self, now_s: float) -> list[tuple[int, int]]:
        """Streams to ask now, each with a number of frames."""
        asks = [(stream, most) for stream, (at_s, most) in self._asked.items() if now_s - at_s > ASK_AGAIN_S]
        for stream, most in asks:
            self._asked[stream] = (now_s, most)
        expected = [most for at_s, most in self._asked.values() if now_s - at_s <= self._max_wait_s]
        room = self._size - len(self._frames) - sum(expected)
        idle = [stream for stream in self._turns if stream not in self._asked and stream not in self._dry]
        for place, stream in enumerate(idle):
            if room <= 0:
                break
            most = -(-room // (len(idle) - place))
            self._asked[stream] = (now_s, most)
            asks.append((stream, most))
            room -= most
        return asks

    def add(self, stream: int, frames: Sequence[FrameRef], now_s: float) -> None:
        """A stream has answered."""
        _, most = self._asked.pop(stream, (now_s, 0))
        if len(frames) < most:
            self._dry.add(stream)
        if frames:
            if not self._frames:
                self._first_s = now_s
            self._frames.extend(frames)
            self._given[stream] += len(frames)
            self._turns.remove(stream)
            self._turns.append(stream)

    def wait_s(self, now_s: float) -> float:
        """How long to wait for more; 0: run what is there, or ask again."""
        if not self._frames:
            return max(self._max_wait_s, 0.001) if self._patient(now_s) else 0.1
        if len(self._frames) >= self._size or not self._asked:
            return 0.0
        return max(0.0, self._first_s + self._max_wait_s - now_s)

    def _patient(self, now_s: float) -> bool:
        """Whether other streams are to be asked as soon as those asked last turn out to have nothing."""
        waiting = any(now_s - at_s <= self._max_wait_s for at_s, _ in self._asked.values())
        return waiting and len(self._asked) < len(self._turns)

    def took(self, frames: int, spent_s: float) -> None:
        """A run of the model with so many frames took so long."""
        if frames and spent_s > 0:
            self._size = max(1, min(self._largest, int(LONGEST_RUN_S * frames / spent_s)))

    def take(self) -> list[FrameRef]:
        """The batch. Those of one stream are in the order in which they came."""
        self._dry.clear()
        # Where the batch does not divide evenly, somebody else gets the odd frame next time.
        self._turns = deque(sorted(self._turns, key=lambda stream: self._given[stream]))
        self._given.clear()
        return [self._frames.popleft() for _ in range(min(self._size, len(self._frames)))]
