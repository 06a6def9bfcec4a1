"""Which frames of a stream a model is in doubt about. Pure.

Two signs are used (uncertainty sampling; B. Settles, "Active Learning Literature Survey", 2009, section 3.1): instances
whose score is close to the threshold, on either side of it, and objects that were seen before and after a frame and not
in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

CLOSE = 0.15
"""Difference from the threshold at which a score says nothing of doubt any more."""
GAP_S = 2.0
"""An object that comes back after so long was perhaps hidden, or away."""
ENOUGH = 2.0
"""Sum of doubts from which on a frame is as doubtful as can be."""
UNSURE, MISSED = "unsure", "missed"


def unsure(scores: NDArray[np.float32], thresholds: NDArray[np.float32]) -> float:
    """The doubt about the instances of a frame: for each up to 1, the closer its score is to its threshold.

    Args:
        scores: (N,) of the model, also below the threshold.
        thresholds: (N,) score from which on an instance is used.
    """
    return float(np.clip(1 - np.abs(scores - thresholds) / CLOSE, 0, 1).sum())


@dataclass(slots=True)
class _Held(Generic[T]):
    what: T
    pts_s: float
    doubt: float
    objects: set[int]
    missed: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Judged(Generic[T]):
    """A frame whose doubts are known.

    Attributes:
        what: as it was given.
        doubt: 0..1.
        reasons: `unsure`, `missed`, both or neither.
    """

    what: T
    doubt: float
    reasons: tuple[str, ...]


class DoubtJudge(Generic[T]):
    """Judges the frames of one stream, each `GAP_S` after it was given, when it is known what came back."""

    def __init__(self) -> None:
        self._held: deque[_Held[T]] = deque()
        self._last_seen_s: dict[int, float] = {}

    def see(self, pts_s: float, objects: Iterable[int]) -> list[Judged[T]]:
        """Takes the objects of a frame, of every frame in order.

        Args:
            pts_s: media time.
            objects: their identities.

        Returns:
            The frames that are judged now.
        """
        for number in objects:
            before_s = self._last_seen_s.get(number)
            self._last_seen_s[number] = pts_s
            if before_s is None or pts_s - before_s > GAP_S:
                continue
            for held in self._held:
                if before_s < held.pts_s < pts_s and number not in held.objects:
                    held.missed.add(number)
        self._last_seen_s = {
            number: seen_s for number, seen_s in self._last_seen_s.items() if pts_s - seen_s <= GAP_S
        }
        return self._take(pts_s - GAP_S)

    def hold(self, what: T, pts_s: float, doubt: float, objects: Sequence[int]) -> None:
        """Takes a frame to be judged, after `see` of the same frame.

        Args:
            what: comes back with the judgement.
            pts_s: media time.
            doubt: of `unsure`.
            objects: identities of those that are seen in it.
        """
        self._held.append(_Held(what, pts_s, doubt, set(objects)))

    def rest(self) -> list[Judged[T]]:
        """The frames that are still held, at the end of the stream."""
        return self._take(np.inf)

    def _take(self, until_s: float) -> list[Judged[T]]:
        done = []
        while self._held and self._held[0].pts_s <= until_s:
            held = self._held.popleft()
            reasons = (UNSURE,) * (held.doubt >= 0.5) + (MISSED,) * bool(held.missed)
            done.append(Judged(held.what, min((held.doubt + len(held.missed)) / ENOUGH, 1.0), reasons))
        return done
