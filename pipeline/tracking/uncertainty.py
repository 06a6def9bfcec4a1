"""By how much a unique count may be off: the decisions that might as well have been taken the other way.

A count of unique objects is a sum of decisions: whether a track is an object at all, and whether it goes on one that
was lost before. Most are clear. A decision is *doubtful* if

- a track was joined to a lost object, or not, at a cost near the limit (`AMBIGUOUS_COST`);
- an object was joined late, or was not, at a cost near the limit (`AMBIGUOUS_LATE_COST`);
- an object is confirmed, but not beyond doubt (`SURE_SCORE_SUM`), or a track came near to it and was not
  (`NEARLY_SHARE`).

`margin` makes of their number N what stands behind the sign in `34 ± 2`: the square root of N plus a tenth of N.
A doubtful decision that is wrong makes the count one too high or one too low. Where that falls out by chance, errors
add up as the square root of N; the tenth is for scenes in which it mostly falls out the same way.

What nobody could have decided is not in it: objects that the model does not see, or takes for others all the time.
`benchmarks/counting.py` says in what share of its scenes the truth lies within the margin.
"""

from __future__ import annotations

from math import sqrt

AMBIGUOUS_COST = (0.75, 1.35)
"""Costs of a join between which it is doubtful; at 1 it is decided."""
AMBIGUOUS_LATE_COST = 1.7
"""Cost up to which it is doubtful whether an object that is over was seen again as another one; one that is taken for
that always is."""
SURE_SCORE_SUM = 8.0
"""Sum of the scores of all sightings of an object that is beyond doubt."""
NEARLY_SHARE = 0.5
"""Part of the score and of the time that confirm a track, from which on it is doubtful that it was not."""
NEARLY_MEAN_SHARE = 0.9
"""The same of the mean score."""


def is_ambiguous(cost: float) -> bool:
    """Whether it is doubtful that a track was, or was not, joined to a lost object at this cost."""
    return AMBIGUOUS_COST[0] < cost < AMBIGUOUS_COST[1]


def margin(ambiguous: int) -> int:
    """By how many objects a count with so many doubtful decisions may be off."""
    return round(sqrt(ambiguous) + 0.1 * ambiguous)
