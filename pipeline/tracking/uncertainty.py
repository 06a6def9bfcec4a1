"""By how much a unique count may be off: the variance of the decisions behind it.

A count of unique objects is a sum of decisions, each of which is right with a probability that is known when it is
taken: whether a track is another object or the rest of a lost one (`objects.py`), and whether it is an object at all
(`confirmation.py`). A decision with probability p adds p (1 - p) to the variance of the count. `margin` makes of the
variance what stands behind the sign in `34 ± 2`.

It does not include errors that leave no trace in the detections: objects that the model misses or always misclassifies.
`benchmarks/counting.py` says in what share of its scenes the truth lies within the margin.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt

from pipeline.records.state import checkpointed
from pipeline.tracking.identities import CountedObject, Track
from pipeline.tracking.stitching import leading

AMBIGUOUS = 0.1
"""A decision is ambiguous if each way has at least this probability."""
SURE_SCORE_SUM = 8.0
"""Sum of the scores of all observations of an object that is beyond doubt."""
WEAK_VARIANCE = 0.2
"""Variance of an object that is not, and of a track that nearly was one."""
MARGIN_SIGMAS = 1.64
"""Standard deviations in the margin where decisions are wrong independently of each other: 90 % of a normal
distribution."""
COMMON_SHARE = 1.4
"""Part of the variance that makes the margin where decisions are mostly wrong in the same way, as in crowds."""
UNSEEN_SHARE = 0.04
"""Part of the count that is added then: objects that the detector saw too little of for any decision."""


def variance(probability: float) -> float:
    """Variance of a decision, as of a Bernoulli variable.

    Args:
        probability: Of one of its two outcomes.
    """
    return probability * (1 - probability)


def is_ambiguous(probability: float) -> bool:
    """Whether a decision might as well have been the other one.

    Args:
        probability: Of one of its two outcomes.
    """
    return AMBIGUOUS < probability < 1 - AMBIGUOUS


def margin(variance_sum: float, count: int) -> int:
    """By how many objects a count may be off: the larger one of what independent and what common errors come to.

    Args:
        variance_sum: variance of the decisions behind it.
        count: the count.
    """
    independent = MARGIN_SIGMAS * sqrt(variance_sum)
    common = COMMON_SHARE * variance_sum + UNSEEN_SHARE * count
    return round(max(independent, common))


@checkpointed
@dataclass(slots=True)
class Doubt:
    """About a unique count.

    Attributes:
        variance: class -> variance of the count.
        ambiguous: class -> decisions that might as well have been the other way.
    """

    variance: Counter[int] = field(default_factory=Counter)
    ambiguous: Counter[int] = field(default_factory=Counter)

    def copy(self) -> Doubt:
        return Doubt(self.variance.copy(), self.ambiguous.copy())

    def add_object(self, counted: CountedObject) -> None:
        """Adds the uncertainty of one object: whether it is one, and whether it is the continuation of another.

        Args:
            counted: An object that has ended.
        """
        weak = counted.score < SURE_SCORE_SUM
        self.variance[counted.class_id] += counted.doubt + WEAK_VARIANCE * weak  # type: ignore[assignment]
        self.ambiguous[counted.class_id] += counted.ambiguous + weak

    def add_track(self, track: Track, nearly: bool) -> None:
        """Adds the uncertainty of a track that was never confirmed.

        Args:
            track: A track that has ended.
            nearly: Whether it came close to being confirmed.
        """
        if nearly:
            self.variance[leading(track.votes)] += WEAK_VARIANCE  # type: ignore[assignment]
            self.ambiguous[leading(track.votes)] += 1
