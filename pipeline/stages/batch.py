"""Composition of the next model run from the frames of several streams. Pure; time is passed in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence

from pipeline.transport.messages import FrameRef

LONGEST_RUN_S = 5.0
"""Batches are limited to what the model was measured to finish in this time, so that a slow model is not mistaken for
a hung one; batching pays only where a run takes milliseconds."""
ASK_AGAIN_S = 0.5
"""Requests without an answer are repeated after this time: the decoder may have been restarted."""


class Batcher:
    """Requests frames from streams, and decides when to run the model on those that arrived.

    A batch is full at `size` frames. An incomplete one is due `max_wait_s` after its first frame, or as soon as no
    stream remains that could add to it, so that a slow camera never delays the others. The request to that camera
    stays open at its decoder.

    Streams are asked in the order least recently served, each for its share of the free places: with more streams than
    places they take turns, and a fast stream gets what slow ones leave.

    Args:
        streams: Number of streams; they are numbered from 0, until `serve` names others.
        size: Largest number of frames in one run.
        max_wait_s: Also the time after which a stream that has not answered is taken to have nothing now.
    """

    def __init__(self, streams: int, size: int, max_wait_s: float) -> None:
        self._largest = self._size = size
        self._max_wait_s = max_wait_s
        self._asked: dict[int, tuple[float, int]] = {}
        """Stream -> (time of the request, frames requested), for requests that are open."""
        self._order = deque(range(streams))
        """Streams, least recently served first."""
        self._exhausted: set[int] = set()
        """Streams that answered with fewer frames than requested: not asked again for this batch."""
        self._frames: deque[FrameRef] = deque()
        self._in_batch: Counter[int] = Counter()
        """Stream -> its frames in the batch under construction."""
        self._sender: dict[str, int] = {}
        """Name of a stream -> its number."""
        self._first_s = 0.0

    def serve(self, streams: Collection[int]) -> None:
        """Changes the streams that are asked. Frames of those that are left out are dropped: their decoders lease them
        again, if they are still there.

        Args:
            streams: Their numbers from now on.
        """
        gone = set(self._order).difference(streams)
        self._frames = deque(frame for frame in self._frames if self._sender.get(frame.stream) not in gone)
        for number in gone:
            self._order.remove(number)
            self._asked.pop(number, None)
            self._exhausted.discard(number)
            self._in_batch.pop(number, None)
        new = [number for number in streams if number not in self._order]
        self._order.extendleft(reversed(new))

    def requests(self, now_s: float) -> list[tuple[int, int]]:
        """Requests to send now, including those to repeat; each counts as sent.

        Args:
            now_s: Monotonic time.

        Returns:
            (stream, number of frames) of each request.
        """
        requests = [
            (stream, most) for stream, (at_s, most) in self._asked.items() if now_s - at_s > ASK_AGAIN_S
        ]
        for stream, most in requests:
            self._asked[stream] = (now_s, most)
        expected = [most for at_s, most in self._asked.values() if now_s - at_s <= self._max_wait_s]
        room = self._size - len(self._frames) - sum(expected)
        idle = [
            stream for stream in self._order if stream not in self._asked and stream not in self._exhausted
        ]
        for place, stream in enumerate(idle):
            if room <= 0:
                break
            most = -(-room // (len(idle) - place))
            self._asked[stream] = (now_s, most)
            requests.append((stream, most))
            room -= most
        return requests

    def add(self, stream: int, frames: Sequence[FrameRef], now_s: float) -> None:
        """Takes the answer of a stream to its request.

        Args:
            stream: Index of the stream.
            frames: In the order of `seq`; may be empty.
            now_s: Monotonic time.
        """
        if stream not in self._order:
            return
        _, most = self._asked.pop(stream, (now_s, 0))
        if len(frames) < most:
            self._exhausted.add(stream)
        if frames:
            if not self._frames:
                self._first_s = now_s
            self._frames.extend(frames)
            self._sender[frames[0].stream] = stream
            self._in_batch[stream] += len(frames)
            self._order.remove(stream)
            self._order.append(stream)

    def wait_s(self, now_s: float) -> float:
        """Time to wait for more frames.

        Args:
            now_s: Monotonic time.

        Returns:
            Seconds; 0: `take` the batch now, or ask for `requests` again.
        """
        if not self._frames:
            return max(self._max_wait_s, 0.001) if self._may_ask_others(now_s) else 0.1
        if len(self._frames) >= self._size or not self._asked:
            return 0.0
        return max(0.0, self._first_s + self._max_wait_s - now_s)

    def _may_ask_others(self, now_s: float) -> bool:
        """Whether other streams are to be asked as soon as those asked last turn out to have nothing."""
        waiting = any(now_s - at_s <= self._max_wait_s for at_s, _ in self._asked.values())
        return waiting and len(self._asked) < len(self._order)

    def measured(self, frames: int, spent_s: float) -> None:
        """Adapts the batch size to a measured run of the model (`LONGEST_RUN_S`).

        Args:
            frames: Frames in the run.
            spent_s: Its duration.
        """
        if frames and spent_s > 0:
            self._size = max(1, min(self._largest, int(LONGEST_RUN_S * frames / spent_s)))

    def take(self) -> list[FrameRef]:
        """Removes and returns the batch. Frames of one stream are in the order in which they came; one that is to go
        through the model alone is a batch by itself."""
        self._exhausted.clear()
        # Where the batch does not divide evenly, another stream gets the odd frame next time.
        self._order = deque(sorted(self._order, key=lambda stream: self._in_batch[stream]))
        self._in_batch.clear()
        batch: list[FrameRef] = []
        while self._frames and len(batch) < self._size:
            if batch and (batch[0].alone or self._frames[0].alone):
                break
            batch.append(self._frames.popleft())
        return batch
